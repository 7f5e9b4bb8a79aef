r"""Read one answer: text to typed values, by what surrounds and joins its expressions.

    ``x = 3``   ``(1, 2)``   ``[0, 1) \cup \{2\}``   ``5\text{ cm}``   ``1\text{ or }2``

The tokens are split at commas, relations and set operators, then brackets, environments and units
are taken off, and what is left is an expression for the parser. Text that is truly ambiguous
(``1,234``) has several readings. Text that is no mathematics is read as words.
"""

import re

from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError, number
from mathrl.rewards.reader import TEXT_COMMANDS, Reader, words_of
from mathrl.rewards.special import comma_variants, number_of_words, read_special
from mathrl.rewards.syntax import (
    Number,
    Symbol,
)
from mathrl.rewards.tokens import Token, tokenize
from mathrl.rewards.units import read_unit
from mathrl.rewards.values import (
    REALS,
    Bracketed,
    Quantity,
    Relation,
    Value,
    Words,
)

_MAX_TOKENS = 1_500
"""Tokens of one answer; the longest answer in MATH has under 200."""

_CHOICE = re.compile(r"\(?([A-J])\s*[).:]\s*[^\s,;)]")
_LETTER_UNIT = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)([mgshLl])")
_LETTERS = re.compile("[A-Za-z]{3,4}")
_OPTION = re.compile(r"(?:option|choice|answer)\s*\(?([A-J])\)?|\(([a-j])\)", re.IGNORECASE)
_NAMED_SETS: dict[str, Value] = {
    **dict.fromkeys(
        ("all real numbers", "all reals", "all real values", "the real numbers"), REALS
    ),
    **dict.fromkeys(
        ("all integers", "the integers", "the set of integers", "the set of all integers"),
        Symbol("mathbb Z"),
    ),
}
_CHOSEN = re.compile(r"(?:\\text(?:bf)?\s*\{\s*)?\(?[A-J]\s*[).:]\s*\}?(?:\\ )?\s*(.+)")
_OTHER_CHOICE = re.compile(
    r"(?<![A-Za-z])[A-J](?![A-Za-z'])|\b(?:or|and|not|wrong|incorrect|false)\b|\?"
)
_POINT = re.compile(r"([A-Z])\s*(?:\\left)?\(")


def read(text: str, max_unit_words: int = 8) -> tuple[Value, ...]:
    """Read a tidied answer.

    Args:
        text: As ``normalise.tidy`` leaves it.
        max_unit_words: Plain words allowed as a unit.

    Returns:
        Its readings, the likeliest first; at least one, which may be ``Words``.
    """
    if special := read_special(text):
        return special
    readings = _read_all(text, max_unit_words)
    plain = TEXT_COMMANDS.sub(" ", text).strip() if "\\" in text else text
    if (choice := _CHOICE.match(plain)) and not _OTHER_CHOICE.search(plain, choice.end(1) + 1):
        readings.insert(0, Symbol(choice[1]))
        if body := _CHOSEN.match(text):
            readings.extend(_read_all(body[1], max_unit_words))
    if found := _LETTER_UNIT.fullmatch(text):
        unit = read_unit([Token("symbol", found[2], False)], 1)
        if unit is not None:
            readings.append(Quantity(number(found[1]), unit))
    if not readings and _LETTERS.fullmatch(text):
        tokens = tokenize(text)
        if [token.kind for token in tokens] == ["word"]:  # a name, or a product of letters
            readings.extend((Words(words_of(text)), parse(tokens)))
    if not readings or isinstance(readings[0], Words | Quantity):
        words = words_of(text)
        if (named := _NAMED_SETS.get(words)) is not None:
            readings.insert(0, named)
        elif (counted := number_of_words(words)) is not None:
            readings.append(Number(counted))
    if (letter := _OPTION.fullmatch(plain)) is not None:
        readings.insert(0, Symbol((letter[1] or letter[2]).upper()))
    if point := _POINT.match(text):
        readings.extend(
            Relation((Symbol(point[1]), value), ("=",))
            for value in _read_all(text[1:], max_unit_words)
            if isinstance(value, Bracketed)
        )
    return tuple(readings) or (Words(words_of(text)),)


def _read_all(text: str, max_unit_words: int) -> list[Value]:
    """Read a text in each way that its commas allow."""
    readings: list[Value] = []
    for variant in comma_variants(text):
        try:
            tokens = tokenize(variant)
            if len(tokens) > _MAX_TOKENS:
                break
            value = Reader(max_unit_words).value(tokens)
        except (ParseError, RecursionError, ZeroDivisionError):
            continue
        if value not in readings:
            readings.append(value)
    return readings
