"""Formulas become MathML of known elements only, whatever a model writes between the dollars."""

import random
import re
import string
import sys

import pytest

from mathrl.errors import MissingExtraError
from mathrl.evals.report import maths
from mathrl.evals.report.maths import MAX_FORMULA_CHARACTERS, FormulaBook, to_mathml

TAG = re.compile(r"</?([A-Za-z]+)((?: [a-z]+=\"[^\"<>]*\")*)>")


def shown(text: str) -> str:
    book = FormulaBook()
    return book.markup(book.parts(text))


def sources(text: str) -> list[str]:
    book = FormulaBook()
    book.parts(text)
    return [formula.source for formula in book.formulas]


def test_a_fraction_is_the_element_that_mathml_has_for_it() -> None:
    tree = to_mathml(r"\frac{1}{2}")
    assert tree is not None
    assert tree.to_html() == (
        "<math><mrow><mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac></mrow></math>"
    )
    assert tree.to_json() == [
        "math",
        {},
        ["mrow", {}, ["mfrac", {}, *(["mrow", {}, ["mn", {}, n]] for n in "12")]],
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \(x = 1\) and \[y = 2\]", [r"\(x = 1\)", r"\[y = 2\]"]),
        ("so $x$ and $$y$$.", ["$x$", "$$y$$"]),
        ("costs $5 and sells for $10", []),
        ("$5 or ($6)", []),
        ("5$ and 6$", []),
        (r"a price of \$5, so \$6", []),
        ("$x$5", []),
        (r"\(open, and no end", []),
        ("$a\nb$", []),
        ("$ a$", []),
    ],
)
def test_what_is_a_formula_and_what_is_money(text: str, found: list[str]) -> None:
    assert sources(text) == found


def test_text_without_its_formulas_is_kept_whole_and_escaped() -> None:
    text = "if 1 < 2 & $x$ > \\(\\nonsense{\\) then\n<b>"
    book = FormulaBook()
    parts = book.parts(text)
    joined = "".join(p if isinstance(p, str) else book.formulas[p].source for p in parts)
    assert joined == text
    assert shown("if 1 < 2 & <b>'\"") == "if 1 &lt; 2 &amp; &lt;b&gt;&#x27;&quot;"


def test_a_formula_on_a_line_of_its_own_takes_the_line_breaks_around_it() -> None:
    assert shown("a\n\n\\[x\\]\nb") == ('a<math display="block"><mrow><mi>x</mi></mrow></math>b')
    assert shown("a\n$x$\nb").startswith("a\n<math>")


def test_an_answer_may_be_a_bare_formula() -> None:
    book = FormulaBook()
    assert book.answer_parts(r"\frac{1}{2}") == [0]
    assert book.answer_parts("1/2 apples") == ["1/2 apples"]
    assert book.answer_parts("$x$ and") == [1, " and"]


@pytest.mark.parametrize(
    "latex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(//a.b)}{x}",
        r"\class{card}{x}",
        r"\color{red\" onclick=\"alert(1)}{x}",
        r"\mbox{<img src=x onerror=alert(1)>}",
        r"\unicode{x3c}script",
        r"\verb|<iframe>|",
        r"\hspace{99999em}x",
        r"\rule{9999em}{9999em}",
        r"\fcolorbox{url(//a)}{b}{c}",
        "&lt;script&gt; &#60;b&#62;",
    ],
)
def test_nothing_but_known_elements_and_attributes_comes_out(latex: str) -> None:
    assert_is_safe(latex)


def test_random_latex_is_safe_too() -> None:
    random_ = random.Random(0)
    names = ("text", "href", "style", "class", "left", "right", "frac", "over", "hline", "color")
    words = [f"\\{name}" for name in names]
    words += [*"{}[]()^_&'|<>\"#%~ ", *string.ascii_letters[:6], "<script>", "onload=", "\\\\"]
    for _ in range(1500):
        assert_is_safe("".join(random_.choices(words, k=random_.randint(1, 15))))


def assert_is_safe(latex: str) -> None:
    tree = to_mathml(latex)
    if tree is None:
        return
    markup = tree.to_html()
    for tag, attributes in TAG.findall(markup):
        assert tag in {"math", *maths._ELEMENTS}
        for name, value in re.findall(r' ([a-z]+)="([^"]*)"', attributes):
            known = maths._ATTRIBUTES.get(name)
            is_class = name == "class" and set(value.split()) <= set(maths._CLASSES.values())
            assert is_class or (known and re.fullmatch(known, value)), (latex, name, value)
    assert "<" not in TAG.sub("", markup)


@pytest.mark.parametrize(
    "latex",
    [
        r"\def\a{xx}\a",
        r"\newcommand{\a}{xx}\a",
        r"\renewcommand{\a}{xx}\a",
        r"\DeclareMathOperator{\a}{xx}\a",
        r"\let\a=x",
        "{" * 500 + "}" * 500,
        r"\left(" * 100 + r"\right)" * 100,
        "x" * (MAX_FORMULA_CHARACTERS + 1),
        r"\newenvironment{a}{x}{y}\begin{a}\end{a}",
        r"\frac",
        "x^",
    ],
)
def test_what_grows_nests_or_is_not_latex_stays_as_it_was_written(latex: str) -> None:
    assert to_mathml(latex) is None


def test_macros_would_make_a_page_of_a_line() -> None:
    """Why definitions are refused: 80 uses of 300 letters are 24,000 for the library."""
    from latex2mathml.converter import convert

    latex = rf"\def\a{{{'x' * 300}}}" + r"\a" * 80
    assert len(latex) < MAX_FORMULA_CHARACTERS
    assert convert(latex).count("<mi>x</mi>") == 80 * 300
    assert to_mathml(latex) is None


def test_a_formula_is_converted_once_and_a_page_has_a_limit() -> None:
    book = FormulaBook(max_characters=7)
    assert book.parts("$x$$y$"[:3] + " $x$ $z$ $w$") == [0, " ", 0, " ", 1, " $w$"]
    assert (len(book.formulas), book.num_left_out) == (2, 1)


def test_a_missing_converter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    maths._converter.cache_clear()
    monkeypatch.setitem(sys.modules, "latex2mathml", None)
    with pytest.raises(MissingExtraError, match=r"latex2mathml: pip install 'mathrl\[eval\]'"):
        to_mathml("x")
