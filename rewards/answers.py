"""One answer, read no further than a comparison needs; the last known answers are kept."""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from mathrl.boxes import find_boxes
from mathrl.rewards.extract import MAX_TEXT
from mathrl.rewards.normal import TooLargeError, digits, normal_form
from mathrl.rewards.normalise import normalise, tidy
from mathrl.rewards.policy import Policy
from mathrl.rewards.read import read
from mathrl.rewards.relations import assignment, signed
from mathrl.rewards.syntax import Number
from mathrl.rewards.values import EXPRESSIONS, Braced, Bracketed, Listing, Percent, Quantity, Value

_DECIMAL = re.compile(r"(-?)([0-9]*+)(?:\.([0-9]++))?(?<=[0-9])")
_MAX_PLAIN_DIGITS = 300


class Answer:
    """One answer, read no further than a comparison needs: text, key, readings, canonical form."""

    __slots__ = ("_canonical", "_readings", "key", "number", "policy", "text", "written")

    def __init__(self, written: str, policy: Policy) -> None:
        self.written = written
        self.policy = policy
        self.text = tidy(written)
        """The answer without what surrounds it."""
        self.key = normalise(self.text)
        """The form in which two texts are compared letter by letter."""
        self.number = _plain_number(self.key)
        """The value of a plain integer or decimal."""
        self._readings: tuple[Value, ...] | None = None
        self._canonical: str | None = None

    @property
    def readings(self) -> tuple[Value, ...]:
        """What the answer may mean, the likeliest first."""
        if self._readings is None:
            self._readings = self._read()
        return self._readings

    def _read(self) -> tuple[Value, ...]:
        return read(self.text, self.policy.max_unit_words)

    @property
    def is_several(self) -> bool:
        """Tell whether the answer is more than one value."""
        return any(
            isinstance(value, Listing | Braced | Bracketed) or len(signed(value)) > 1
            for value in self.readings
        )

    @property
    def canonical(self) -> str:
        """One text for all ways to write the same number or polynomial."""
        if self._canonical is None:
            self._canonical = self._canonise()
        return self._canonical

    def _canonise(self) -> str:
        if self.number is not None:
            return str(self.number)
        if len(self.text) > self.policy.max_answer_characters:
            return self.key[:40] + "..."
        return _canonical(self.readings[0]) or self.key


class Row(Answer):
    """Boxes in a row, read as one answer of several parts."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[str], policy: Policy) -> None:
        super().__init__(", ".join(parts), policy)
        self.parts = parts

    def _read(self) -> tuple[Value, ...]:
        values = [read(tidy(part), self.policy.max_unit_words)[0] for part in self.parts]
        flat: list[Value] = []
        for value in values:
            flat.extend(value.items if isinstance(value, Listing) else signed(value))
        return (Listing(tuple(flat)),)


def _plain_number(key: str) -> Fraction | int | None:
    if key.isascii() and key.isdigit() and len(key) <= _MAX_PLAIN_DIGITS:
        return int(key)
    if len(key) > _MAX_PLAIN_DIGITS or not (found := _DECIMAL.fullmatch(key)):
        return None
    sign, whole, decimals = found.groups()
    if decimals is None:
        return -int(whole) if sign else int(whole)
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    exact = value.numerator if value.denominator == 1 else value
    return -exact if sign else exact


@lru_cache(maxsize=4096)  # a trainer grades a whole group, and every epoch, on the same answer
def read_gold(answer: str | None, policy: Policy) -> Answer | None:
    """Read a known answer, or None where there is nothing to read; the last ones are kept.

    Args:
        answer: Bare, in ``$...$`` or in a box.
        policy: How it is read.
    """
    if answer is None or len(answer) > MAX_TEXT:
        return None
    gold = typed(answer, policy)
    return gold if gold.key else None


def typed(answer: str, policy: Policy) -> Answer:
    """Take a typed answer out of its box or boxes, if there are any."""
    if "box" not in answer:
        return Answer(answer, policy)
    found = find_boxes(answer.replace("\\\\boxed", "\\boxed"))
    contents = [box.content for box in found if box.content.strip()]
    if not contents:  # no box, or one that was never closed
        return Answer(answer.rpartition("boxed{")[2], policy)
    return Answer(contents[0], policy) if len(contents) == 1 else Row(contents, policy)


def _canonical(value: Value) -> str | None:
    if isinstance(value, Number):
        return digits(value.value)
    if isinstance(value, Percent):
        return f"{_canonical(value.value)}%"
    if isinstance(value, Quantity):
        return _canonical(value.value)
    if defined := assignment(value):
        return _canonical(defined[1])
    if not isinstance(value, EXPRESSIONS):
        return None
    try:
        return str(normal_form(value))
    except (TooLargeError, ZeroDivisionError):
        return None
