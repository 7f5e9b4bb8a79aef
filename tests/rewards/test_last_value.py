"""The last formula or number of a text."""

import pytest

from mathrl.rewards.last_value import last_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"),
        ("x = 5", "x = 5"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        ("She has 18 eggs and sells 9.", "9"),
        ("It is $x+1$ for all of them.", "x+1"),
        (r"It is \(x+1\) for all of them.", "x+1"),
        (r"So we get \[x^2 = 4\] and stop there.", "x^2 = 4"),
        (r"So we get $$15x - 80$$ as the value.", "15x - 80"),
        ("It is $x+1$ and there are 7 of them.", "7"),
        ("There are 7 of them and it is $x+1$ now.", "x+1"),
        (r"We know that it is \frac{3}{4} of it all.", r"\frac{3}{4}"),
        (r"We know that it is 2\sqrt{3} of it all.", r"2\sqrt{3}"),
        (r"We know that 1 is \frac{3}{4} of it, so 5.", "5"),
        ("See pages 3-5 of the book", "5"),
        ("She paid $5 and got $x+1$ back", "x+1"),
        ("The cost is $5 and $7 together", "7"),
        ("Let $x$ be it. The value is $12$ for $x$ here", "12"),
        (r"We have \[\begin{aligned} x &= 1 \\ &= 2 \end{aligned}\] so that is it.", "2"),
        ("It is 25% of them all.", "25%"),
    ],
)
def test_the_last_value(text: str, value: str) -> None:
    found = last_value(text)
    assert found is not None
    assert found.strip(" .") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no number at all in here",
        r"The text breaks off at $\frac{1",
        r"The text breaks off at \[ 5 + 7",
        r"The text breaks off at \( 5 + 7",
        "The text breaks off at $$ 5 + 7",
        "Some text $$$ 5",
        "Some text $$$5$$$ of it",
    ],
)
def test_there_is_none(text: str) -> None:
    assert last_value(text) is None


def test_a_formula_far_from_the_end_is_no_answer() -> None:
    filler = "and so on it goes " * 1000
    assert last_value(f"It is $x+1$ here. {filler[:3_900]}") == "x+1"
    assert last_value(f"It is $x+1$ here. {filler[:4_100]}") is None
