"""``mathrl score``: grade files of completions of any size; the same command again goes on.

mathrl score completions.jsonl
zcat *.jsonl.gz | mathrl score - --out all.scores.jsonl
"""

import hashlib
import json
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.cli import INTERRUPTED
from mathrl.cli.choice import Choice
from mathrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mathrl.cli.score_log import Origin, ScoreLog
    from mathrl.cli.score_rows import RowGrader, Tally
    from mathrl.cli.score_view import Speed
    from mathrl.streams import RowStream

SCORES = ".scores.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreOptions:
    """The options of ``mathrl score``."""

    files: tuple[str, ...]
    completion_column: str | None
    answer_column: str | None
    policy: str
    out: str | None
    processes: int | None
    limit: int | None
    force: bool

    def __post_init__(self) -> None:
        if not self.inputs:
            raise DataError(
                f"{self.files[0]} is what mathrl score wrote; give the file with the completions"
            )
        if self.out is not None and len(self.inputs) > 1:
            raise ConfigError("--out is one file: leave it out, or score one FILE at a time")

    @property
    def inputs(self) -> list[Path]:
        """What to grade: ``score *.jsonl``, called again, finds the files that it wrote too."""
        return [Path(name) for name in self.files if not name.endswith(SCORES)]

    def out_path(self, path: Path) -> Path:
        """Where the scores of an input go."""
        if self.out is not None:
            return Path(self.out)
        name = "stdin" if str(path) == "-" else path.name.removesuffix(".gz").rpartition(".")[0]
        return path.with_name(name + SCORES)


@click.command("score")
@click.argument("files", nargs=-1, required=True, metavar="FILE [FILE...]")
@click.option(
    "--completion-column",
    help="Column with the completion. [default: completion, response, output, ...]",
)
@click.option(
    "--answer-column",
    help="Column with the known answer. [default: answer, gold, ground_truth, ...]",
)
@click.option(
    "--policy",
    type=Choice(["eval", "reward"]),
    default="eval",
    show_default=True,
    help="eval reads what an honest model means; reward pays for one clear answer only.",
)
@click.option("--out", help="File for the scores. [default: NAME.scores.jsonl beside FILE]")
@click.option(
    "--processes", type=click.IntRange(min=1), help="Most worker processes. [default: all cores]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first rows.")
@click.option("--force", is_flag=True, help="Start over, whatever the output holds.")
def command(**options: Any) -> None:
    """Grade the completions of JSONL, Parquet and CSV files of any size; - is JSONL on stdin.

    A row has a completion (text, a list of messages, or a list of samples) and a known answer.
    After Ctrl-C or a crash the same command goes on where it stopped.
    """
    from mathrl.cli.score_rows import Tally
    from mathrl.cli.score_view import Speed, show_speed, show_tally

    config = ScoreOptions(**options)
    tally, speed = Tally(), Speed()
    for path in config.inputs:
        tally.add(_score_file(path, config, speed))
        click.echo()
    if len(config.inputs) > 1:
        show_tally(f"all {len(config.inputs)} files: {tally.rows:,} rows", tally)
        show_speed(speed)


def _score_file(path: Path, config: ScoreOptions, total: "Speed") -> "Tally":
    from mathrl.cli.score_log import ScoreLog
    from mathrl.cli.score_view import show_speed, show_tally
    from mathrl.streams import open_rows

    stream = open_rows(path)
    grader = _grader(stream, config)
    with ScoreLog(config.out_path(path), _origin(grader), is_forced=config.force) as log:
        num_kept = log.num_rows
        speed = _grade_rest(stream, grader, log, config)
    columns = f"columns {grader.completion_column} and {grader.answer_column}"
    show_tally(
        f"{stream.name}: {log.num_rows:,} rows, {columns}, policy {config.policy}", log.tally
    )
    if num_kept:
        click.echo(f"{num_kept:,} rows were graded before")
    show_speed(speed)
    click.echo(f"scores: {log.path}")
    total.add(speed)
    return log.tally


def _grade_rest(
    stream: "RowStream", grader: "RowGrader", log: "ScoreLog", config: ScoreOptions
) -> "Speed":
    from mathrl.cli.score_source import ChunkSource
    from mathrl.cli.score_view import ProgressView
    from mathrl.rewards.pool import spread

    source = ChunkSource(stream, grader, log, config.limit)
    view = ProgressView(stream.name, stream.size)
    try:
        with closing(spread(grader, source.chunks(), config.processes)) as chunks:
            for graded in chunks:
                log.append(graded)
                view.add(graded, log.num_rows)
                if graded.error:
                    raise DataError(_with_kept(graded.error, log))
    except KeyboardInterrupt:
        view.close()
        click.echo(
            f"interrupted: {log.num_rows:,} rows are kept in {log.path};"
            " the same command goes on from there",
            err=True,
        )
        click.get_current_context().exit(INTERRUPTED)
    finally:
        view.close()
    if source.error is not None:
        raise DataError(_with_kept(str(source.error), log)) from source.error
    return view.speed


def _with_kept(message: str, log: "ScoreLog") -> str:
    """Say that a mended file goes on where it stopped."""
    return f"{message} ({log.num_rows:,} rows before it are kept)" if log.num_rows else message


def _grader(stream: "RowStream", config: ScoreOptions) -> "RowGrader":
    from mathrl.cli.score_rows import COMPLETION_COLUMNS, RowGrader
    from mathrl.data import ANSWER_COLUMNS
    from mathrl.rewards import EVAL, REWARD
    from mathrl.tables import choose_column

    first = dict.fromkeys(stream.columns)
    completion_column = choose_column(
        first, config.completion_column, COMPLETION_COLUMNS, "completion", stream.place
    )
    others = {name: None for name in first if name != completion_column}
    answer_column = choose_column(
        others, config.answer_column, ANSWER_COLUMNS, "answer", stream.place
    )
    policy = REWARD if config.policy == "reward" else EVAL
    return RowGrader(completion_column, answer_column, policy)


def _origin(grader: "RowGrader") -> "Origin":
    from mathrl.cli.score_log import Origin
    from mathrl.evals.verifiers import grader_fingerprint

    choices = json.dumps(asdict(grader.policy), sort_keys=True)
    digest = hashlib.blake2b(choices.encode(), digest_size=4).hexdigest()
    return Origin(
        completion_column=grader.completion_column,
        answer_column=grader.answer_column,
        policy=f"{grader.policy.name} ({digest})",
        grader=grader_fingerprint(),
    )
