"""TOML files and ``--set key=value`` into frozen dataclasses; what is unknown is an error."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import tomli_w

from mathrl.errors import ConfigError
from mathrl.nearest import did_you_mean

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: The file cannot be read, or is not TOML (the message has the line).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def override(values: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Apply ``section.key=value`` assignments; a value is TOML, or else a plain string.

    Raises:
        ConfigError: An assignment has no ``=``, or sets a key inside a value.
    """
    result = _deep_copy(values)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set wants key=value, got {assignment!r}")
        *sections, name = key.strip().split(".")
        table = result
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
        table[name] = _parse_value(text.strip())
    return result


def build(cls: type[T], values: Mapping[str, Any], *, source: str, section: str = "") -> T:
    """Make a config dataclass from plain values, nested sections included.

    Args:
        cls: The dataclass.
        values: Keys and values as TOML gives them.
        source: Where they come from, for messages.
        section: Dotted path of this section, for messages.

    Raises:
        ConfigError: An unknown key (with the nearest known ones), a missing one, a wrong type,
            or a value that the dataclass refuses.
    """
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known) or f"known: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {_path(section, key)!r}; {hint}")
    converted = {
        key: _convert(hints[key], value, source=source, key=_path(section, key))
        for key, value in values.items()
    }
    if missing := _missing(cls, values):
        keys = " and ".join(repr(_path(section, key)) for key in missing)
        raise ConfigError(f"{source}: no key {keys}")
    try:
        return cls(**converted)
    except ConfigError as error:  # what the dataclass refuses does not know its file
        raise ConfigError(f"{source}: {error}") from error


def to_toml(config: Any) -> str:
    """Write a config dataclass as TOML, every value spelled out."""
    return tomli_w.dumps(dataclasses.asdict(config))


def _convert(hint: Any, value: Any, *, source: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{source}: {key} is a section, got {value!r}")
        return build(hint, value, source=source, section=key)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(repr, arguments))
            raise ConfigError(f"{source}: {key} must be one of {choices}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{source}: {key} must be a list, got {value!r}")
        return tuple(_convert(arguments[0], item, source=source, key=key) for item in value)
    if origin in (types.UnionType, typing.Union):
        raise TypeError(f"{key}: config fields have one type each")
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        wanted = {"int": "a whole number", "float": "a number", "str": "text", "bool": "a boolean"}
        raise ConfigError(f"{source}: {key} must be {wanted[hint.__name__]}, got {value!r}")
    return value


def _missing(cls: type, values: Mapping[str, Any]) -> list[str]:
    """The keys that a dataclass needs and that are not there."""
    no_default = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is no_default
        and field.default_factory is no_default
        and field.name not in values
    ]


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _deep_copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _deep_copy(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _path(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key
