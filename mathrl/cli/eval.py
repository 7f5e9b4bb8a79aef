"""``mathrl eval``: sample, grade, aggregate; the same command again goes on where it stopped.

mathrl eval --task arithmetic -n 8
mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl
mathrl eval --task arithmetic -n 8 --shard 1/2     # and 2/2 in another process, the same folder
mathrl eval --engine lm-eval --task gsm8k_cot --model MODEL
"""

import dataclasses
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mathrl.cli import INTERRUPTED
from mathrl.cli.choice import Choice
from mathrl.cli.eval_engine import (
    EngineKind,
    EngineOptions,
    engine_options,
    open_sampler,
    split_options,
    usage_notes,
)
from mathrl.cli.eval_preset import preset_engine, preset_notes, preset_option
from mathrl.cli.eval_source import HARNESS_PREFIX, LM_EVAL, EvalSource, open_source
from mathrl.cli.eval_view import EvalView
from mathrl.errors import ConfigError
from mathrl.files import write_whole
from mathrl.tables import FORMATS, read_rows

if TYPE_CHECKING:
    from mathrl.engines import Engine
    from mathrl.evals import EvalResult
    from mathrl.evals.runner import Verification
    from mathrl.evals.spec import EvalSpec


class ShardType(click.ParamType["tuple[int, int]"]):
    """``2/8``: index and count, counted from 1 on the command line and from 0 inside."""

    name = "shard"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read both numbers."""
        index, _, count = str(value).partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"{value!r} is not I/N with I from 1 to N, such as 2/8", param, ctx)
        return int(index) - 1, int(count)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalOptions:
    """The options of one evaluation; None means the default that the help text names."""

    task: str
    preset: str | None
    model: str | None
    engine: EngineKind | None
    engine_options: EngineOptions
    data: str | None
    question_column: str | None
    answer_column: str | None
    completions: str | None
    completion_column: str | None
    verdicts: Literal["graded", "recorded"]
    reward_column: str | None
    num_samples: int | None
    k: tuple[int, ...]
    shard: tuple[int, int] | None
    temperature: float | None
    max_new_tokens: int | None
    seed: int
    limit: int | None
    template: str | None
    system: str
    chat: Literal["auto", "on", "off"] | None
    num_few_shot: int | None
    few_shot_data: str | None
    include_path: str | None
    out: str | None

    def __post_init__(self) -> None:
        if self.engine == "recorded" and self.completions is None:
            raise ConfigError("--engine recorded needs --completions FILE")
        if self.engine not in (None, "recorded") and self.completions is not None:
            raise ConfigError(f"--completions replays a file; leave --engine {self.engine} out")
        if self.completions is None and (self.verdicts == "recorded" or self.reward_column):
            raise ConfigError("--verdicts recorded and --reward-column need --completions FILE")
        for k in self.k:
            if self.completions is None and k > (self.num_samples or 1):
                raise ConfigError(
                    f"pass@{k} needs {k} samples a problem, got -n {self.num_samples or 1}"
                )
        if self.completions is not None and self.num_few_shot:
            raise ConfigError("recorded completions had their prompt: leave --num-few-shot out")

    @property
    def is_harness(self) -> bool:
        """The task is one of lm-eval's."""
        return self.task.startswith(HARNESS_PREFIX)

    def resolved(self, source: EvalSource) -> "EvalOptions":
        """The same config with every default filled in.

        Raises:
            ConfigError: The task needs another model than the embedded one.
            DataError: So it does, and its data is not a file that can be read.
        """
        task = source.task
        is_recorded = self.completions is not None
        if not is_recorded and self.model is None and task.name != "arithmetic":
            self._check_data_file()
            raise ConfigError(
                f"task {task.name} needs --model or --completions: the embedded policy does "
                "arithmetic only"
            )
        kind = self.engine_options.kind("recorded" if is_recorded else self.engine, self.model)
        if is_recorded and self.model is not None:
            raise ConfigError("--completions replays a file: leave --model out")
        if self.chat is not None and kind in ("api", "recorded"):
            raise ConfigError(
                f"--chat is for models that are here, not for --engine {kind}: "
                + ("take --endpoint" if kind == "api" else "what is recorded had its prompt")
            )
        num_samples = self.num_samples or (None if is_recorded else source.num_samples)
        name = Path(self.completions).stem if self.completions else _model_name(self.model)
        # a shell cannot type a line break; in a task's own template, \n begins \neq
        template = self.template.replace("\\n", "\n") if self.template else task.template
        # A recorded sample has one temperature, whatever is asked: its key must not depend on it.
        temperature = self.temperature
        if temperature is None:
            temperature = source.temperature or (0.0 if num_samples == 1 else 1.0)
        few_shot = self.num_few_shot
        if few_shot is None:
            few_shot = 0 if is_recorded else task.num_few_shot
        columns = (task.question_column, task.answer_column) if self.data is None else ("", "")
        return dataclasses.replace(
            self,
            task=f"{HARNESS_PREFIX}{task.name}" if self.is_harness else self.task,
            engine=kind,
            engine_options=preset_engine(self, kind),
            data=self.data or task.data,
            question_column=self.question_column or columns[0] or None,
            answer_column=self.answer_column or columns[1] or None,
            system=self.system or task.system,
            num_few_shot=few_shot,
            few_shot_data=self.few_shot_data or task.few_shot_data or None,
            num_samples=num_samples,
            temperature=0.0 if is_recorded else temperature,
            max_new_tokens=self.max_new_tokens or task.max_new_tokens,
            template=template,
            out=self.out or f"runs/{task.name}-{name}",
        )

    def _check_data_file(self) -> None:
        """Tell the fault of a local ``--data`` too, before its problems are asked for."""
        path = Path(self.data or "")
        if self.data is not None and (path.suffix in FORMATS or path.exists()):
            read_rows(path)


