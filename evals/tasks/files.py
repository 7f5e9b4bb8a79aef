"""A task of the user's own: a TOML or YAML file with the fields of ``Task``.

    name = "school"
    data = "school.jsonl"
    max_new_tokens = 512

``name`` and ``data`` are needed; a path is relative to the file that names it.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mathrl.config import build, read_toml
from mathrl.errors import ConfigError
from mathrl.evals.tasks.base import Task
from mathrl.tables import FORMATS, import_extra

NEEDED = ("name", "data")
PATHS = ("data", "few_shot_data")


def read_task(path: Path) -> Task:
    """Read a task from a file.

    Raises:
        ConfigError: The file cannot be read, lacks a key, or has one that is unknown or wrong.
        MissingExtraError: A YAML file needs PyYAML.
    """
    values = TASK_FORMATS[path.suffix](path)
    for key in NEEDED:
        if key not in values:
            known = ", ".join(field.name for field in fields(Task))
            raise ConfigError(f"{path}: no key {key!r}, which a task needs; a task has {known}")
    if isinstance(values.get("chat"), bool):  # YAML takes a bare on or off for a boolean
        values["chat"] = "on" if values["chat"] else "off"
    for key in PATHS:
        values |= _beside(path, key, values.get(key))
    return build(Task, values, source=str(path))


def _beside(path: Path, key: str, value: object) -> Mapping[str, str]:
    """Resolve a file that stands relative to the task's; a name of a data set stays."""
    if not isinstance(value, str) or Path(value).suffix not in FORMATS:
        return {}
    return {key: str(path.parent / value)}


def _read_yaml(path: Path) -> dict[str, Any]:
    yaml = import_extra("yaml", f"reading {path}")
    try:
        loader = type("Loader", (yaml.SafeLoader,), {"construct_mapping": _construct_once(yaml)})
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a task is a list of `key: value` lines, got {values!r:.60}")
    return {str(key): value for key, value in values.items()}


def _construct_once(yaml: Any) -> Callable[..., dict[Any, Any]]:
    """What reads a mapping, and refuses a key that stands twice; YAML itself takes the last."""

    def construct(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                message = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
            seen.update([key.value] if isinstance(key.value, str) else [])
        mapping: dict[Any, Any] = yaml.SafeLoader.construct_mapping(loader, node, deep)
        return mapping

    return construct


TASK_FORMATS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    ".toml": read_toml,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}
