"""``mathrl eval --as NAME``: the prompt, the limits and the grading rule of another project."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.cli.eval import EvalOptions
    from mathrl.cli.eval_engine import EngineKind, EngineOptions
    from mathrl.evals import Task

preset_option = click.option(
    "--as",
    "preset",
    metavar="NAME",
    help="Prompt, stop words, token limit and grading rule of deepseek, deepseek-base, qwen or "
    "lm-eval.",
)


def with_preset(task: "Task", options: "EvalOptions") -> "Task":
    """The task as the preset puts it to a model, unchanged without one.

    Raises:
        ConfigError: There is no such preset for this task, its examples are not the known ones, or
            another option sets what it sets.
        MissingExtraError: Its examples are read from lm-eval, which is not installed.
    """
    if options.preset is None:
        return task
    from mathrl.evals.presets import get_preset

    preset = get_preset(options.preset, task.name)
    _check_alone(options)
    return preset.apply(task)


def preset_engine(options: "EvalOptions", kind: "EngineKind") -> "EngineOptions":
    """The engines' options as a preset needs them, unchanged without one.

    Every preset writes the roles itself, so an API is sent text: around messages it would put a
    chat template of its own, and the preset's hash would stand for a prompt that nobody read.
    """
    if options.preset is None or kind != "api":
        return options.engine_options
    return replace(options.engine_options, endpoint="completions")


def preset_facts(preset: str | None, task: "Task") -> dict[str, Any]:
    """What the manifest tells of the preset."""
    if preset is None:
        return {}
    from mathrl.evals.presets import get_preset

    return {"preset": get_preset(preset, task.name).to_json()}


def preset_notes(folder: Path, task: str) -> list[str]:
    """What the preset's own rules found, a line each; none for a shard that is not the last."""
    from mathrl.evals.display import percent
    from mathrl.evals.results import RESULTS_FILE, load_entries

    if not (folder / RESULTS_FILE).exists():
        return []
    rules = load_entries(folder).get(task, {}).get("rules", {})
    return [f"under {name}: {percent(row['accuracy'])} %" for name, row in rules.items()]


def _check_alone(options: "EvalOptions") -> None:
    """Refuse options that would change what a preset promises."""
    if options.completions is not None:
        raise ConfigError(
            "recorded completions had their prompt: leave --as out; "
            "`mathrl matrix RUN` grades them under every rule"
        )
    given = {
        "--template": options.template,
        "--system": options.system,
        "--chat": options.chat,
        "--num-few-shot": options.num_few_shot,
        "--max-new-tokens": options.max_new_tokens,
    }
    for name, value in given.items():
        if value:
            raise ConfigError(f"--as {options.preset} sets what {name} sets: leave one of them out")
    if options.engine_options.endpoint == "chat":
        raise ConfigError(
            f"--as {options.preset} writes the roles itself, and --endpoint chat puts the API's "
            "own chat template around them: leave --endpoint out"
        )
