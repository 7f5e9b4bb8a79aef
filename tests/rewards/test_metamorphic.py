r"""Rewrites of an answer that stay equal, and alterations that must not, on answers of every kind.

Each rewrite or alteration gives a text, or None where it does not apply. There is no list of
exceptions: what a rule cannot safely do, it leaves alone.
"""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from mathrl.rewards import EVAL, REWARD, Policy, equivalent
from mathrl.schema import Score

DATA = Path(__file__).parents[3] / "shared" / "data" / "math500.jsonl"
Rule = Callable[[str], str | None]

WRITTEN = r"""
7   -13   1024   40320   123456789   0.65   -2.5   \frac{3}{8}   -\frac{7}{20}   \frac{22}{7}
\frac{13}{4}   2\frac{3}{5}   \sqrt{2}   3\sqrt{5}   \frac{\sqrt{3}}{2}   2\sqrt{3}-2
1+\sqrt{7}   \sqrt[3]{10}   \frac{1+\sqrt{5}}{2}   5\pi   \frac{2\pi}{3}   4\pi+6   e^{3}
\ln 5   \log_{2} 7   2+3i   -1-i   \frac{1}{2}+\frac{1}{3}i   12!   \binom{9}{4}   x+1
x^2-3x+2   2x^3-x+7   3a^2b-b^2   (x-1)(x+4)   \frac{x+1}{x-2}   \frac{1}{n(n+1)}   n^2+n
2^n-1   \sqrt{x^2+9}   \sin^2 t+3   x^2+y^2=25   y=2x+5   x+2y-3z=4   x<7   x\ge-3   -1<x\le4
(-5,3)   (1,2,8)   \left(\frac{1}{2},\frac{3}{4}\right)   (0,\sqrt{2})   [0,1)   (-4,9]   [2,11]
(-\infty,3)   [5,\infty)   (-\infty,-2)\cup(6,\infty)   [0,1]\cup(4,5)   \{1,3,7\}   \{2\}
1,-6   2,3,5   1+\sqrt{2},1-\sqrt{2}   \pm 3   \begin{pmatrix}1&2\\3&5\end{pmatrix}
\begin{pmatrix}4\\-7\\1\end{pmatrix}   \begin{bmatrix}0&-1\\1&2\end{bmatrix}   45^\circ   35\%
18\text{ cm}   3:4   1011_2   \text{Monday}   \text{(B)}
"""
ANSWERS = re.split(r"   |\n", WRITTEN.strip())

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9]+)\}\{([0-9]+)\}")
_EXPONENT = re.compile(r"(?<=[A-Za-z)])\^(?:\{([0-9]+)\}|([0-9]))")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_RELATION = re.compile(
    r"[=<>]|\\(?:le|ge|ne|in|leq|geq|neq|cup|cap|setminus|equiv|pm|mp)(?![A-Za-z])"
)
_GROUPED = re.compile(r"[0-9],[0-9]{3}(?![0-9])|\\[!,;: ]")
_NOT_IN_FORMULAS = (",", ":", r"\{", "%", r"\$", "|", "!", r"\circ", r"\infty", "_", "...")
_UNICODE = {r"\pi": "π", r"\infty": "∞", r"\cup": "∪", r"\le": "≤", r"\ge": "≥", r"\theta": "θ",
            r"\pm": "±", r"\cdot": "⋅", r"\times": "×", r"\in": "∈", r"\ne": "≠"}  # fmt: skip


def is_words(answer: str) -> bool:
    """Tell whether there is language in an answer, or a layout that the rules do not know."""
    has_layout = any(mark in answer for mark in (r"\text", r"\math", r"\mbox", r"\begin"))
    return has_layout or re.search("[A-Za-z]{3,}", _COMMAND.sub(" ", answer)) is not None


def pieces(answer: str, marks: str) -> list[str]:
    """Cut a text at marks that stand outside all brackets; the mark stays with what follows it."""
    depth, found = 0, [""]
    for character in answer:
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in marks:
            found.append("")
        found[-1] += character
    return found


