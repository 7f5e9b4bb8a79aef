r"""How DeepSeek-Math's evaluation grades: every box a part of the answer, equal within 0.001.

    mathrl matrix runs/math500-MODEL --rule deepseek
    mathrl matrix runs/gsm8k-MODEL --rule deepseek-few-shot

Zero-shot it reads the closing sentence of Minerva's examples, else the boxes, else what follows
``he answer is``, else the output of the last program, else the last number. After the eight
examples of GSM8K it reads the last number before the next ``Q:``, commas included, so that 1,000
is read as 000.

Source: deepseek-ai/DeepSeek-Math, ``evaluation/data_processing/answer_extraction.py`` and
``evaluation/eval``. Two things are left out: a known answer with several boxes (a problem has one
answer here, so the last distinct box is compared), and sympy's parsers, for which the toolkit's own
grader decides.
"""

import re

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

_ABSOLUTE = 1e-3
_NOISE = re.compile(r"\\[!$]|\$|\\left|\\right|\\mathbf|\\mathrm|\^\{\\circ\}|\^\\circ")
_UNIT_AT_END = re.compile(r"\\(?:text|mbox)\{[^{}]*\}\Z")
_WORD = re.compile(r"\\text\{([^{}]*)\}")
_AND = re.compile(r"\\text\{\s*and\s*\}")
_DIGITS = re.compile(r"-?[0-9]+\.?[0-9]*")
_MANY = "separated by commas"
"""Words of the question that make the answer a list."""
_MAX_PARTS = 20
"""Parts of a list: every one is compared with every other."""


def found_answer(text: str) -> str | None:
    """Where the zero-shot rule looks, in its order; of several boxes the last closed one."""
    sentence = sentence_answer(text)
    if sentence is not None:
        return sentence
    if "boxed" in text:
        return _last_closed_box(text)
    stated = after_last(text, "he answer is")
    if stated is not None:
        return stated
    output = text.rpartition("```output")[2].partition("```")[0].strip()
    return output if "```output" in text and output else last_number(text)


def cleaned(answer: str) -> str:
    """The first line without units, sizes, dollars and the signs at a sentence's end."""
    text = answer.strip().partition("\n")[0].lstrip(":").rstrip(".").rstrip("/").strip()
    word = _WORD.fullmatch(text)
    text = word[1] if word else text
    text = _NOISE.sub("", text)
    text = (_UNIT_AT_END.sub("", text).strip() or text).strip()
    return text.replace("\\%", "%").rstrip("\\,.")


def is_same_answer(prediction: str, answer: str) -> bool:
    """Tell whether two single answers are equal: as text, within 0.001, or as formulas.

    A number may also be within 0.001 of a hundredth or the hundredfold of the known one.
    """
    if prediction == answer:
        return bool(answer)
    number, known = as_number(prediction), as_number(answer)
    if number is not None and known is not None:
        variants = (known / 100, known, known * 100)
        return any(abs(variant - number) <= _ABSOLUTE for variant in variants)
    return is_same_value(prediction, answer)


def _last_closed_box(text: str) -> str | None:
    """The content of the last ``boxed{`` that is closed before the next one begins."""
    pieces = map(inside_brace, reversed(text.split("boxed{")[1:]))
    return next((inside for inside in pieces if inside is not None), None)


def _deepseek(text: str, problem: Problem) -> Verdict:
    is_list = _MANY in problem.prompt

    def is_same(prediction: str, answer: str) -> bool:
        given, known = _parts(prediction, is_list), _parts(cleaned(answer), is_list)
        if max(len(given), len(known)) > _MAX_PARTS:
            return False
        return all(any(is_same_answer(one, other) for other in known) for one in given) and all(
            any(is_same_answer(one, other) for one in given) for other in known
        )

    return verdict(found_answer(text), problem, is_same, cleaned)


def _parts(answer: str, is_list: bool) -> list[str]:
    if is_list and not any(bracket in answer for bracket in "()[]"):
        return [part.strip() for part in answer.split(",")]
    return [part.strip() for part in _AND.split(answer)]


def _few_shot(text: str, problem: Problem) -> Verdict:
    numbers = _DIGITS.findall(text.partition("Q: ")[0])
    return verdict(numbers[-1] if numbers else None, problem, is_same_answer)


DEEPSEEK = Rule(
    name="deepseek",
    description="the closing sentence, else the boxes, else after 'he answer is', else program "
    "output, else the last number; equal within 0.001, or as formulas",
    source="deepseek-ai/DeepSeek-Math, evaluation (zero-shot)",
    apply=_deepseek,
)
DEEPSEEK_FEW_SHOT = Rule(
    name="deepseek-few-shot",
    description="the last run of digits before the next 'Q: ', commas split it; equal within 0.001",
    source="deepseek-ai/DeepSeek-Math, evaluation (GSM8K, 8-shot)",
    apply=_few_shot,
)
