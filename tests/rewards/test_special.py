"""Bases, times of day, and the meanings of a comma."""

import pytest

from mathrl.rewards.special import comma_variants, read_special
from mathrl.rewards.syntax import Number
from mathrl.rewards.values import Based, Clock, Ratio


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1011_2", Based("1011", 2)),
        ("1011_{2}", Based("1011", 2)),
        ("(1011)_2", Based("1011", 2)),
        (r"1011_{\text{two}}", Based("1011", 2)),
        ("77_{eight}", Based("77", 8)),
        ("2 1_3", Based("21", 3)),
        ("10.1_2", Based("10.1", 2)),
        (r"\text{FF}_{16}", Based("FF", 16)),
        ("A1_{12}", Based("A1", 12)),
        ("Z9_{36}", Based("Z9", 36)),
    ],
)
def test_a_number_shows_its_base(text: str, value: Based) -> None:
    assert read_special(text) == (value,)


@pytest.mark.parametrize("text", ["5_1", "5_{37}", "5_{seven hundred}", "A_1", "x_2", "5_{n}", "5"])
def test_other_subscripts_are_no_base(text: str) -> None:
    assert read_special(text) is None


@pytest.mark.parametrize(
    ("text", "minutes", "half"),
    [
        ("8:30 AM", 510, "am"),  # 8 * 60 + 30
        ("8:30 p.m.", 1230, "pm"),  # 20 * 60 + 30
        ("12:15am", 15, "am"),
        ("12:15 PM", 735, "pm"),  # 12 * 60 + 15
        (r"4:05\text{ pm}", 965, "pm"),  # 16 * 60 + 5
        ("8:30:00 am", 510, "am"),
        ("9 am", 540, "am"),
        ("12 am", 0, "am"),
        (r"3\text{ p.m.}", 900, "pm"),
        ("14:30 pm", 870, "pm"),
    ],
)
def test_a_time_with_its_half_of_the_day(text: str, minutes: int, half: str) -> None:
    assert read_special(text) == (Clock(minutes, half),)  # type: ignore[arg-type]


def test_a_time_without_one_may_be_a_ratio() -> None:
    assert read_special("8:30") == (Clock(510, None), Ratio((Number(8), Number(30))))
    assert read_special("13:05") == (Clock(785, "pm"),)  # nobody writes 13 : 5 with a zero
    assert read_special("24:00") == (Clock(1440, "pm"),)


@pytest.mark.parametrize("text", ["25:00", "8:60", "8:5", "1:2:3", "8:30:15", "5 m", "am", "x:30"])
def test_other_colons_are_no_time(text: str) -> None:
    assert read_special(text) is None


@pytest.mark.parametrize(
    ("text", "variants"),
    [
        ("5", ["5"]),
        ("1,234", ["1234", "1,234"]),
        ("1,234,567", ["1234567", "1,234,567"]),
        ("-1,234.5", ["-1234.5", "-1,234.5"]),
        ("1,5", ["1,5", "1.5"]),
        ("0,234", ["0,234", "0.234"]),
        ("-0,5", ["-0,5", "-0.5"]),
        ("1,2345", ["1,2345", "1.2345"]),
        ("1,2,3", ["1,2,3"]),
        ("1234,567", ["1234,567", "1234.567"]),
        ("(1,234)", ["(1,234)"]),
        (r"\{1,234\}", [r"\{1,234\}"]),
        ("[1,234] 5,678", ["[1,234] 5678", "[1,234] 5,678"]),
        ("1,234 and 5,678", ["1234 and 5678", "1,234 and 5,678"]),
        ("x,y", ["x,y"]),
    ],
)
def test_a_comma_may_group_or_separate_or_be_a_point(text: str, variants: list[str]) -> None:
    assert comma_variants(text) == variants
