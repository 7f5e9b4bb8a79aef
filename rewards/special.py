"""Answers that tokens would tear apart: number bases, times of day, and what a comma may mean."""

import re
from fractions import Fraction

from mathrl.rewards.syntax import Number
from mathrl.rewards.values import Based, Clock, Ratio, Value

_MAX_CLOCK = 40
_BASED = re.compile(
    r"\(?\s*(?:\\(?:text|mathrm)\s*\{)?(-?[0-9A-Z][0-9A-Z ]*(?:\.[0-9A-Z]+)?)\}?\s*\)?\s*_\s*\{?\s*"
    r"(?:\\(?:text|mathrm)\s*\{)?\s*([0-9]{1,2}|[a-z]+)\s*\}?\}?"
)
_IN_BASE = re.compile(r"\s*\\?(?:text\s*\{)?\s*(?:in )?base\s*\}?\s*([0-9]{1,2}|[a-z]+)\}?")
_BASE_NAMES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16,
}  # fmt: skip
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_COUNTS = {word: count for count, word in enumerate(_SMALL.split())} | {
    word: 10 * count for count, word in enumerate(_TENS.split(), 2)
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_PARTS = {"half": 2, "halve": 2, "third": 3, "fourth": 4, "quarter": 4, "fifth": 5, "sixth": 6,
          "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}  # fmt: skip
_CLOCK = re.compile(
    r"([0-9]{1,2})\s*:\s*([0-9]{2})(?:\s*:\s*00)?(?:\s*(?:\\text\s*\{|\\mathrm\s*\{)?\s*"
    r"([ap])\.?\s*m\.?\s*\}?|\s*(?:\\text\s*\{)?\s*(noon|midnight)\s*\}?)?",
    re.IGNORECASE,
)
_HOUR = re.compile(
    r"([0-9]{1,2})\s*(?:\\text\s*\{|\\mathrm\s*\{)?\s*([ap])\.?\s*m\.?\s*\}?", re.IGNORECASE
)
_PROPORTION = re.compile(r"([0-9]{1,9}) to ([0-9]{1,9})")
_GROUPED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:,[0-9]{3})++(?![0-9])(?!,[0-9])")
_ZEROS = re.compile(r"^-?[0-9]{1,3}(?:,[0-9]{3})*,0[0-9]{2}(?:,[0-9]{3})*$")
_DECIMAL_COMMA = re.compile(r"-?(?:\\?\$ ?)?[0-9]+,[0-9]+")


def read_special(text: str) -> tuple[Value, ...] | None:
    """Read what tokens would tear apart: bases and times of day."""
    if "base" in text:
        text = _IN_BASE.sub(r"_{\1}", text)
    if "_" in text and (found := _BASED.fullmatch(text)):
        base = _BASE_NAMES.get(found[2]) or (int(found[2]) if found[2].isdigit() else 0)
        digits = found[1].replace(" ", "")
        if 2 <= base <= 36 and (digits.lstrip("-")[0].isdigit() or len(digits) > 1):
            return (Based(digits, base),)
    if ":" in text and len(text) < _MAX_CLOCK and (found := _CLOCK.fullmatch(text)):
        hours, minutes = int(found[1]), int(found[2])
        if hours <= 24 and minutes < 60:
            half = f"{found[3].lower()}m" if found[3] else None
            if found[4]:
                half = "pm" if found[4].lower() == "noon" else "am"
            clock = _clock(hours, minutes, half)
            if half:
                return (clock,)
            if found[2][0] == "0":
                return (clock,)
            return (clock, Ratio((Number(hours), Number(minutes))))
    if " to " in text and (found := _PROPORTION.fullmatch(text)):
        return (Ratio(tuple(Number(int(part)) for part in found.groups())),)
    if text[-1:] in "mM.}" and text[:1].isdigit() and (found := _HOUR.fullmatch(text)):
        return (_clock(int(found[1]), 0, f"{found[2].lower()}m"),)
    return None


def _clock(hours: int, minutes: int, half: str | None) -> Clock:
    if half and 1 <= hours <= 12:
        hours = hours % 12 + (12 if half == "pm" else 0)
    known = "am" if half == "am" else "pm" if half == "pm" or hours > 12 else None
    return Clock(hours * 60 + minutes, known)  # type: ignore[arg-type]


def comma_variants(text: str) -> list[str]:
    """List what commas may mean: 1,234 is a number or two, 1,5 a decimal or two numbers."""
    if "," not in text:
        return [text]
    variants = []
    grouped = _outside_brackets(text)
    if grouped != text:
        variants.append(grouped)
    if grouped == text or not _ZEROS.search(text):  # no item of a list begins with 00
        variants.append(text)
    is_decimal = _DECIMAL_COMMA.fullmatch(text) is not None
    if is_decimal and (grouped == text or text.lstrip("-")[0] == "0"):
        variants.append(text.replace(",", "."))
    return variants


def _outside_brackets(text: str) -> str:
    """Drop the commas of thousands, except inside brackets, where they separate."""
    spans = [found.span() for found in _GROUPED.finditer(text)]
    if not spans:
        return text
    depth, inside, places = 0, [], dict(spans)
    for place, character in enumerate(text):
        if character in "([" or text.startswith("\\{", place):
            depth += 1
        elif character in ")]" or text.startswith("\\}", place):
            depth -= 1
        if place in places and depth > 0:
            inside.append(place)
    pieces, last = [], 0
    for start, end in spans:
        pieces.append(text[last:start])
        pieces.append(text[start:end] if start in inside else text[start:end].replace(",", ""))
        last = end
    return "".join([*pieces, text[last:]])


def number_of_words(words: str) -> Fraction | None:
    """Read a number that is written out: ``forty-two``, ``one million``, ``three fourths``.

    Args:
        words: Lower case, single spaces.
    """
    total, current, last = 0, 0, ""
    parts = words.replace("-", " ").split()
    for place, part in enumerate(parts):
        kind = _kind_of(part)
        if (last, kind) not in _FOLLOWS:
            return None
        if kind == "part":
            is_last = place == len(parts) - 1
            return Fraction(total + current, _PARTS[part.rstrip("s")]) if is_last else None
        if kind in ("unit", "ten"):
            current += _COUNTS[part]
        elif kind == "hundred":
            current *= 100
        elif kind == "large":
            total, current = total + current * _LARGE[part], 0
        last = kind
    return Fraction(total + current) if last not in ("", "and") else None


_FOLLOWS = frozenset(
    (before, after)
    for before, afters in {
        "": "unit ten",
        "unit": "hundred large part",
        "ten": "unit large part",
        "hundred": "and unit ten large",
        "large": "and unit ten",
        "and": "unit ten",
    }.items()
    for after in afters.split()
)
"""Which word of a number may follow which: one two is no number."""


def _kind_of(word: str) -> str:
    if word in _COUNTS:
        return "ten" if _COUNTS[word] >= 20 else "unit"
    if word in ("hundred", "and"):
        return word
    return "large" if word in _LARGE else "part" if word.rstrip("s") in _PARTS else "other"
