"""Boxes are found by balanced braces, whatever surrounds them."""

import pytest

from mathrl.boxes import boxes, last_box


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (r"\boxed{5}", ["5"]),
        (r"a \boxed{\frac{1}{2}} b \fbox{x}", [r"\frac{1}{2}", "x"]),
        (r"\boxed {5} and \boxed" + "\n{6}", ["5", "6"]),
        (r"\boxed{\{1, 2\}}", [r"\{1, 2\}"]),
        (r"\boxed{a \boxed{b} c}", [r"a \boxed{b} c"]),
        (r"\boxed{never closed \boxed{5}", ["5"]),
        (r"\boxed{a{b}", []),
        (r"\boxed{}", [""]),
        (r"\boxed 5, \boxed-7", ["5,", "-7"]),
        (r"write it in \boxed form, \boxedness{5} too", []),
        (r"a\\\boxed{5} and \\boxed{6}", ["5", "6"]),  # LaTeX that was escaped once too often
        ("no box }{ here", []),
    ],
)
def test_boxes_lists_balanced_contents(text: str, contents: list[str]) -> None:
    assert boxes(text) == contents


def test_last_box_takes_the_last() -> None:
    assert last_box(r"\boxed{1} \boxed{2}") == "2"
    assert last_box("none") is None


def test_hostile_text_gives_little() -> None:
    assert boxes("{" * 100_000) == []
    assert boxes(r"\boxed{" * 100_000) == []
    assert boxes(r"\boxed" * 20_000) == []
    nested = r"\boxed{" * 100_000 + "}" * 100_000
    assert [len(content) for content in boxes(nested)] == [len(nested) - len(r"\boxed{}")]
    assert boxes(r"\boxed{1}" * 20_000) == ["1"] * 20_000