def _model_name(model: str | None) -> str:
    """A short name that tells runs apart: every exported policy is a folder named ``policy``."""
    path = Path(model or "embedded")
    if path.name == "policy" and path.parent.name:
        return path.parent.name
    if path.name.startswith("step-"):
        return f"{path.parent.parent.name}-{path.name}"
    return path.name


@click.command("eval")
@click.option(
    "--task",
    required=True,
    help="What to evaluate on: a name that `mathrl tasks` lists, or a .toml or .yaml file.",
)
@preset_option
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
    "--verdicts",
    type=Choice(["graded", "recorded"]),
    default="graded",
    show_default=True,
    help="Who says what is right: the grader, or the 'label' column of --completions.",
)
@click.option("--reward-column", help="Column of --completions with a reward model's scores.")
@click.option(
    "-n",
    "--num-samples",
    type=click.IntRange(min=1),
    help="Samples a problem. [default: 1, or all that are recorded]",
)
@click.option(
    "-k",
    type=click.IntRange(min=1),
    multiple=True,
    help="Samples of pass@k, maj@k, ...; repeatable. [default: 1, 2, 4, ... up to -n]",
)
@click.option(
    "--shard",
    type=ShardType(),
    metavar="I/N",
    help="Do the I-th of N parts; the part that ends last writes the figures of all.",
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
    "--chat",
    type=Choice(["auto", "on", "off"]),
    help="The model's chat template: where it has one, always, or never. [default: the task's]",
)
@click.option(
    "--num-few-shot",
    type=click.IntRange(min=0),
    help="Worked examples before the question. [default: the task's]",
)
@click.option("--few-shot-data", help="Where they come from. [default: the task's train split]")
@click.option("--include-path", help="Folder with lm-eval tasks of your own.")
@click.option("--out", help="Run folder. [default: runs/<task>-<model or file>]")
@engine_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Evaluate a model, or completions that it wrote earlier.

    Every sample is stored the moment it exists: after a crash or Ctrl-C the same command goes on.
    Samples of another model, prompt or temperature in the folder are never taken for its own.
    """
    own, of_engines = split_options(options)
    if own["engine"] == LM_EVAL:
        own |= {"engine": None, "task": f"{HARNESS_PREFIX}{own['task']}"}
    given = EvalOptions(**own, engine_options=of_engines)
    source = open_source(given)
    config = given.resolved(source)
    view = EvalView()
    try:
        result = _evaluate(source, config, view)
    except KeyboardInterrupt:
        kept = f"{view.count} samples are kept in {config.out}; the same command goes on from there"
        click.echo(f"interrupted: {kept if view.count else 'no sample was finished yet'}", err=True)
        context.exit(INTERRUPTED)
    finally:
        view.close()
    view.show(result, config.out or "")
    source.finish(config, result)


def _evaluate(source: EvalSource, config: EvalOptions, view: EvalView) -> "EvalResult":
    import tomli_w

    from mathrl.engines import SamplingParams
    from mathrl.evals.folder import CONFIG_FILE
    from mathrl.evals.run import Shard, evaluate_into
    from mathrl.evals.spec import specify

    assert config.temperature is not None and config.max_new_tokens is not None, "resolved"
    params = SamplingParams(
        temperature=config.temperature, max_new_tokens=config.max_new_tokens, stop=source.task.stop
    )
    problems = source.problems(config)
    if config.limit is None and (note := source.task.size_note(len(problems), config.data or "")):
        click.echo(f"note: {note}")
    engine, prompts = open_sampler(source, config, problems)
    folder = Path(config.out or "")
    options = _known(dataclasses.asdict(dataclasses.replace(config, shard=None)))
    with closing(engine):
        spec = specify(
            source.task.name,
            problems,
            engine,
            prompts,
            params,
            num_samples=config.num_samples,
            seed=config.seed,
        )
        if note := _recorded_note(spec, config):
            click.echo(f"note: {note}")
        shard = (
            None if config.shard is None else Shard(index=config.shard[0], count=config.shard[1])
        )
        view.start(spec.num_samples if shard is None else shard.of(spec).num_samples)
        result = evaluate_into(
            folder,
            spec,
            engine,
            _verification(config, engine),
            facts={"engine": config.engine, "options": options, **source.facts(config)},
            ks=config.k or None,
            shard=shard,
            on_sample=lambda _, sample: view.add(is_stored=sample.is_stored),
        )
    write_whole(folder / CONFIG_FILE, tomli_w.dumps(options))
    view.notes = usage_notes(engine, result, config.engine_options)
    if shard is not None and len(result.problems) + result.n_uncovered < len(spec.asked):
        view.notes.append(
            f"part {shard.index + 1} of {shard.count} alone: the part that ends last writes the "
            "figures of all"
        )
    if config.preset is not None:
        view.notes += preset_notes(folder, source.task.name)
    return result


def _recorded_note(spec: "EvalSpec", config: EvalOptions) -> str | None:
    """Say where a file has fewer samples than are asked for."""
    wanted = config.num_samples or 0
    fewer = [asked for asked in spec.asked if 0 < asked.num_samples < wanted]
    if not fewer:
        return None
    fewest = min(asked.num_samples for asked in fewer)
    return f"-n {wanted}: {len(fewer)} problems have fewer samples recorded, {fewest} at least"


def _verification(config: EvalOptions, engine: "Engine") -> "Verification":
    from mathrl.engines.recorded import RecordedEngine
    from mathrl.evals.runner import Verification
    from mathrl.evals.verifiers import Grader, RecordedLabels, RecordedRewards

    if not isinstance(engine, RecordedEngine):
        return Verification(verifier=Grader())
    column = config.reward_column
    return Verification(
        verifier=RecordedLabels(engine) if config.verdicts == "recorded" else Grader(),
        reward=RecordedRewards(engine, column) if column else None,
    )


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that have a value, those of nested sections too, as TOML and JSON have them."""
    found = {key: _plain(value) for key, value in settings.items()}
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _plain(value: Any) -> Any:  # whatever a setting may be
    if isinstance(value, dict):
        return _known(value)
    return list(value) if isinstance(value, tuple) else value
