"""``mathrl explain COMPLETION ANSWER``: how one completion is graded, step by step."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mathrl.cli.choice import Choice
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.rewards import Explanation


@click.command(epilog=r"Example: mathrl explain 'So it is \boxed{\frac{\sqrt{12}}{2}}.' '\sqrt3'")
@click.argument("completion")
@click.argument("answer")
@click.option(
    "--policy",
    "policy_name",
    type=Choice(["eval", "reward"]),
    default="eval",
    show_default=True,
    help="How strictly to read and compare.",
)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def command(completion: str, answer: str, policy_name: str, is_json: bool) -> None:
    """Show how COMPLETION is graded against ANSWER.

    COMPLETION is the text itself, @FILE to read it from a file, or - for standard input.
    """
    from mathrl.rewards import EVAL, REWARD, explain

    policy = {"eval": EVAL, "reward": REWARD}[policy_name]
    explanation = explain(_text(completion), answer, policy)
    if is_json:
        click.echo(json.dumps(asdict(explanation), ensure_ascii=False, indent=2))
        return
    for name, value in _lines(explanation, answer):
        click.echo(f"{name:<14}{value}")


def _text(completion: str) -> str:
    if completion == "-":
        return sys.stdin.read()
    if not completion.startswith("@"):
        return completion
    try:
        with open(completion[1:], encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{completion[1:]} is not UTF-8 text: {error.reason}") from error


def _lines(explanation: "Explanation", answer: str) -> Iterator[tuple[str, str]]:
    score = explanation.score
    yield "policy", explanation.policy
    yield "cue", explanation.cue or "none"
    yield "extracted", "nothing" if explanation.extracted is None else explanation.extracted
    yield "answer", answer
    for name, readings in (("prediction", explanation.prediction), ("answer", explanation.answer)):
        for turn, reading in enumerate(readings):
            label = f"{name} is" if turn == 0 else "or"
            yield label, reading.tree
            if reading.normal_form not in (None, reading.tree):
                yield "", f"= {reading.normal_form}"
    yield "tier", "none" if score.tier is None else f"{score.tier} ({_TIERS[score.tier]})"
    yield "verdict", f"{score.status}, worth {'nothing' if score.value is None else score.value}"
    yield "because", score.reason


_TIERS = ("text", "exact numbers", "structure and normal form", "evaluation", "sympy")
