"""How lm-eval grades GSM8K: a number found by a pattern, compared as text.

    mathrl matrix runs/gsm8k-MODEL --rule lm-eval-strict --rule lm-eval-flexible

Behaviour of lm-eval 0.4.13, tasks ``gsm8k`` and ``gsm8k_cot``. Numbers are compared as text after
``,``, ``$`` and a last full stop are taken out, so 18.00 is not 18.
"""

import re

from mathrl.evals.rules.base import Rule, Verdict, verdict
from mathrl.schema import Problem

_AFTER_HASHES = re.compile(r"#### (-?[0-9.,]+)")
_AFTER_WORDS = re.compile(r"The answer is (-?[0-9.,]+).")  # one more character must follow
_NUMBER = re.compile(r"-?(?:[$0-9.,]{2,}|[0-9])")
"""A run of digits and the signs among them; ``..`` and ``,,`` are such runs too."""


def _strict(text: str, problem: Problem) -> Verdict:
    found = _AFTER_HASHES.search(text)
    return verdict(found[1] if found else None, problem, _is_same_text)


def _cot_strict(text: str, problem: Problem) -> Verdict:
    found = _AFTER_WORDS.search(text)
    return verdict(found[1] if found else None, problem, _is_same_text)


def _flexible(text: str, problem: Problem) -> Verdict:
    numbers = _NUMBER.findall(text)
    return verdict(numbers[-1] if numbers else None, problem, _is_same_text)


def _is_same_text(prediction: str, answer: str) -> bool:
    return _cleaned(prediction) == _cleaned(answer)


def _cleaned(number: str) -> str:
    plain = number.replace(",", "").replace("$", "").lower()
    return plain.removesuffix(".")


STRICT = Rule(
    name="lm-eval-strict",
    description="the number after the first '#### '; equal as text without , and $",
    source="lm-eval 0.4.13, gsm8k, strict-match",
    apply=_strict,
)
COT_STRICT = Rule(
    name="lm-eval-cot-strict",
    description="the number after the first 'The answer is '; equal as text without , and $",
    source="lm-eval 0.4.13, gsm8k_cot, strict-match",
    apply=_cot_strict,
)
FLEXIBLE = Rule(
    name="lm-eval-flexible",
    description="the last number in the text; equal as text without , and $",
    source="lm-eval 0.4.13, gsm8k, flexible-extract",
    apply=_flexible,
)