def is_balanced(text: str) -> bool:
    """Tell whether no bracket closes that was not opened: not so of the inside of ``(1)+(2)``."""
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def is_formula(answer: str) -> bool:
    """Tell whether an answer is one expression: no list, no relation, no language, no unit."""
    if is_words(answer) or _RELATION.search(answer) or answer.endswith("."):
        return False
    return answer[0] != "[" and not any(mark in answer for mark in _NOT_IN_FORMULAS)


def items(answer: str) -> tuple[str, list[str], str] | None:
    r"""Cut ``(1, 2)``, ``\{1, 2\}`` and ``1, 2`` into what opens them, their items, what closes."""
    if is_words(answer) or _RELATION.search(answer) or _GROUPED.search(answer):
        return None
    plain = answer.replace(r"\left", "").replace(r"\right", "").strip()
    opening = next((mark for mark in (r"\{", "(", "[") if plain.startswith(mark)), "")
    closing = next((mark for mark in (r"\}", ")", "]") if plain.endswith(mark)), "")
    inner = plain[len(opening) : len(plain) - len(closing)]
    if bool(opening) != bool(closing) or not is_balanced(inner):
        return None
    parts = [part.lstrip(",").strip() for part in pieces(inner, ",")]
    return (opening, parts, closing) if len(parts) > 1 and all(parts) else None


# ---- rewrites: the same answer ----


def _spaced(answer: str) -> str | None:
    return None if is_words(answer) else re.sub(r"(?<![\\0-9])([-+=(),])(?![!;:])", r" \1 ", answer)


def _stretched(answer: str) -> str | None:
    if is_words(answer) or r"\left" in answer or r"\big" in answer.lower():
        return None
    changed = re.sub(r"(?<!\\)([(\[])", r"\\left\1", answer)
    return None if r"\sqrt\left[" in changed else re.sub(r"(?<!\\)([)\]])", r"\\right\1", changed)


def _fractions(command: str) -> Rule:
    return lambda answer: answer.replace(r"\frac", command) if r"\frac" in answer else None


def _short_fractions(answer: str) -> str | None:
    changed = re.sub(r"\\frac\{([0-9])\}\{([0-9])\}(?![0-9])", r"\\frac\1\2", answer)
    return None if changed == answer else changed


def _slashes(answer: str) -> str | None:
    is_alone = re.fullmatch(r"-?\\frac\{[0-9]+\}\{[0-9]+\}", answer)
    return _FRACTION.sub(r"\1/\2", answer) if is_alone else None


def _unreduced(answer: str) -> str | None:
    changed = _FRACTION.sub(
        lambda found: rf"\frac{{{3 * int(found[1])}}}{{{3 * int(found[2])}}}", answer
    )
    return None if changed == answer or re.search(r"[0-9]\s*\\frac", answer) else changed


def _decimal(answer: str) -> str | None:
    if _INTEGER.fullmatch(answer):
        return f"{answer}.0"
    if not (found := re.fullmatch(r"(-?)\\frac\{([0-9]+)\}\{([0-9]+)\}", answer)):
        return None
    value = Fraction(int(found[2]), int(found[3]))
    for places in range(1, 7):
        if 10**places % value.denominator == 0:
            return f"{found[1]}{float(value):.{places}f}"
    return None


def _with_zeros(answer: str) -> str | None:
    return f"{answer}00" if _NUMBER.fullmatch(answer) and "." in answer else None


def _grouped(mark: str) -> Rule:
    def rewrite(answer: str) -> str | None:
        is_long = _INTEGER.fullmatch(answer) and len(answer.lstrip("-")) > 3
        return f"{int(answer):,}".replace(",", mark) if is_long else None

    return rewrite


def _in_unicode(answer: str) -> str | None:
    changed = answer.replace("-", "−")
    for command, character in _UNICODE.items():
        changed = re.sub(re.escape(command) + r"(?![A-Za-z])", character, changed)
    changed = re.sub(r"(?<=[A-Za-z)])\^(?:\{([23])\}|([23])(?![0-9]))", _raised, changed)
    return None if changed == answer or is_words(answer) else changed


