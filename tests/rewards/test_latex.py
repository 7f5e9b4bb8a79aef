"""Expressions read from text: precedence by hand, values by arithmetic, limits that are hit."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.latex import ParseError, parse
from mathrl.rewards.normal import normal_form
from mathrl.rewards.pratt import MAX_DEPTH
from mathrl.rewards.syntax import (
    HALF,
    ONE,
    Binder,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.tokens import tokenize

X, Y, Z = Symbol("x"), Symbol("y"), Symbol("z")
POINT = {"x": Fraction(2, 3), "y": Fraction(-5), "z": Fraction(7, 4)}


def read(text: str) -> Expression:
    return parse(tokenize(text))


def value(node: Expression) -> Fraction:
    """Evaluate sums, products and whole powers at one point, by Fraction arithmetic alone."""
    match node:
        case Number(number):
            return Fraction(number)
        case Symbol(name):
            return POINT[name]
        case Sum(terms):
            return sum((value(term) for term in terms), Fraction(0))
        case Product(factors):
            product = Fraction(1)
            for factor in factors:
                product *= value(factor)
            return product
        case Power(base, exponent):
            power = value(exponent)
            assert power.denominator == 1
            return value(base) ** power.numerator
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1-2-3", "-4"),
        ("2+3*4", "14"),
        ("(2+3)*4", "20"),
        ("8/4/2", "1"),
        ("8/4*2", "4"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^3^2", "512"),  # 2^9
        ("2^{-1}", "1/2"),
        ("2^-2", "1/4"),
        ("2^--2", "4"),
        ("3 - -2", "5"),
        ("-3+5", "2"),
        ("+5", "5"),
        ("2*-3+1", "-5"),
        ("1/2(3)", "3/2"),
        ("50\\%", "1/2"),
        (r"\frac12", "1/2"),
        (r"\frac123", "3/2"),  # a half times 3
        (r"\frac1{20}", "1/20"),
        (r"\frac{1}4", "1/4"),
        (r"\frac{1}{2}\frac{3}{4}", "3/8"),
        (r"\frac{1/2}{3/4}", "2/3"),
        (r"\frac{6}{4}", "3/2"),
        (r"2\frac{5}{6}", "17/6"),  # 12/6 + 5/6
        (r"2\frac56", "17/6"),
        (r"2\frac{5}6", "17/6"),
        (r"2\frac{7}{6}", "7/3"),  # an improper fraction is a factor: 14/6
        (r"2\frac{0}{6}", "0"),
        ("2 5/6", "17/6"),
        ("2 7/6", None),
        (r"2\cdot\frac{5}{6}", "5/3"),
        ("frac(1,2)", "1/2"),
        (r"{1 \over 4}", "1/4"),
        ("(1)(2)(3)", "6"),
        (r"2 \bmod 5", None),
        ("1 2", None),
        ("1+", None),
        ("*2", None),
        ("", None),
        ("(1", None),
        ("1)", None),
        ("(1]", None),
        ("2..3", None),
        (r"\frac{1}", None),
        (r"\boxed{1}", None),
        (r"\begin{matrix}1\end{matrix}", None),
    ],
)
def test_arithmetic_binds_as_it_should(text: str, result: str | None) -> None:
    if result is None:
        try:
            tree = read(text)
        except ParseError:
            return
        with pytest.raises(AssertionError):  # read, but as a function of its own
            value(tree)
        assert "mod" in text
    else:
        assert value(read(text)) == Fraction(result)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("xy", Product((X, Y))),
        ("2xy", Product((Number(2), Product((X, Y))))),
        ("xe", Product((X, Constant("e")))),
        ("x^2y", Product((Power(X, Number(2)), Y))),
        ("e^xe^y", Product((Power(Constant("e"), X), Power(Constant("e"), Y)))),
        ("xy^2", Product((X, Power(Y, Number(2))))),
        ("x_1", Symbol("x_1")),
        ("x_{12}", Symbol("x_12")),
        ("x1", Symbol("x_1")),
        ("x^2_1", Power(Symbol("x_1"), Number(2))),
        ("x'", Symbol("x'")),
        ("x''", Symbol("x''")),
        ("x^'", Symbol("x'")),
        ("f(x)", Call("f", (X,))),
        ("f(x,y)", Call("f", (X, Y))),
        ("f''(x)", Call("f''", (X,))),
        ("f_1(x)", Call("f_1", (X,))),
        ("f^{-1}(x)", Call("f^-1", (X,))),
        ("x(y)", Call("x", (Y,))),
        ("x(2)", Call("x", (Number(2),))),
        ("x(-y)", Product((X, Product((Number(-1), Y))))),
        ("x (y)", Product((X, Y))),
        ("x(y)^2", Product((X, Power(Y, Number(2))))),
        ("x(e)", Product((X, Constant("e")))),
        ("C(x,y)", Call("binom", (X, Y))),
        ("P(x,y)", Call("permutations", (X, Y))),
        ("C(-x)", Product((Symbol("C"), Product((Number(-1), X))))),
        ("pi", Constant("pi")),
        (r"\infty", Constant("oo")),
        ("i", Constant("i")),
        (r"\alpha", Symbol("alpha")),
        (r"\mathbf{v}", Symbol("mathbf v")),
        (r"\text{x}", X),
        (r"\sqrt{x}", Power(X, HALF)),
        (r"\sqrt2x", Product((Power(Number(2), HALF), X))),
        (r"\sqrt[3]{x}", Power(X, Number(Fraction(1, 3)))),
        (r"\sqrt[x]{y}", Power(Y, Power(X, Number(-1)))),
        (r"\cbrt{x}", Power(X, Number(Fraction(1, 3)))),
        ("x!", Call("factorial", (X,))),
        ("x!!", Call("factorial2", (X,))),
        (r"\binom{x}{y}", Call("binom", (X, Y))),
        (r"\binom52", Call("binom", (Number(5), Number(2)))),
        (r"{x \choose y}", Call("binom", (X, Y))),
        ("|x|", Call("abs", (X,))),
        ("||x|+1|", Call("abs", (Sum((Call("abs", (X,)), ONE)),))),
        ("|x||y|", Product((Call("abs", (X,)), Call("abs", (Y,))))),
        (
            "|2(y|x|)|",
            Call("abs", (Product((Number(2), Product((Y, Call("abs", (X,)))))),)),
        ),
        ("|(|x|)|", Call("abs", (Call("abs", (X,)),))),
        (r"\lfloor x \rfloor", Call("floor", (X,))),
        (r"\lceil x \rceil", Call("ceil", (X,))),
        (r"x \pm y", Sum((X, Call("pm", (Y,))))),
        (r"\pm x", Call("pm", (X,))),
        (r"\mp x", Call("pm", (Product((Number(-1), X)),))),
        (r"2x \bmod y", Call("mod", (Product((Number(2), X)), Y))),
        ("x^{2^{y}}", Power(X, Power(Number(2), Y))),
        (r"30^\circ", Product((Number(30), Constant("pi"), Number(Fraction(1, 180))))),
        (r"30^{\circ}", Product((Number(30), Constant("pi"), Number(Fraction(1, 180))))),
        (r"x\degree", Product((X, Constant("pi"), Number(Fraction(1, 180))))),
        (r"\ldots", Symbol("...")),
        ("-x", Product((Number(-1), X))),
        ("-2.50", Number(Fraction(-5, 2), 2)),
        (r"x/2", Product((X, Number(Fraction(1, 2))))),
        ("2/x", Product((Number(2), Power(X, Number(-1))))),
        (r"\frac{x}{y}", Product((X, Power(Y, Number(-1))))),
    ],
)
def test_a_text_becomes_its_tree(text: str, tree: Expression) -> None:
    assert read(text) == tree


def call(name: str, *arguments: Expression) -> Call:
    return Call(name, arguments)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (r"\sin x", call("sin", X)),
        (r"\sin 2x", call("sin", Product((Number(2), X)))),
        (r"\sin x + y", Sum((call("sin", X), Y))),
        (r"\sin(x) y", Product((call("sin", X), Y))),
        (r"\sin x \cos y", Product((call("sin", X), call("cos", Y)))),
        (r"\sin^2 x", Power(call("sin", X), Number(2))),
        (r"\sin x^2", call("sin", Power(X, Number(2)))),
        (r"\sin^{-1} x", call("arcsin", X)),
        (r"\cot^{-1} x", call("arccot", X)),
        (r"\ln^{-1} x", Power(call("ln", X), Number(-1))),
        (r"\sin -x", call("sin", Product((Number(-1), X)))),
        (r"\arcsinh x", call("arsinh", X)),
        (r"\Re(x)", call("re", X)),
        (r"\log x", call("log", X, Number(10))),
        (r"\lg x", call("log", X, Number(10))),
        (r"\ln x", call("ln", X)),
        (r"\log_2 x", call("log", X, Number(2))),
        (r"\log_{xy} z", call("log", Z, Product((X, Y)))),
        (r"\log_28", call("log", Number(8), Number(2))),
        (r"\log_{10}100", call("log", Number(100), Number(10))),
        (r"\log_2^3 x", Power(call("log", X, Number(2)), Number(3))),
        (r"\exp(x)", Power(Constant("e"), X)),
        (r"\gcd(x,y)", call("gcd", X, Y)),
        (r"\max(x,y,z)", call("max", X, Y, Z)),
        (r"\max{x;y}", call("max", X, Y)),
        (
            r"\cis x",
            Sum((call("cos", X), Product((Constant("i"), call("sin", X))))),
        ),
    ],
)
def test_a_function_takes_the_argument_that_it_should(text: str, tree: Expression) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (r"\sum_{k=1}^{5} k", Binder("sum", Symbol("k"), "k", ONE, Number(5))),
        (r"\sum^5_{k=1} k", Binder("sum", Symbol("k"), "k", ONE, Number(5))),
        (r"\sum_{k=1}^5 k+1", Sum((Binder("sum", Symbol("k"), "k", ONE, Number(5)), ONE))),
        (r"\prod_{k=x}^{y} 2", Binder("prod", Number(2), "k", X, Y)),
        (r"\lim_{x \to 0} x", Binder("lim", X, "x", Number(0))),
        (r"\int_0^1 x \,dx", Binder("int", X, "x", Number(0), ONE)),
        (r"\int_0^1 dx", Binder("int", ONE, "x", Number(0), ONE)),
        (r"\int x^2 dx", Binder("int", Power(X, Number(2)), "x")),
        (r"\int y \, d y", Binder("int", Y, "y")),
        (r"\int \theta d\theta", Binder("int", Symbol("theta"), "theta")),
        (r"\int x dx + y", Sum((Binder("int", X, "x"), Y))),
    ],
)
def test_a_binder_takes_its_variable_and_its_bounds(text: str, tree: Expression) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "apple",
        "3rd",
        "3 in",
        "2 is",
        r"\text{apples}",
        r"\sum k",
        r"\sum_{k=1} k",
        r"\lim_{x=0} x",
        r"\int x",
        r"\sin_2 x",
        r"\gcd 2",
        r"x \pmod 5",
        "2'",
        r"\emptyset",
        r"\forall x",
        "x=2",
        "1,2",
        "@",
        r"\sqrt",
        r"\sum_{k=1}^{2",
        "1" * 4001,
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        read(text)


NESTINGS: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "(" * n + "1" + ")" * n,
    "braces": lambda n: "{" * n + "1" + "}" * n,
    "signs": lambda n: "-" * n + "1",
    "powers": lambda n: "2" + "^2" * n,
    "signs of a power": lambda n: "2^" + "-" * n + "1",
    "signs of an argument": lambda n: r"\sin" + "-" * n + "1",
    "fractions": lambda n: r"\frac{1}{" * n + "1" + "}" * n,
    "roots": lambda n: r"\sqrt{" * n + "1" + "}" * n,
    "bars": lambda n: r"\lfloor " * n + "1" + r"\rfloor " * n,
}


@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)
def test_nesting_is_refused_beyond_its_limit(nesting: Callable[[int], str]) -> None:
    read(nesting(MAX_DEPTH - 2))
    for count in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(ParseError, match="nested too deep"):
            read(nesting(count))


def test_brackets_side_by_side_are_not_nested() -> None:
    assert value(read("(1)" * 500)) == 1
    assert value(read("+".join(["(1)"] * 500))) == 500
    assert value(read("+".join(["-1"] * 500))) == -500


def test_the_longest_number_is_read() -> None:
    assert read("9" * 4000) == Number(10**4000 - 1)


# Formulas with their values: each rule writes a text, and works its value out by itself.
Formula = tuple[str, Fraction]


def whole(number: int) -> Formula:
    return (str(number), Fraction(number)) if number >= 0 else (f"({number})", Fraction(number))


LEAVES = st.integers(-9, 30).map(whole) | st.sampled_from(list(POINT.items()))


def extended(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    pairs = st.tuples(inner, inner)
    divisions = pairs.filter(lambda pair: pair[1][1] != 0)
    small = inner.filter(
        lambda part: part[1] != 0 and max(abs(part[1].numerator), part[1].denominator) < 10**6
    )
    powers = st.tuples(small, st.integers(-2, 3))
    return st.one_of(
        pairs.map(lambda p: (f"({p[0][0]}+{p[1][0]})", p[0][1] + p[1][1])),
        pairs.map(lambda p: (f"\\left({p[0][0]} - ({p[1][0]})\\right)", p[0][1] - p[1][1])),
        pairs.map(lambda p: (f"({p[0][0]})({p[1][0]})", p[0][1] * p[1][1])),
        pairs.map(lambda p: (f"({p[0][0]} \\cdot {p[1][0]})", p[0][1] * p[1][1])),
        divisions.map(lambda p: (f"\\frac{{{p[0][0]}}}{{{p[1][0]}}}", p[0][1] / p[1][1])),
        divisions.map(lambda p: (f"(({p[0][0]})/({p[1][0]}))", p[0][1] / p[1][1])),
        powers.map(lambda p: (f"({p[0][0]})^{{{p[1]}}}", p[0][1] ** p[1])),
        inner.map(lambda part: (f"(-{part[0]})", -part[1])),
    )


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the lambdas, not text
@settings(deadline=None)
@given(st.recursive(LEAVES, extended, max_leaves=8).filter(lambda formula: len(formula[0]) < 300))
def test_a_formula_is_read_to_its_value(formula: Formula) -> None:
    text, expected = formula
    assert value(read(text)) == expected


def printed(node: Expression) -> str:
    """Write a tree as LaTeX, every part in its own brackets."""
    match node:
        case Number(number):
            fraction = Fraction(number)
            sign = "-" if fraction < 0 else ""
            return rf"({sign}\frac{{{abs(fraction.numerator)}}}{{{fraction.denominator}}})"
        case Symbol(name):
            return name
        case Sum(terms):
            return "(" + "+".join(printed(term) for term in terms) + ")"
        case Product(factors):
            return "(" + r" \cdot ".join(printed(factor) for factor in factors) + ")"
        case Power(base, exponent):
            return f"({printed(base)})^{{{printed(exponent)}}}"
        case Call("log", (argument, base)):
            return rf"(\log_{{{printed(base)}}}({printed(argument)}))"
        case Call("abs", (argument,)):
            return f"|{printed(argument)}|"
        case Call(name, (argument,)):
            return rf"\{name}({printed(argument)})"
    raise AssertionError(node)


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        several.map(Sum),
        several.map(Product),
        st.builds(Power, inner, st.sampled_from([Number(2), Number(3), HALF])),
        st.builds(call, st.sampled_from(["sin", "ln", "abs", "arctan"]), inner),
        st.builds(lambda argument, base: call("log", argument, base), inner, inner),
    )


TREES = st.recursive(
    st.fractions(-9, 9, max_denominator=6).map(Number) | st.sampled_from([X, Y, Z]),
    grown,
    max_leaves=6,
)


@settings(deadline=None)
@given(TREES)
def test_a_tree_written_as_latex_reads_back(tree: Expression) -> None:
    back = read(printed(tree))
    try:
        expected = normal_form(tree)
    except ZeroDivisionError:
        return
    assert normal_form(back) == expected
