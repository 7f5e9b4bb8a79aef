"""What led to a grade: the cue, the readings, the normal forms and the score."""

import pytest

from mathrl.rewards import EVAL, REWARD, explain, grade
from mathrl.rewards.explanation import tree
from mathrl.rewards.read import read


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("5", "5"),
        (r"\frac12", "1/2"),
        ("x^2+1", "Sum([Power(x, 2), 1])"),
        (r"\sin x", "sin(x)"),
        (r"\log_2 x", "log(x, 2)"),
        (r"\pi", "pi"),
        ("yes", "Words('yes')"),
        ("(1,x)", "Bracketed([1, x], '(', ')')"),
        ("[0,1)", "Interval(0, 1, True, False)"),
        ("x=2", "Relation([x, 2], ['='])"),
        ("25%", "Percent(25)"),
        ("5 cm", "Quantity(5, cm)"),
        ("1011_2", "Based('1011', 2)"),
        ("1, 2", "Listing([1, 2], ',')"),
        (r"\begin{pmatrix}1&2\end{pmatrix}", "Matrix([[1, 2]])"),
    ],
)
def test_a_value_is_written_as_nested_calls(text: str, written: str) -> None:
    assert tree(read(text)[0]) == written


def test_the_steps_of_a_grade() -> None:
    completion = r"So it is \boxed{\frac{\sqrt{12}}{2}}."
    found = explain(completion, r"\sqrt3")
    assert found.policy == "eval"
    assert found.cue == "box"
    assert found.extracted == r"\frac{\sqrt{12}}{2}"
    assert [reading.normal_form for reading in found.prediction] == ["#3^1/2"]  # sqrt 12 = 2 sqrt 3
    assert [reading.normal_form for reading in found.answer] == ["#3^1/2"]
    assert found.prediction[0].tree != found.answer[0].tree == "Power(3, 1/2)"
    assert found.score == grade(completion, r"\sqrt3", EVAL)
    assert found.score.value == 1.0


def test_the_policy_is_the_one_asked_for() -> None:
    completion = "It is 5."
    assert explain(completion, "5").cue == "last_value"
    strict = explain(completion, "5", REWARD)
    assert (strict.policy, strict.cue, strict.extracted) == ("reward", None, None)
    assert strict.prediction == ()
    assert strict.score.status == "no_answer"


def test_every_reading_is_shown() -> None:
    found = explain("#### 1,234", "1234")
    assert [reading.tree for reading in found.prediction] == ["1234", "Listing([1, 234], ',')"]
    assert [reading.normal_form for reading in found.prediction] == ["1234", None]


def test_what_has_no_normal_form_shows_none() -> None:
    found = explain(r"\boxed{\frac{1}{0}}", "5")
    assert [reading.normal_form for reading in found.prediction] == [None]
    found = explain(r"\boxed{(x+y+z)^{64}}", "5")
    assert [reading.normal_form for reading in found.prediction] == [None]


def test_an_answer_too_long_to_read_is_not_read() -> None:
    found = explain(r"\boxed{" + "1+" * 4_500 + "1}", "5")
    assert found.score.status == "limit"
    assert found.prediction == ()
    assert found.answer[0].tree == "5"


def test_a_known_answer_that_is_none_has_no_reading() -> None:
    found = explain("#### 5", "")
    assert found.answer == ()
    assert found.score.status == "gold_unparseable"
