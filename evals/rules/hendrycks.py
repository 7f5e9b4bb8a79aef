r"""Text equality of MATH answers, and lm-eval's two rules that are built on it.

    mathrl matrix runs/math500-MODEL --rule lm-eval-hendrycks --rule boxed

``hendrycks_math`` reads what is between the first and the last ``$`` of a completion and never
looks for ``\boxed{}``, so it fails almost every worked solution, the reference solutions included.
``aime`` reads the last box first. Both compare texts after the cleaning of the MATH data set.

Source: arXiv 2103.03874 (MATH, its equivalence of answers); behaviour of lm-eval 0.4.13.
"""

import re

from mathrl.evals.rules.base import Rule, Verdict, verdict
from mathrl.evals.rules.braces import inside_brace
from mathrl.schema import Problem

_DROPPED = re.compile(r"\\left|\\right|\^\{\\circ\}|\^\\circ|\\\$|\\%")
_UNIT = "\\text{ "
"""How the data set writes a unit; what follows is not part of the answer."""
_BARE_ROOT = re.compile(r"\\sqrt([^{])")
_BARE_FRACTION = re.compile(r"\\frac([^{])(.)")
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_WHOLE_LOOSELY = re.compile(r"[+-]?[0-9]+")


def is_same_math_text(prediction: str, answer: str) -> bool:
    """Tell whether two answers are the same text once both are cleaned.

    Where one of them cannot be cleaned, both are compared as they stand.
    """
    first, second = cleaned(prediction), cleaned(answer)
    if first is None or second is None:
        return prediction == answer
    return first == second


def cleaned(answer: str) -> str | None:
    r"""Bring an answer of MATH to its usual spelling.

    Takes out line breaks, sizes, degrees, dollars, percent signs, a unit at the end, a leading
    ``x =`` and spaces; writes ``\frac`` and ``\sqrt`` with braces and ``a/b`` as a fraction.

    Returns:
        The text, or None where the original gives up: two units, a command without its argument,
        or one slash between things that are not whole numbers.
    """
    text = answer.replace("\n", "").replace("\\!", "").replace("\\\\", "\\")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac")
    text = _DROPPED.sub("", text)
    if text.count(_UNIT) > 1:
        return None
    text = text.partition(_UNIT)[0]
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    text = f"0{text}" if text.startswith(".") else text
    name, is_equation, value = text.partition("=")
    if is_equation and "=" not in value and len(name) <= 2:
        text = value
    if text.endswith("\\sqrt"):
        return None
    text = _BARE_ROOT.sub(r"\\sqrt{\1}", text).replace(" ", "")
    if text.endswith("\\frac"):
        return None
    text = _BARE_FRACTION.sub(_braced, text)
    return _slash_as_fraction("\\frac{1}{2}" if text == "0.5" else text)


def _braced(fraction: re.Match[str]) -> str:
    top, bottom = fraction.groups()
    return f"\\frac{{{top}}}" + ("{" if bottom == "{" else f"{{{bottom}}}")


def _slash_as_fraction(text: str) -> str | None:
    top, slash, bottom = text.partition("/")
    if not slash or "/" in bottom:
        return text
    if _WHOLE.fullmatch(top) and _WHOLE.fullmatch(bottom):
        return f"\\frac{{{top}}}{{{bottom}}}"
    is_number = _WHOLE_LOOSELY.fullmatch(top) and _WHOLE_LOOSELY.fullmatch(bottom)
    return text if is_number else None


def last_braced_box(text: str) -> str | None:
    r"""What the last ``\boxed{`` holds, None where it is not closed or has no brace at once."""
    if "\\boxed " in text:
        return text.rpartition("\\boxed ")[2].partition("$")[0]
    start = text.rfind("\\boxed")
    inside = start + len("\\boxed{")
    if start < 0 or text[inside - 1 : inside] != "{":
        return None
    return inside_brace(text[inside:])


def _between_dollars(text: str) -> str:
    first, last = text.find("$"), text.rfind("$")
    return text[first + 1 : last] if first < last else text


def _hendrycks(text: str, problem: Problem) -> Verdict:
    return verdict(_between_dollars(text), problem, is_same_math_text)


def _boxed(text: str, problem: Problem) -> Verdict:
    box = last_braced_box(text)
    prediction = _between_dollars(text) if box is None else box
    return verdict(prediction, problem, is_same_math_text)


HENDRYCKS = Rule(
    name="lm-eval-hendrycks",
    description="all between the first and the last $, boxes are not looked for; equal as text",
    source="lm-eval 0.4.13, hendrycks_math",
    apply=_hendrycks,
)
BOXED = Rule(
    name="boxed",
    description=r"the last \boxed{}, else as lm-eval-hendrycks; equal as text",
    source="lm-eval 0.4.13, aime24",
    apply=_boxed,
)
