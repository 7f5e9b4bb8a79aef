r"""How Qwen2.5-Math's evaluation grades: any answer it finds, equal within 0.01 % or as percent.

    mathrl matrix runs/math500-MODEL --rule qwen

It reads the closing sentence of Minerva's examples, else the last box, else what follows ``he
answer is``, else the last number. A number is right if it, a hundredth or a hundred times the known
answer is within a relative 1e-4: 0.5 and 50 pass for ``50\%``, and so does 5000 for 50.

Source: QwenLM/Qwen2.5-Math, ``evaluation/parser.py`` and ``grader.py``. Its list of about 150 unit
words and its multiple-choice sets are left out; where it asks three parsers in turn, the toolkit's
own grader decides.
"""

import re
from math import isclose

from mathrl.evals.rules.base import Rule, Verdict, verdict
from mathrl.evals.rules.braces import inside_brace
from mathrl.evals.rules.lenient import (
    after_last,
    as_number,
    is_same_value,
    last_number,
    sentence_answer,
)
from mathrl.schema import Problem

_RELATIVE = 1e-4
_NOISE = re.compile(r"\\[!$%]|[$%]|\\left|\\right|\\\(|\\\)|\^\{\\circ\}|\^\\circ")
_UNIT_AT_END = re.compile(r"\\(?:text|mbox)\{[^{}]*\}\Z")
_BRACKETS = re.compile(r"[{}()]")
_CHOICES = "ABCDE"
_CHOICE = re.compile(r"\b[A-E]\b")


def found_answer(text: str) -> str | None:
    """Where the rule looks, in its order."""
    sentence = sentence_answer(text)
    if sentence is not None:
        return sentence
    _, box, rest = text.rpartition("boxed")
    if box:
        if not rest.startswith("{"):
            return rest.partition("$")[0].strip()
        inside = inside_brace(rest[1:])
        return rest[1:] if inside is None else inside
    for words in ("he answer is", "final answer is"):
        stated = after_last(text, words)
        if stated is not None:
            return stated
    return last_number(text)


def cleaned(answer: str) -> str:
    """One line without units, percent signs, dollars and the signs around a sentence's end."""
    text = re.sub(r"\n\s*+", "", answer).removeprefix(":").removesuffix(".").removesuffix("/")
    text = _NOISE.sub("", text.strip().rstrip("."))
    return (_UNIT_AT_END.sub("", text).strip() or text).strip()


def is_same_number(prediction: float, answer: float) -> bool:
    """Tell whether a number is the known one, its hundredth or its hundredfold, within 1e-4."""
    variants = (answer / 100, answer, answer * 100)
    return any(isclose(variant, prediction, rel_tol=_RELATIVE) for variant in variants)


def _is_same(prediction: str, answer: str) -> bool:
    known = cleaned(answer)
    if prediction.lower() == known.lower():
        return True
    if known and known in _CHOICES and _CHOICE.findall(prediction.upper())[-1:] == [known]:
        return True
    number, known_number = as_number(prediction), as_number(known)
    if number is not None and known_number is not None:
        return is_same_number(number, known_number)
    if _BRACKETS.sub("", prediction).lower() == _BRACKETS.sub("", known).lower():
        return bool(prediction)
    return is_same_value(prediction, known)


def _qwen(text: str, problem: Problem) -> Verdict:
    return verdict(found_answer(text), problem, _is_same, cleaned)


QWEN = Rule(
    name="qwen",
    description="the closing sentence, else the last box, else after 'he answer is', else the last "
    "number; equal within 1e-4, as a hundredth or hundredfold, or as formulas",
    source="QwenLM/Qwen2.5-Math, evaluation/parser.py and grader.py",
    apply=_qwen,
)