def _raised(found: re.Match[str]) -> str:
    return "²" if (found[1] or found[2]) == "2" else "³"


def _full_width(answer: str) -> str | None:
    if not _NUMBER.fullmatch(answer):
        return None
    return "".join(chr(ord(digit) + 0xFEE0) if digit.isdigit() else digit for digit in answer)


def _named(answer: str) -> str | None:
    return f"x = {answer}" if is_formula(answer) and "x" not in answer else None


def _all_named(answer: str) -> str | None:
    found = items(answer)
    if found is None or found[0] or "x" in answer:
        return None
    return r" \text{ or } ".join(f"x={part}" for part in found[1])


def _with_unit(unit: str) -> Rule:
    return lambda answer: f"{answer}{unit}" if _NUMBER.fullmatch(answer) else None


def _as_money(answer: str) -> str | None:
    return rf"\${answer}" if _NUMBER.fullmatch(answer) and answer[0] != "-" else None


def _permuted_terms(answer: str) -> str | None:
    if not is_formula(answer):
        return None
    terms = pieces(answer, "+-")
    terms = terms[1:] if not terms[0] else terms
    is_safe = all(term.strip("+- ") for term in terms) and not re.search(
        r"\^[-+]|(?:sin|cos|tan|log|ln)[^()]*$", answer
    )
    if len(terms) < 2 or not is_safe:
        return None
    signed = [term if term[0] in "+-" else f"+{term}" for term in terms]
    return "".join(reversed(signed)).removeprefix("+")


def _permuted_items(answer: str) -> str | None:
    found = items(answer)
    if found is None or found[0] not in ("", r"\{"):
        return None
    return found[0] + ", ".join(reversed(found[1])) + found[2]


def _joined_by_and(answer: str) -> str | None:
    found = items(answer)
    return r" \text{ and } ".join(found[1]) if found and not found[0] else None


def _braced_exponents(answer: str) -> str | None:
    changed = re.sub(r"\^([0-9a-z])", r"^{\1}", answer)
    return None if changed == answer else changed


def _bare_exponents(answer: str) -> str | None:
    changed = re.sub(r"\^\{([0-9a-z])\}(?![0-9])", r"^\1 ", answer)
    return None if changed == answer else changed


def _explicit_products(answer: str) -> str | None:
    if is_words(answer) or re.search(r"_|frac[0-9]|sin|cos|tan|log|ln", answer):
        return None
    changed = re.sub(r"(?<=[0-9])(?=[a-z(]|\\sqrt|\\pi)", r" \\cdot ", answer)
    return None if changed == answer else changed


def _around(before: str, after: str) -> Rule:
    return lambda answer: None if "$" in answer else f"{before}{answer}{after}"


REWRITES: dict[str, Rule] = {
    "spaces around": _around("  ", " \n"),
    "dollars": _around("$", "$"),
    "two dollars": _around("$$", "$$"),
    "inline": _around(r"\(", r"\)"),
    "display": _around(r"\[ ", r" \]"),
    "box": _around(r"\boxed{", "}"),
    "box in dollars": _around(r"$\boxed{", "}$"),
    "display style": _around(r"\displaystyle ", ""),
    "period": _around("", "."),
    "bold": _around("**", "**"),
    "spaces": _spaced,
    "stretched": _stretched,
    "flat": lambda answer: re.sub(r"\\(left|right)", "", answer),
    "dfrac": _fractions(r"\dfrac"),
    "tfrac": _fractions(r"\tfrac"),
    "short fractions": _short_fractions,
    "slashes": _slashes,
    "unreduced": _unreduced,
    "decimal": _decimal,
    "zeros": _with_zeros,
    "thousands": _grouped(","),
    "braced thousands": _grouped("{,}"),
    "thin thousands": _grouped(r"\,"),
    "thousands of MATH": _grouped(r",\!"),
    "unicode": _in_unicode,
    "full width": _full_width,
    "permuted terms": _permuted_terms,
    "permuted items": _permuted_items,
    "braced exponents": _braced_exponents,
    "bare exponents": _bare_exponents,
    "products": _explicit_products,
    "named": _named,
    "all named": _all_named,
    "and": _joined_by_and,
}
LENIENT: dict[str, Rule] = {
    "metres": _with_unit(r"\text{ m}"),
    "plain unit": _with_unit(" dollars"),
    "degrees": _with_unit(r"^\circ"),
    "money": _as_money,
    "percent": _with_unit(r"\%"),
}
"""What an eval reads as the same, where the known answer is a bare number."""


