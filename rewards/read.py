r"""Read one answer: text to typed values, by what surrounds and joins its expressions.

    ``x = 3``   ``(1, 2)``   ``[0, 1) \cup \{2\}``   ``5\text{ cm}``   ``1\text{ or }2``

The tokens are split at commas, relations and set operators, then brackets, environments and units
are taken off, and what is left is an expression for the parser. Text that is truly ambiguous
(``1,234``) has several readings. Text that is no mathematics is read as words.
"""

import re

from mathrl.rewards.language import TEXT_COMMANDS, words_of
from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError, number
from mathrl.rewards.reader import Reader
from mathrl.rewards.relations import renamed
from mathrl.rewards.rewrites import family_of, rewritten
from mathrl.rewards.special import comma_variants, number_of_words, read_special
from mathrl.rewards.syntax import (
    Number,
    Symbol,
)
from mathrl.rewards.tokens import Token, tokenize
from mathrl.rewards.units import is_unit, read_unit
from mathrl.rewards.values import (
    REALS,
    Bracketed,
    Percent,
    Quantity,
    Relation,
    Value,
    Words,
)

_MAX_CHARACTERS = 8_000
"""A longer answer is not taken apart: it is compared letter by letter alone."""
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
    if len(text) > _MAX_CHARACTERS:
        return (Words(text),)
    text = rewritten(text)
    readings = (
        read_special(text)
        or _read_family(text, max_unit_words)
        or _read_plainly(text, max_unit_words)
    )
    return tuple(readings) or (Words(words_of(text)),)


def _read_family(text: str, max_unit_words: int) -> list[Value]:
    """Read values over the whole numbers, and give their letter one name."""
    if (family := family_of(text)) is None:
        return []
    head, letter, whole = family
    return [renamed(value, {letter: f"~{whole}"}) for value in _read_all(head, max_unit_words)]


def _read_plainly(text: str, max_unit_words: int) -> list[Value]:
    """Read an answer as its tokens say, then as a choice, a unit, a name or words."""
    readings = _read_all(text, max_unit_words)
    plain = TEXT_COMMANDS.sub(" ", text).strip() if "\\" in text else text
    if (choice := _CHOICE.match(plain)) and not _OTHER_CHOICE.search(plain, choice.end(1) + 1):
        readings.insert(0, Symbol(choice[1]))
        if body := _CHOSEN.match(text):
            readings.extend(_read_all(body[1], max_unit_words))
    if (found := _LETTER_UNIT.fullmatch(text)) is not None:
        unit = read_unit([Token("symbol", found[2], False)], 1)
        if unit is not None:
            readings.append(Quantity(number(found[1]), unit))
    if not readings and _LETTERS.fullmatch(text):
        tokens = tokenize(text)
        if [token.kind for token in tokens] == ["word"]:  # a name, or a product of letters
            readings.extend((Words(words_of(text)), parse(tokens)))
    if not readings or isinstance(readings[0], Words | Quantity):
        readings[:0] = _spoken(words_of(text))
    if (letter := _OPTION.fullmatch(plain)) is not None:
        readings.insert(0, Symbol((letter[1] or letter[2]).upper()))
    if point := _POINT.match(text):
        readings.extend(
            Relation((Symbol(point[1]), value), ("=",))
            for value in _read_all(text[1:], max_unit_words)
            if isinstance(value, Bracketed)
        )
    return readings


def _spoken(words: str) -> list[Value]:
    """Read what is said in words: ``forty-two``, ``two hours``, ``all real numbers``."""
    if (named := _NAMED_SETS.get(words)) is not None:
        return [named]
    if (counted := number_of_words(words)) is not None:
        return [Number(counted)]
    head, _, last = words.rpartition(" ")
    if not head or (counted := number_of_words(head)) is None:
        return []
    if last == "percent":
        return [Percent(Number(counted))]
    unit = read_unit([Token("word", last, True)], 1) if is_unit(last) else None
    return [] if unit is None else [Quantity(Number(counted), unit)]


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
