"""Units of measure: their scales by the definitions of the international yard and pound."""

from fractions import Fraction

import pytest

from mathrl.rewards.tokens import tokenize
from mathrl.rewards.units import Unit, is_unit, read_unit, scale_of


def unit(text: str, max_words: int = 8) -> Unit | None:
    return read_unit(tokenize(text), max_words)


LENGTH, TIME = (("length", 1),), (("time", 1),)
AREA, VOLUME = (("length", 2),), (("length", 3),)
SPEED = (("length", 1), ("time", -1))


@pytest.mark.parametrize(
    ("text", "dimension", "scale"),
    [
        ("m", LENGTH, "1"),
        ("cm", LENGTH, "1/100"),
        ("kilometers", LENGTH, "1000"),
        ("inches", LENGTH, "0.0254"),
        ("ft", LENGTH, "0.3048"),
        ("yards", LENGTH, "0.9144"),
        ("miles", LENGTH, "1609.344"),
        (r"\text{cm}", LENGTH, "1/100"),
        (r"\text{ Miles}", LENGTH, "1609.344"),
        ("cm^2", AREA, "1/10000"),
        (r"\text{cm}^{2}", AREA, "1/10000"),
        ("cm^3", VOLUME, "1/1000000"),
        (r"\text{ square feet}", AREA, "0.09290304"),  # 0.3048 squared
        (r"\text{ sq ft}", AREA, "0.09290304"),
        (r"\text{ feet squared}", AREA, "0.09290304"),
        (r"\text{ cubic meters}", VOLUME, "1"),
        ("acres", AREA, "4046.8564224"),
        ("hectare", AREA, "10000"),
        ("liters", VOLUME, "1/1000"),
        ("mL", VOLUME, "1/1000000"),
        ("gallons", VOLUME, "0.003785411784"),
        ("cups", VOLUME, "0.0002365882365"),  # a sixteenth of a gallon
        ("kg", (("mass", 1),), "1000"),
        ("lbs", (("mass", 1),), "453.59237"),
        ("ounces", (("mass", 1),), "28.349523125"),  # a sixteenth of a pound
        ("minutes", TIME, "60"),
        ("days", TIME, "86400"),
        ("years", (("month", 1),), "12"),
        (r"\text{ miles per hour}", SPEED, "0.44704"),  # 1609.344 / 3600
        ("mph", SPEED, "0.44704"),
        ("km/h", SPEED, "5/18"),
        (r"\text{m/s}", SPEED, "1"),
        ("m/s^2", (("length", 1), ("time", -2)), "1"),
        (r"\text{ feet per second per second}", (("length", 1), ("time", -2)), "0.3048"),
        (r"\text{ dollars per hour}", (("dollar", 1), ("time", -1)), "1/3600"),
        (r"\text{ dollars an hour}", (("dollar", 1), ("time", -1)), "1/3600"),
        ("cents", (("dollar", 1),), "1/100"),
        (r"^\circ", (("angle", 1),), "1"),
        ("degrees", (("angle", 1),), "1"),
        (r"\text{ miles per mile}", (), "1"),
        (r"\text{kg} \cdot \text{m}", (("length", 1), ("mass", 1)), "1000"),
    ],
)
def test_a_unit_has_its_dimension_and_scale(
    text: str, dimension: tuple[tuple[str, int], ...], scale: str
) -> None:
    tokens = text.removeprefix("^")
    found = unit(tokens)
    assert found is not None
    assert (found.dimension, found.scale) == (dimension, Fraction(scale))
    assert found.is_known is bool(dimension)


def test_a_noun_counts_and_measures_nothing() -> None:
    found = unit(r"\text{ red balls}")
    assert found == Unit((), Fraction(1), "red balls")
    assert not found.is_known


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "m^4", "m^x", "^2", "half", "million", r"\text{ and }5", "apples 5", "m+s"),
        *(r"\text{ times}", r"\text{5 cm}", "q"),
    ],
)
def test_what_is_no_unit(text: str) -> None:
    assert unit(text) is None


def test_a_phrase_of_too_many_words_is_no_unit() -> None:
    assert unit(r"\text{ big red balls of wool}", 3) is not None
    assert unit(r"\text{ very big red balls of grey wool}", 3) is None
    assert unit(r"\text{ very big red balls of grey wool}", 4) is not None


@pytest.mark.parametrize(
    ("word", "scale"),
    [
        ("million", 10**6),
        ("Millions", 10**6),
        ("dozen", 12),
        ("thousand", 1000),
        ("hundred", 100),
        ("billion", 10**9),
        ("trillion", 10**12),
        ("apples", None),
    ],
)
def test_a_word_may_multiply(word: str, scale: int | None) -> None:
    assert scale_of(word) == scale


def test_the_names_of_units() -> None:
    assert all(map(is_unit, ("cm", "Meters", "kPa", "kW", "lbs")))
    assert not any(map(is_unit, ("apple", "x", "half")))
