r"""How lm-eval grades MATH after its few-shot prompt: one fixed sentence is read, nothing else.

    mathrl matrix runs/math500-MODEL --rule lm-eval-minerva

The completion must say ``Final Answer: The final answer is X. I hope it is correct.``, as the four
examples of the prompt do; a model that was asked differently scores 0. Both answers are cleaned,
then they must be the same text or the same formula. lm-eval asks sympy's LaTeX parser for the
latter; here the toolkit's own grader decides, where both sides are one expression each.

Source: arXiv 2206.14858 (Minerva, appendix D); behaviour of lm-eval 0.4.13, minerva_math.
"""

import re

from mathrl.evals.rules.base import Rule, Verdict, verdict
from mathrl.rewards import equivalent
from mathrl.schema import Problem

_OPENING = "Final Answer: The final answer is"
_CLOSING = " I hope it is correct."

_UNITS = (
    "square|ways|integers|dollars|mph|inches|ft|hours|km|units|sue|points|feet|minutes|digits|"
    "cents|degrees|cm|gm|pounds|meters|meals|edges|students|childrentickets|multiples"
)
_UNIT_WORD = re.compile(rf"(?<!\\)\b(?:{_UNITS})\b")
_COMMAND_OR_UNIT = re.compile(rf"(\\[a-zA-Z]+)|{_UNITS}")
_EMPTY_UNIT = re.compile(
    r"\\text\{(?:s|\.|\ns|\n)?\}(?:\^[23])?|\\mathrm\{th\}|\^(?:\{\\circ\}|\\circ)"
)
_NOISE = re.compile(r"""\\;|,\\!|\{,\}|"|\\l?dots""")
_WRAPPED = re.compile(r"\\(?:text|textbf|overline)\{([^}\n]*)\}")
_BARE_FRACTION = re.compile(r"frac([^{])(.)")
_BARE_INDEXED_ROOT = re.compile(r"(sqrt\[[^\]]*\])(\w)")
_BARE_ROOT = re.compile(r"sqrt(?!\[)([^{])")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+")
_GROUPING_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9]{3})")
_NO_FORMULA = re.compile(r"\\\\|\\begin|\\%|[%;#&\"'<>:]|\.\Z|\A\.|(?<![a-zA-Z\\])[a-zA-Z]{3}")
"""What sympy's parser refuses or reads letter by letter: matrices, intervals, units, words."""


def stated_answer(text: str) -> str | None:
    """What stands between the fixed opening and closing words, on the first line that has both."""
    for line in text.split("\n"):
        opening = line.find(_OPENING)
        if opening < 0:
            continue
        start = opening + len(_OPENING)
        closing = line.find(_CLOSING, start + 1)
        if closing > 0:
            return line[start : closing - 1].strip()  # the full stop before the closing words
    return None


def cleaned(answer: str) -> str:
    """Bring an answer to the spelling in which Minerva's evaluation compares it.

    Keeps what follows the last ``=``, takes out units, articles and spaces, reads what is between
    dollars, writes short fractions and roots with braces, and drops commas between thousands.
    """
    text = _UNIT_WORD.sub("", answer.rpartition("=")[2])
    text = text.replace("an ", "").replace("a ", "").replace(".$", "$").replace("\\$", "")
    text = text.replace("\\ ", "").replace(" ", "").replace("mbox", "text")
    text = text.replace(",\\text{and}", ",").replace("\\text{and}", ",")
    text = text.replace("\\text{m}", "\\text{}")
    text = _COMMAND_OR_UNIT.sub(lambda found: found[1] or "", text)
    text = _NOISE.sub("", _EMPTY_UNIT.sub("", text))
    before, dollar, rest = text.partition("$")
    inside, second, _ = rest.partition("$")
    text = inside if second else before + dollar + rest
    text = _without_box(_WRAPPED.sub(r"\1", text))
    text = _BARE_FRACTION.sub(r"frac{\1}{\2}", text)
    text = _BARE_INDEXED_ROOT.sub(r"\1{\2}", text)
    text = _BARE_ROOT.sub(r"sqrt{\1}", text).replace("$", "")
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _without_box(text: str) -> str:
    """Take away ``\\boxed{`` and the last brace after it."""
    before, box, rest = text.partition("\\boxed{")
    inside, brace, after = rest.rpartition("}")
    return before + inside + after if box and brace else text


def _is_same(prediction: str, answer: str) -> bool:
    known = cleaned(answer)
    if prediction and prediction == known:
        return True
    first, second = _first_member(prediction), _first_member(known)
    if first is None or second is None or _NO_FORMULA.search(first) or _NO_FORMULA.search(second):
        return False
    return equivalent(first, second).status == "correct"


def _first_member(answer: str) -> str | None:
    """What comes before a comma: sympy's parser stops there, so lm-eval compares no further.

    None where the comma is inside brackets, which that parser refuses.
    """
    text = _GROUPING_COMMA.sub("", answer)
    first, comma, _ = text.partition(",")
    is_inside = comma and sum(first.count(sign) for sign in "([{") > sum(map(first.count, ")]}"))
    return None if is_inside else first


def _minerva(text: str, problem: Problem) -> Verdict:
    stated = stated_answer(text + _CLOSING.lstrip())  # lm-eval adds it to a text that was cut
    return verdict(stated, problem, _is_same, cleaned)


MINERVA = Rule(
    name="lm-eval-minerva",
    description="the X of 'Final Answer: The final answer is X. I hope it is correct.'; equal as "
    "text after cleaning, or as formulas",
    source="lm-eval 0.4.13, minerva_math, exact_match",
    apply=_minerva,
)
