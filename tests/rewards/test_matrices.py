r"""Matrices and what is made of them: determinants against Laplace, sums entry by entry."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError
from mathrl.rewards.matrices import combination, determinant, environment
from mathrl.rewards.normal import normal_form
from mathrl.rewards.read import read
from mathrl.rewards.syntax import Number, Symbol
from mathrl.rewards.tokens import tokenize
from mathrl.rewards.values import (
    EXPRESSIONS,
    Bracketed,
    Listing,
    Matrix,
    Relation,
    Value,
    Words,
)


def matrix(*rows: tuple[int, ...]) -> Matrix:
    return Matrix(tuple(tuple(Number(entry) for entry in row) for row in rows))


def latex(name: str, *rows: tuple[int, ...]) -> str:
    body = r" \\ ".join(" & ".join(map(str, row)) for row in rows)
    return rf"\begin{{{name}}} {body} \end{{{name}}}"


def numbers(value: Value) -> list[object]:
    """Work the entries of a vector or a matrix out."""
    if isinstance(value, Matrix):
        entries = [entry for row in value.rows for entry in row]
    else:
        assert isinstance(value, Bracketed)
        entries = list(value.items)  # type: ignore[arg-type]
    return [normal_form(entry).rational for entry in entries]


TWO = ((1, 2), (3, 4))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (latex("pmatrix", *TWO), matrix(*TWO)),
        (latex("bmatrix", *TWO), matrix(*TWO)),
        (latex("matrix", *TWO), matrix(*TWO)),
        (latex("bmatrix*", *TWO), matrix(*TWO)),
        (latex("pmatrix", (1,), (2,)), matrix((1,), (2,))),
        (latex("pmatrix", (1, 2, 3)), matrix((1, 2, 3))),
        (latex("pmatrix", *TWO) + "^T", matrix((1, 3), (2, 4))),
        (latex("pmatrix", (1, 2, 3)) + "^T", matrix((1,), (2,), (3,))),
        (f"({latex('matrix', *TWO)})", matrix(*TWO)),
        (f"[{latex('matrix', *TWO)}]", matrix(*TWO)),
        (r"\left[\begin{array}{cc}1 & 2 \\ 3 & 4\end{array}\right]", matrix(*TWO)),
        (r"\begin{array}{c|c}1 & 2 \\ \hline 3 & 4\end{array}", matrix(*TWO)),
        (r"\begin{pmatrix}1 & 2 \\ 3 & 4 \\ \end{pmatrix}", matrix(*TWO)),
        (r"\begin{pmatrix}1, & 2 \\ 3, & 4\end{pmatrix}", matrix(*TWO)),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", matrix((1,), (2,))),
    ],
)
def test_a_matrix_is_read(text: str, value: Matrix) -> None:
    assert read(text)[0] == value


def test_the_entries_are_expressions() -> None:
    found = read(r"\begin{pmatrix} \frac{x}{2} & x_{1} \end{pmatrix}")[0]
    assert found == Matrix(((parse(tokenize(r"\frac{x}{2}")), Symbol("x_1")),))


def laplace(rows: list[list[int]]) -> int:
    if not rows:
        return 1
    return sum(
        (-1) ** column * entry * laplace([[*row[:column], *row[column + 1 :]] for row in rows[1:]])
        for column, entry in enumerate(rows[0])
    )


SQUARES = st.integers(1, 4).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(-9, 9), min_size=size, max_size=size), min_size=size, max_size=size
    )
)


@settings(deadline=None)
@given(SQUARES)
def test_a_determinant_by_laplace(rows: list[list[int]]) -> None:
    expanded = determinant(matrix(*map(tuple, rows)))
    assert normal_form(expanded).rational == laplace(rows)


@pytest.mark.parametrize(
    "text",
    [
        latex("vmatrix", *TWO),
        rf"\left|{latex('matrix', *TWO)}\right|",
        rf"\det {latex('pmatrix', *TWO)}",
    ],
)
def test_a_determinant_is_an_expression(text: str) -> None:
    value = read(text)[0]
    assert isinstance(value, EXPRESSIONS)
    assert normal_form(value).rational == -2  # 1 * 4 - 2 * 3


def test_a_determinant_must_be_square_and_small() -> None:
    for rows in ([(1, 2)], [(1,), (2,)], [(0,) * 5] * 5):
        with pytest.raises(ParseError, match="size"):
            determinant(matrix(*rows))


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("(1,2)+(3,4)", [4, 6]),
        ("(1,2)-(3,4)", [-2, -2]),
        ("-(1,2)+(3,4)", [2, 2]),
        ("2(1,2)-3(0,1)", [2, 1]),
        (r"2 \cdot (1,2)+(0,1)", [2, 5]),
        (r"\frac12(2,4)-(1,1)", [0, 1]),
        (r"(-2)(1,2)+(1,1)", [-1, -3]),
        (rf"2{latex('pmatrix', *TWO)}", [2, 4, 6, 8]),
        (rf"{latex('pmatrix', *TWO)}-{latex('pmatrix', (1, 1), (1, 1))}", [0, 1, 2, 3]),
        (rf"\frac{{1}}{{2}}{latex('pmatrix', (2,), (4,))}", [1, 2]),
    ],
)
def test_a_sum_of_multiples_is_worked_out(text: str, entries: list[int]) -> None:
    value = read(text)[0]
    assert numbers(value) == entries


def test_a_line_keeps_its_parameter() -> None:
    value = read("(1,2)+t(3,4)")[0]
    assert isinstance(value, Bracketed)
    first, second = value.items
    assert isinstance(first, EXPRESSIONS) and isinstance(second, EXPRESSIONS)
    assert normal_form(first).terms == normal_form(parse(tokenize("1+3t"))).terms
    assert normal_form(second).terms == normal_form(parse(tokenize("2+4t"))).terms


@pytest.mark.parametrize(
    "text",
    ["(1,2)+3", r"(1,2)+\begin{pmatrix}1\\2\end{pmatrix}", "f(1,2)", "1+2"],
)
def test_what_is_no_sum_of_like_vectors(text: str) -> None:
    assert combination(tokenize(text), lambda tokens: read_tokens(tokens)) is None


def read_tokens(tokens: object) -> Value:
    """Read the pairs and columns that these tests write."""
    text = "".join(token.value for token in tokens)  # type: ignore[attr-defined]
    return read(text.replace("begin", r"\begin").replace("end{", r"\end{"))[0]


def test_a_system_lists_its_rows() -> None:
    value = read(r"\begin{cases} x = 1 \\ y = 2 \end{cases}")[0]
    one, two = Number(1), Number(2)
    x, y = Symbol("x"), Symbol("y")
    assert value == Listing((Relation((x, one), ("=",)), Relation((y, two), ("=",))))
    assert (
        read(
            r"\left\{\begin{aligned} x &= 1 \\ y &= 2 \end{aligned}\right.".replace(r"\right.", "")
        )[0]
        == value
    )
    assert read(r"\begin{array}{l} x = 1 \\ y = 2 \end{array}")[0] == value
    assert read(r"\begin{align*} x &= 1 \end{align*}")[0] == Relation((x, one), ("=",))


@pytest.mark.parametrize(
    "text",
    [
        r"\begin{pmatrix}1 & 2 \\ 3\end{pmatrix}",
        r"\begin{pmatrix}\end{pmatrix}",
        r"\begin{tabular}1\end{tabular}",
        r"\begin{cases}\end{cases}",
        r"\begin{vmatrix}1 & 2\end{vmatrix}",
        latex("pmatrix", *[(0,) * 21] * 20),  # 420 entries
    ],
)
def test_a_broken_matrix_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        environment(tokenize(text), read_tokens)
    assert isinstance(read(text)[0], Words)


def test_the_largest_matrix_is_read() -> None:
    largest = [(7,) * 20] * 20
    assert read(latex("pmatrix", *largest))[0] == matrix(*largest)


def test_more_than_one_environment_is_not_taken_for_one() -> None:
    both = latex("pmatrix", *TWO) + latex("pmatrix", *TWO)
    assert environment(tokenize(both), read_tokens) is None
    assert environment(tokenize("2" + latex("pmatrix", *TWO)), read_tokens) is None