# ---- alterations: another answer ----


def _negated(answer: str) -> str | None:
    if not is_formula(answer) or _is_zero(answer):
        return None
    return (
        f"-({answer})"
        if not _NUMBER.fullmatch(answer)
        else answer[1:]
        if answer[0] == "-"
        else f"-{answer}"
    )


def _is_zero(answer: str) -> bool:
    return not re.search(r"[1-9a-zA-Z]", answer)


def _plus(amount: str) -> Rule:
    return lambda answer: f"{answer}+{amount}" if is_formula(answer) else None


def _times_ten(answer: str) -> str | None:
    if not is_formula(answer) or _is_zero(answer):
        return None
    return f"{answer}0" if _INTEGER.fullmatch(answer) else f"10({answer})"


def _swapped(answer: str) -> str | None:
    found = items(answer)
    if found is None or found[0] not in ("(", "[") or len(found[1]) < 2:
        return None
    first, second, *rest = found[1]
    if equivalent(first, second).value != 0.0:
        return None
    return found[0] + ",".join((second, first, *rest)) + found[2]


def _other_bracket(answer: str) -> str | None:
    found = items(answer)
    if found is None or len(found[1]) != 2 or found[0] not in ("(", "["):
        return None
    return ("[" if found[0] == "(" else "(") + ",".join(found[1]) + found[2]


def _both_brackets(answer: str) -> str | None:
    found = items(answer)
    if found is None or len(found[1]) != 2 or found[0] + found[2] not in ("()", "[]"):
        return None
    return f"[{','.join(found[1])}]" if found[0] == "(" else f"({','.join(found[1])})"


def _kept(part: slice) -> Rule:
    def alter(answer: str) -> str | None:
        found = items(answer)
        return found and found[0] + ",".join(found[1][part]) + found[2]

    return alter


def _one_more(answer: str) -> str | None:
    found = items(answer)
    if found is None:
        return f"99991, {answer}" if is_formula(answer) else None
    return found[0] + ",".join((*found[1], "99991")) + found[2]


def _one_wrong(answer: str) -> str | None:
    found = items(answer)
    if found is None:
        return None
    return found[0] + ",".join((*found[1][:-1], "99991")) + found[2]


def _exponent_up(answer: str) -> str | None:
    found = _EXPONENT.search(answer)
    if found is None or is_words(answer):
        return None
    return f"{answer[: found.start()]}^{{{int(found[1] or found[2]) + 1}}}{answer[found.end() :]}"


def _numerator_up(answer: str) -> str | None:
    found = _FRACTION.search(answer)
    if found is None or is_words(answer):
        return None
    raised = rf"\frac{{{int(found[1]) + 1}}}{{{found[2]}}}"
    return answer[: found.start()] + raised + answer[found.end() :]


def _turned_over(answer: str) -> str | None:
    found = re.fullmatch(r"-?\\frac\{([0-9]+)\}\{([0-9]+)\}", answer)
    if found is None or found[1] in (found[2], "0"):
        return None
    return answer.replace(found[0].lstrip("-"), rf"\frac{{{found[2]}}}{{{found[1]}}}")


