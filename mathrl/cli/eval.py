"""``mathrl eval``: sample, grade, aggregate; the same command again goes on where it stopped.

mathrl eval --task arithmetic -n 8
mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl
"""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.cli import INTERRUPTED
from mathrl.cli.eval_engine import (
    EngineKind,
    EngineOptions,
    engine_options,
    open_sampler,
    split_options,
    usage_notes,
)
from mathrl.cli.eval_view import EvalView
from mathrl.errors import ConfigError
from mathrl.files import write_whole

if TYPE_CHECKING:
    from mathrl.engines import Engine
    from mathrl.evals import EvalResult, Task
    from mathrl.prompts import PromptBuilder
    from mathrl.schema import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalOptions:
    """The options of one evaluation; None means the default that the help text names."""

    task: str
    model: str | None
    engine: EngineKind | None
    engine_options: EngineOptions
    data: str | None
    question_column: str | None
    answer_column: str | None
    completions: str | None
    completion_column: str | None
    num_samples: int | None
    temperature: float | None
    max_new_tokens: int | None
    seed: int
    limit: int | None
    template: str | None
    system: str
    num_few_shot: int
    few_shot_data: str | None
    out: str | None

    def __post_init__(self) -> None:
        if self.engine == "recorded" and self.completions is None:
            raise ConfigError("--engine recorded needs --completions FILE")
        if self.engine not in (None, "recorded") and self.completions is not None:
            raise ConfigError(f"--completions replays a file; leave --engine {self.engine} out")
        if self.completions is not None and self.num_few_shot:
            raise ConfigError("recorded completions had their prompt: leave --num-few-shot out")
        if self.completions is None and self.model is None and self.task != "arithmetic":
            raise ConfigError(
                f"task {self.task} needs --model or --completions: the embedded policy does "
                "arithmetic only"
            )

    def resolved(self, task: "Task") -> "EvalOptions":
        """The same config with every default filled in."""
        is_recorded = self.completions is not None
        kind = self.engine_options.kind("recorded" if is_recorded else self.engine, self.model)
        num_samples = self.num_samples or (None if is_recorded else 1)
        name = Path(self.completions).stem if self.completions else _model_name(self.model)
        template = (self.template or task.template).replace("\\n", "\n")
        # A recorded sample has one temperature, whatever is asked: its key must not depend on it.
        temperature = self.temperature or 0.0
        if self.temperature is None and num_samples != 1:
            temperature = 1.0
        return dataclasses.replace(
            self,
            engine=kind,
            data=self.data or task.data,
            num_samples=num_samples,
            temperature=0.0 if is_recorded else temperature,
            max_new_tokens=self.max_new_tokens or task.max_new_tokens,
            template=template,
            out=self.out or f"runs/{task.name}-{name}",
        )


def _model_name(model: str | None) -> str:
    """A short name that tells runs apart: every exported policy is a folder named ``policy``."""
    path = Path(model or "embedded")
    if path.name == "policy" and path.parent.name:
        return path.parent.name
    if path.name.startswith("step-"):
        return f"{path.parent.parent.name}-{path.name}"
    return path.name


@click.command("eval")
@click.option("--task", required=True, help="What to evaluate on; `mathrl tasks` lists all.")
@click.option(
    "--model",
    help="Model folder or hub id, or an API's name for it; the embedded tiny policy by default.",
)
@click.option("--data", help="Problems: local file or hub id. [default: the task's]")
@click.option("--question-column", help="Column of --data with the question.")
@click.option("--answer-column", help="Column of --data with the answer.")
@click.option("--completions", help="JSONL, Parquet or CSV file with completions to replay.")
@click.option("--completion-column", help="Column of --completions with the text.")
@click.option(
    "-n",
    "--num-samples",
    type=click.IntRange(min=1),
    help="Samples a problem. [default: 1, or all that are recorded]",
)
@click.option(
    "--temperature",
    type=float,
    help="0 is greedy; recorded completions ignore it. [default: 0 with one sample, 1 with more]",
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    help="Cap on a completion. [default: the task's]",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Every sample follows from it."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first problems.")
@click.option("--template", help=r"Text around the question, with {prompt}; \n is a line break.")
@click.option("--system", default="", help="System message.")
@click.option(
    "--num-few-shot",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Worked examples before the question.",
)
@click.option("--few-shot-data", help="Where they come from. [default: the task's train split]")
@click.option("--out", help="Run folder. [default: runs/<task>-<model or file>]")
@engine_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Evaluate a model, or completions that it wrote earlier.

    Every sample is stored the moment it exists: after a crash or Ctrl-C the same command goes on.
    Samples of another model, prompt or temperature in the folder are never taken for its own.
    """
    from mathrl.evals import get_task

    task = get_task(options["task"])
    own, of_engines = split_options(options)
    config = EvalOptions(**own, engine_options=of_engines).resolved(task)
    view = EvalView()
    try:
        result = _evaluate(task, config, view)
    except KeyboardInterrupt:
        click.echo(
            f"interrupted: {view.count} samples are kept in {config.out}; "
            "the same command goes on from there",
            err=True,
        )
        context.exit(INTERRUPTED)
    finally:
        view.close()
    view.show(result, config.out or "")


def _evaluate(task: "Task", config: EvalOptions, view: EvalView) -> "EvalResult":
    from mathrl.data import load_problems
    from mathrl.engines import SamplingParams
    from mathrl.evals import SampleStore, evaluate, save_result
    from mathrl.evals.runner import samples_to_ask

    assert config.temperature is not None and config.max_new_tokens is not None, "resolved"
    params = SamplingParams(temperature=config.temperature, max_new_tokens=config.max_new_tokens)
    problems = load_problems(
        config.data or task.data,
        split=task.split,
        question_column=config.question_column,
        answer_column=config.answer_column,
        limit=config.limit,
    )
    engine, prompts = open_sampler(task, config, problems)
    folder = Path(config.out or "")
    with closing(engine), SampleStore(folder) as store:
        _describe_run(folder, config, engine, prompts, problems)
        view.start(sum(samples_to_ask(engine, p, config.num_samples) for p in problems))
        result = evaluate(
            task,
            problems,
            engine,
            prompts,
            params,
            num_samples=config.num_samples,
            seed=config.seed,
            store=store,
            on_sample=lambda _, sample: view.add(is_stored=sample.is_stored),
        )
    view.notes = usage_notes(engine, result, config.engine_options)
    save_result(folder, result)
    return result


def _describe_run(
    folder: Path,
    config: EvalOptions,
    engine: "Engine",
    prompts: "PromptBuilder",
    problems: "Sequence[Problem]",
) -> None:
    import tomli_w

    from mathrl.manifest import problems_hash, prompts_hash, write_manifest

    facts = {
        "task": config.task,
        "engine": config.engine,
        "policy_fingerprint": engine.fingerprint,
        "prompt_hash": prompts_hash(prompts, problems),
        "data_hash": problems_hash(problems),
        "n_problems": len(problems),
        "num_samples": config.num_samples,
        "seed": config.seed,
    }
    write_manifest(folder, facts)
    write_whole(folder / "config.toml", tomli_w.dumps(_known(dataclasses.asdict(config))))


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that have a value, those of nested sections too: TOML has no null."""
    found = {key: _known(v) if isinstance(v, dict) else v for key, v in settings.items()}
    return {key: value for key, value in found.items() if value not in (None, {}, ())}
