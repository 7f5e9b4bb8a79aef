"""The command line: one file a command, imported when it is called.

``mathrl --help`` loads no torch. Errors that mathrl raises on purpose end as one line and exit
code 2; ``--debug``, anywhere on the line, shows the traceback.
"""

import importlib
import sys
from collections.abc import Sequence

import click

import mathrl
from mathrl.errors import MathrlError
from mathrl.nearest import did_you_mean

BAD_INPUT = 2
INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""

COMMANDS = (
    "demo",
    "eval",
    "compare",
    "report",
    "matrix",
    "verify",
    "rescore",
    "contamination",
    "lm-eval-path",
    "tasks",
    "score",
    "train-grpo",
    "plan",
    "explain",
    "audit-reward",
)


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mathrl.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:  # click knows no names that are not loaded yet
            if question := did_you_mean(args[0], COMMANDS):
                message = f"{error.message.removesuffix('.')}; {question}"
                raise click.UsageError(message, ctx) from error
            raise


@click.group(
    cls=_LazyGroup,
    epilog="--debug, anywhere on the line, shows the traceback of an error.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(mathrl.__version__, prog_name="mathrl")
def group() -> None:
    """Rewards, evaluation and reinforcement learning for mathematical reasoning."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = group.main(words, prog_name="mathrl", standalone_mode=False)
    except (MathrlError, OSError, click.ClickException) as error:
        if is_debug:
            raise
        click.echo(f"error: {_one_line(error)}", err=True)
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return error.format_message() + hint
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and not isinstance(error, MathrlError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())