def _digits_swapped(answer: str) -> str | None:
    if not _INTEGER.fullmatch(answer) or len(answer) < 2 or answer[-2] in (answer[-1], "-"):
        return None
    return answer[:-2] + answer[-1] + answer[-2]


def _other_relation(answer: str) -> str | None:
    for mark, other in (("<", ">"), (r"\le", r"\ge"), (r"\ge", r"\le"), (">", "<")):
        if mark in answer and not is_words(answer) and r"\left" not in answer:
            return answer.replace(mark, other)
    return None


def _cut(answer: str) -> str | None:
    return answer[:-1] if _INTEGER.fullmatch(answer) and len(answer.lstrip("-")) > 1 else None


ALTERATIONS: dict[str, Rule] = {
    "negated": _negated,
    "plus one": _plus("1"),
    "plus a thousandth": _plus(r"\frac{1}{1000}"),
    "times ten": _times_ten,
    "swapped": _swapped,
    "dropped": _kept(slice(None, -1)),
    "dropped first": _kept(slice(1, None)),
    "one more": _one_more,
    "one wrong": _one_wrong,
    "exponent": _exponent_up,
    "numerator": _numerator_up,
    "turned over": _turned_over,
    "digits swapped": _digits_swapped,
    "other relation": _other_relation,
    "cut": _cut,
}

BRACKETS: dict[str, Rule] = {"one": _other_bracket, "both": _both_brackets}


def recorded_answers() -> list[str]:
    """List the known answers of MATH-500, where they are beside this checkout."""
    if not DATA.exists():
        return []
    rows = DATA.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(json.loads(row)["answer"] for row in rows))


RECORDED = recorded_answers()
needs_data = pytest.mark.skipif(not RECORDED, reason=f"MATH is not beside this checkout ({DATA})")
both = pytest.mark.parametrize(
    "answers",
    [pytest.param(ANSWERS, id="own"), pytest.param(RECORDED, id="math500", marks=needs_data)],
)
STRICT_AND_LENIENT = (EVAL, REWARD)


def failures(
    answers: list[str], rule: Rule, policies: tuple[Policy, ...], *, is_equal: bool
) -> tuple[int, list[tuple[str, str, str, Score]]]:
    """Count the answers that a rule applies to, and list the verdicts that are wrong."""
    count, wrong = 0, []
    for answer in answers:
        changed = rule(answer)
        if changed is None:
            continue
        count += 1
        for policy in policies:
            score = equivalent(changed, answer, policy)
            back = equivalent(answer, changed, policy)
            if score.value != float(is_equal):
                wrong.append((policy.name, changed, answer, score))
            if (back.value == 1.0) != is_equal:  # an alteration may be no readable gold
                wrong.append((policy.name, answer, changed, back))
    return count, wrong


@both
@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_stays_equal(name: str, answers: list[str]) -> None:
    count, wrong = failures(answers, REWRITES[name], STRICT_AND_LENIENT, is_equal=True)
    assert count or answers is not ANSWERS
    assert not wrong


@both
@pytest.mark.parametrize("name", LENIENT)
def test_what_an_eval_reads_as_the_same(name: str, answers: list[str]) -> None:
    count, wrong = failures(answers, LENIENT[name], (EVAL,), is_equal=True)
    assert count or answers is not ANSWERS
    assert not wrong


@both
@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_another_answer(name: str, answers: list[str]) -> None:
    count, wrong = failures(answers, ALTERATIONS[name], STRICT_AND_LENIENT, is_equal=False)
    assert count or answers is not ANSWERS
    assert not wrong


@pytest.mark.parametrize("name", BRACKETS)
def test_other_brackets_are_another_answer(name: str) -> None:
    count, wrong = failures(ANSWERS, BRACKETS[name], STRICT_AND_LENIENT, is_equal=False)
    assert count
    assert not wrong


def test_different_answers_are_different() -> None:
    equal = [
        (one, other)
        for index, one in enumerate(ANSWERS)
        for other in ANSWERS[:index]
        if equivalent(one, other).value == 1.0
    ]
    assert not equal
