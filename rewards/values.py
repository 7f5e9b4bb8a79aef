r"""Read a number exactly: ``1,234``, ``-\frac12``, ``2 1/2``, ``1.2\times10^3``, ``\$5``, ``25\%``.

The whole text must be one number, at most with a name before it (``x = 5``) and a unit after it
(``18\text{ dollars}``); anything else is not read. Values are fractions, never floats. Nothing is
evaluated: digits and exponents are capped, so every text takes bounded time and memory.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from mathrl.rewards.normalise import tidy

MAX_DIGITS = 4000
"""Digits of a number, its power of ten written out; Python refuses to print more than 4300."""
MAX_EXPONENT = 400

_INTEGER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})++(?![0-9])|[0-9]++)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]++)?|\.[0-9]++)"
NUMBER = re.compile(
    rf"""
    (?:(?P<sign>[+-])\ ?+)? (?:(?:\\?\$|[€£¥₹])\ ?+)? (?:(?P<inner_sign>-)\ ?+)?
    (?:
        (?:(?P<whole>{_INTEGER})\ ?+)?  # a mixed number where there is one
        \\frac\ ?+ (?:\{{\ ?(?P<top>-?{_DECIMAL})\ ?\}}|(?P<top_digit>[0-9]))
             \ ?+ (?:\{{\ ?(?P<bottom>{_DECIMAL})\ ?\}}|(?P<bottom_digit>[0-9]))
      | (?:(?P<slash_whole>{_INTEGER})\ )?
        (?P<numerator>{_DECIMAL})\ ?/\ ?(?P<denominator>{_DECIMAL})
      | (?P<decimal>{_DECIMAL})
        (?: [eE](?P<exponent>[+-]?[0-9]{{1,4}}+)
          | \ ?(?:\\times|\\cdot|[*x×])\ ?10\ ?\^
            \ ?(?P<power>\{{[+-]?[0-9]{{1,4}}\}}|-?[0-9]{{1,4}}+)
        )?
    )
    """,
    re.VERBOSE,
)
"""One number in a tidied text; what follows it is for the caller to judge."""

_NAME = re.compile(
    r"(?:\\(?:text|mathrm|mbox) ?\{[^{}=]*\}|\\?[A-Za-z]++)"  # a word, \alpha, \text{Total cost}
    r"(?:_(?:\{[A-Za-z0-9]{1,8}\}|[A-Za-z0-9]))?(?:\([A-Za-z0-9]{1,8}\))?"  # x_1, f(2)
    r" ?= ?"
)
PERCENT = re.compile(r" ?(?:\\?%|percent\b|\\text ?\{ ?percent\})")
_DEGREE = re.compile(r" ?(?:\^ ?(?:\{ ?\\circ ?\}|\\circ)|°|\\degree)")
_POWER = r"(?: ?\^ ?(?:\{ ?[23] ?\}|[23]))?"
_UNIT_TEXT = re.compile(rf" ?\\(?:text|mathrm|mbox|textrm|textbf|rm) ?\{{([^{{}}0-9]*)\}}{_POWER}")
_UNIT_WORD = re.compile(rf" ([A-Za-z][A-Za-z'./]*+){_POWER}(?![^ ,.])[,.]?")
_LETTERS = re.compile(r"[a-z]+")
_SHORT = "a an at by cc cm ft gb hr hz in is kg km kw lb mb mg ml mm of oz"
_CHANGING = (
    "and arccos arcsin arctan choose cos cot csc cubed divided dozen exp factorial frac half"
    " halves hundred infinity ln log minus mod or over pi plus sec sin sqrt squared tan"
    " thousand million billion trillion thirds fourths fifths sixths sevenths eighths ninths"
    " tenths elevenths twelfths hundredths thousandths millionths score couple pair"
    " not never but except"
)
_SHORT_UNITS = frozenset(_SHORT.split())
"""Two letters that are a unit or a small word; ``5 ab`` is a product of letters."""
_NO_UNITS = frozenset(_CHANGING.split())
"""Words that change the value or offer another one: with them the text is not a number."""


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value; a percentage keeps its sign, ``25%`` has the value 1/4."""

    value: Fraction
    is_percent: bool
    text: str
    """The canonical form: ``18``, ``-1/2``, ``25%``."""


