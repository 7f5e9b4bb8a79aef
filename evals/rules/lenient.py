"""What the rules of Qwen2.5-Math and DeepSeek-Math share: where they look, when two are equal."""

import re

from mathrl.rewards import equivalent

_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]+")


def sentence_answer(text: str) -> str | None:
    """The answer in the closing sentence of Minerva's examples, ``final answer is $X$. I hope``."""
    _, opening, rest = text.partition("final answer is $")
    inside, closing, _ = rest.partition("$. I hope")
    if opening and closing:
        return inside.strip()
    # both marks are there, in the wrong order: everything after the opening one counts
    return rest.strip() if opening and "$. I hope" in text else None


def after_last(text: str, words: str) -> str | None:
    """What follows the last use of some words, None where there is none."""
    _, found, rest = text.rpartition(words)
    return rest.strip() if found else None


def last_number(text: str) -> str | None:
    """The last number once commas are taken out, None where there is none."""
    numbers = _NUMBER.findall(text.replace(",", ""))
    return numbers[-1] if numbers else None


def as_number(text: str) -> float | None:
    """A plain number or a percentage as a number, ``12%`` as 0.12, None for anything else."""
    plain = text.replace(",", "").strip()
    scale = 1.0
    if plain.endswith("%"):
        plain, scale = plain.removesuffix("%").removesuffix("\\"), 0.01
    try:
        return float(plain) * scale
    except ValueError:
        return None


def is_same_value(prediction: str, answer: str) -> bool:
    """Ask the toolkit's own grader, where those projects ask sympy's parsers."""
    return equivalent(prediction, answer).status == "correct"