def read_number(text: str, *, max_unit_words: int = 1) -> Number | None:
    r"""Read a text that is one number and nothing else.

    Args:
        text: One answer, bare or in LaTeX: ``x = \$1{,}080.50``, ``2\frac{1}{2}``, ``5\text{ cm}``.
        max_unit_words: Plain words allowed after the number (``18 miles per hour`` has three).

    Returns:
        The exact number, or None where the text is anything else or larger than the caps.
    """
    text = tidy(text)
    name = _NAME.match(text)
    if name and any(part in _NO_UNITS for part in _LETTERS.findall(name[0].lower())):
        return None  # \cos(x) = 1 does not say what x is
    start = name.end() if name else 0
    found = NUMBER.match(text, start)
    if found is None:
        return None
    percent = PERCENT.match(text, found.end())
    end = percent.end() if percent else found.end()
    if not _is_unit(text, end, max_unit_words):
        return None
    return _number(found, is_percent=percent is not None)


def is_word_of_value(word: str) -> bool:
    """Tell whether a word beside a number changes its value or offers another (million, or, pi)."""
    return _changes_value(word.lower())


def _is_unit(text: str, start: int, max_words: int) -> bool:
    """Tell whether everything from ``start`` on is a unit, or there is nothing."""
    if degree := _DEGREE.match(text, start):
        start = degree.end()
    if unit := _UNIT_TEXT.match(text, start):
        if any(_changes_value(word) for word in _LETTERS.findall(unit[1].lower())):
            return False
        start = unit.end()
    for _ in range(max_words):
        word = _UNIT_WORD.match(text, start)
        if word is None:
            break
        letters = _LETTERS.findall(word[1].lower())
        if any(_changes_value(part) for part in letters) or not _is_long(letters):
            return False
        start = word.end()
    return start == len(text)


def _changes_value(word: str) -> bool:
    """Tell whether a lower-case word, or the singular of it, changes the value beside it."""
    return word in _NO_UNITS or word.removesuffix("s") in _NO_UNITS


def _is_long(letters: list[str]) -> bool:
    return any(len(part) > 2 or part in _SHORT_UNITS for part in letters)


def _number(found: re.Match[str], *, is_percent: bool) -> Number | None:
    """Turn a match of ``NUMBER`` into its value, or None where it is too large or not a value."""
    exponent = int((found["exponent"] or found["power"] or "0").strip("{}"))
    if abs(exponent) > MAX_EXPONENT or len(found[0]) + abs(exponent) > MAX_DIGITS:
        return None
    if found["sign"] and found["inner_sign"]:
        return None
    try:
        size = _size(found)
        if size is None:
            return None
        value = size * Fraction(10) ** exponent
        value = -value if "-" in (found["sign"], found["inner_sign"]) else value
        text = f"{value}%" if is_percent else str(value)
    except ValueError:  # the caller lowered Python's own limit on digits below ours
        return None
    return Number(value / 100 if is_percent else value, is_percent, text)


def _size(found: re.Match[str]) -> Fraction | None:
    """Work out the number without its sign and its power of ten."""
    if found["decimal"]:
        return _fraction(found["decimal"])
    top = found["top"] or found["top_digit"] or found["numerator"]
    bottom = found["bottom"] or found["bottom_digit"] or found["denominator"]
    if not (denominator := _fraction(bottom)):
        return None
    part = _fraction(top) / denominator
    whole = found["whole"] or found["slash_whole"]
    if whole is None:
        return part
    # 2\frac{5}{3} and 2\frac{-1}{3} are products as likely as mixed numbers: not read
    return _fraction(whole) + part if 0 <= part < 1 else None


def _fraction(decimal: str) -> Fraction:
    return Fraction(decimal.replace(",", ""))
