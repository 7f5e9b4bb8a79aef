"""What sympy must decide, must not decide, and must never be given."""

import ast
import inspect
import os
from fractions import Fraction
from functools import reduce
from pathlib import Path

import pytest

from mathrl.errors import GradingError
from mathrl.rewards import cas
from mathrl.rewards.cas import decide, is_equal, is_small
from mathrl.rewards.isolate import call
from mathrl.rewards.latex import parse
from mathrl.rewards.syntax import (
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

ENOUGH_S = 30.0
"""For decisions that take milliseconds, on a machine that may be busy."""

EQUAL = r"""
\sum_{k=1}^{n} k                    = \frac{n(n+1)}{2}
\sum_{k=1}^{n} \sum_{j=1}^{k} j     = \frac{n(n+1)(n+2)}{6}
\sum_{k=1}^{n} (2k-1)               = n^2
\sum_{k=0}^{n} 2^k                  = 2^{n+1} - 1
\sum_{k=0}^{n} r^k                  = \frac{1-r^{n+1}}{1-r}
\sum_{k=0}^{n} \binom{n}{k}         = 2^n
\sum_{k=1}^{n} \frac{1}{k(k+1)}     = \frac{n}{n+1}
\sum_{k=1}^{\infty} \frac{1}{k^2}   = \frac{\pi^2}{6}
\sum_{k=1}^{1000000} k              = 500000500000
\prod_{k=1}^{5} k                   = 120
\prod_{k=1}^{n} k                   = n!
\int_0^1 x^2 dx                     = \frac{1}{3}
\int_0^{\pi} \sin x dx              = 2
\int_0^1 \ln x dx                   = -1
\lim_{x \to 0} \frac{\sin x}{x}     = 1
\lim_{x \to 0} \frac{1}{x^2}        = \infty
\lim_{n \to \infty} (1+\frac{1}{n})^n = e
\sqrt{3+2\sqrt{2}}                  = 1+\sqrt{2}
\sqrt{2+\sqrt{3}}                   = \frac{\sqrt{6}+\sqrt{2}}{2}
\frac{1}{\sqrt{2}+\sqrt{3}}         = \sqrt{3}-\sqrt{2}
\sqrt[3]{2+\sqrt{5}}+\sqrt[3]{2-\sqrt{5}} = 1
\sqrt[3]{-8}                        = -2
\sqrt[3]{x^2}                       = (\sqrt[3]{x})^2
\sqrt{x^2}                          = |x|
\sqrt{xy}                           = \sqrt{x}\sqrt{y}
\sqrt{\frac{1}{x}}                  = \frac{1}{\sqrt{x}}
\sin^2 x + \cos^2 x                 = 1
\cos(2x)                            = 1 - 2\sin^2 x
\sin(3x)                            = 3\sin x - 4\sin^3 x
2\cos a\cos b                       = \cos(a+b)+\cos(a-b)
\tan\frac{x}{2}                     = \frac{1-\cos x}{\sin x}
\sinh x                             = \frac{e^x-e^{-x}}{2}
\tan(\arctan x)                     = x
\arcsin x + \arccos x               = \frac{\pi}{2}
\arctan 1                           = \frac{\pi}{4}
\arctan\frac12 + \arctan\frac13     = \frac{\pi}{4}
4\arctan\frac15 - \arctan\frac1{239} = \frac{\pi}{4}
\cos\frac{\pi}{7}-\cos\frac{2\pi}{7}+\cos\frac{3\pi}{7} = \frac12
\sin\frac{\pi}{12}                  = \frac{\sqrt6-\sqrt2}{4}
\binom{n}{2}                        = \frac{n(n-1)}{2}
\frac{n!}{(n-1)!}                   = n
\binom{n}{k}+\binom{n}{k+1}         = \binom{n+1}{k+1}
(-1)^{n+2}                          = (-1)^n
\cos(n\pi)                          = (-1)^n
\log_2 8                            = 3
\log_2(8 \cdot 2^x)                 = 3+x
\ln 2+\ln 3                         = \ln 6
\ln(x^2)                            = 2\ln|x|
\ln(x^3)                            = 3\ln x
\max(x, y)                          = \frac{x+y+|x-y|}{2}
e^{i\pi}                            = -1
e^{ix}                              = \cos x + i\sin x
\frac{1}{1+i}                       = \frac{1-i}{2}
f(x)+f(x)                           = 2f(x)
"""

DIFFERENT = r"""
\sum_{k=1}^{n} k                    = \frac{n(n-1)}{2}
\sum_{k=0}^{n} r^k                  = \frac{1-r^{n}}{1-r}
\prod_{k=1}^{5} k                   = 24
\int_0^1 x^2 dx                     = \frac{1}{2}
\lim_{x \to 0} \frac{\sin x}{x}     = 0
\lim_{x \to 0} \frac{1}{x^2}        = -\infty
\sqrt{3+2\sqrt{2}}                  = 1+\sqrt{3}
\sqrt{x^2}                          = x
\cos(2x)                            = 1 + 2\sin^2 x
\arctan(\tan x)                     = x
2\arctan x                          = \arctan\frac{2x}{1-x^2}
4\arctan\frac15 - \arctan\frac1{238} = \frac{\pi}{4}
\binom{n}{2}                        = \frac{n(n+1)}{2}
(-1)^{n+1}                          = (-1)^n
\log_2 9                            = 3
\ln(x^2)                            = 2\ln x
\ln(xy)                             = \ln x+\ln y
e^{\pi\sqrt{163}}                   = 262537412640768744
\frac{1}{2004!}                     = \frac{1}{2006!}
x + 10^{-400}                       = x
x + 1                               = x + 2
\overline{z}                        = z
\infty                              = 5
"""

UNDECIDED = r"""
\frac{1}{0}                         = \frac{1}{0}
\lim_{x \to 0} \frac{1}{x}          = \infty
\int x dx                           = \frac{x^2}{2}
\sum_{k=5}^{1} k                    = 0
\sum_{k=1}^{n} \lfloor\frac{n}{k}\rfloor = n
f(x)                                = f(y)
2\arctan\frac{x}{1000}              = \arctan\frac{2000x}{1000000-x^2}
"""
"""No meaning, no convention, no proof; the last pair agrees up to x = 1000 and no further."""

HUGE = r"""
5^{5^{5^5}}                         = 5^{5^{5^6}}
2^{\frac{1}{2^{1000}}}              = 1
1000000000!                         = 2
((9!)!)!                            = 1
\binom{10^{3000}}{10^{2999}}        = 1
\prod_{k=1}^{1000000000} k          = 1
\sum_{k=1}^{1000000000} 2^k         = 1
"""


def rows(table: str) -> list[tuple[str, str]]:
    return [tuple(map(str.strip, row.split(" = "))) for row in table.strip().splitlines()]


def read(text: str) -> Expression:
    return parse(tokenize(text))


@pytest.mark.parametrize(("first", "second"), rows(EQUAL))
def test_equal(first: str, second: str) -> None:
    assert is_equal(read(first), read(second), timeout_s=ENOUGH_S) is True


@pytest.mark.parametrize(("first", "second"), rows(DIFFERENT))
def test_different(first: str, second: str) -> None:
    assert is_equal(read(first), read(second), timeout_s=ENOUGH_S) is False


@pytest.mark.parametrize(("first", "second"), rows(UNDECIDED))
def test_undecided(first: str, second: str) -> None:
    assert is_equal(read(first), read(second), timeout_s=ENOUGH_S) is None


@pytest.mark.parametrize(("first", "second"), rows(HUGE))
def test_the_huge_is_refused_before_work(first: str, second: str) -> None:
    assert is_equal(read(first), read(second), timeout_s=1.0) is None


def test_the_order_does_not_matter() -> None:
    for first, second in [*rows(EQUAL)[::9], *rows(DIFFERENT)[::5], *rows(UNDECIDED)[::3]]:
        there = is_equal(read(first), read(second), timeout_s=ENOUGH_S)
        assert there is is_equal(read(second), read(first), timeout_s=ENOUGH_S)


def test_names_do_not_matter() -> None:
    first, second = read(r"\sum_{k=1}^{n} \sin k^2"), read(r"\sum_{j=1}^{n} \sin j^2")
    assert is_equal(first, second, timeout_s=ENOUGH_S) is True
    # three variables with two letters: the sum over K = 1..3 of that over k = 1..K of that over
    # j = 1..k of jk; the inner ones are 1, 6, 18, so the middle ones are 1, 7, 25, and 33 in all
    j, k, one = Symbol("j"), Symbol("k"), Number(1)
    inner = Binder("sum", Product((j, k)), "j", one, k)
    outer = Binder("sum", Binder("sum", inner, "k", one, k), "k", one, Number(3))
    assert is_equal(outer, Number(33), timeout_s=ENOUGH_S) is True


def test_z_is_complex_where_complex_numbers_are_spoken_of() -> None:
    z, x = Symbol("z"), Symbol("x")
    conjugate, square = Call("conj", (z,)), Power(Call("abs", (z,)), Number(2))
    assert is_equal(conjugate, z, timeout_s=ENOUGH_S) is False
    assert is_equal(Product((conjugate, z)), square, timeout_s=ENOUGH_S) is True
    assert is_equal(Call("conj", (x,)), x, timeout_s=ENOUGH_S) is True


def test_a_full_turn_is_not_zero() -> None:
    import sympy

    decide(Number(1), Number(2))
    assert cas._constants(2 * sympy.pi) != 0  # though e to the power of 2 pi i is 1
    assert cas._constants(sympy.atan(1) - sympy.pi / 4) == 0


def test_budgets_hold_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cas, "call", None)  # would raise
    x = Symbol("x")
    wide = Sum((x,) * cas.MAX_NODES)  # the sum itself is one node more
    deep = reduce(lambda inner, _: Power(inner, x), range(10_000), x)
    digits = Number(Fraction(1, 1 << cas.MAX_NUMBER_BITS))
    for large in (wide, deep, digits):
        assert is_equal(large, x, timeout_s=1.0) is None
        assert is_equal(x, large, timeout_s=1.0) is None
        assert decide(large, x) is None
    assert is_small(Sum((x,) * (cas.MAX_NODES - 1)))


def test_what_takes_too_long_raises() -> None:
    slow = read(r"\int_0^1 \frac{\ln(1+x^{7}+\sin x)}{\sqrt{1+x^3}+\cos(e^x)} dx")
    with pytest.raises(TimeoutError):
        is_equal(slow, Number(1), timeout_s=0.3)
    assert is_equal(read(r"\arctan 1"), read(r"\frac{\pi}{4}"), timeout_s=ENOUGH_S) is True


PAYLOADS = [
    "__import__('os').system('touch {path}')",
    "exec(open('/dev/null').read())",
    "S('x')",
    "lambda: 0",
    "v0",
    "b0",
    "",
    "x" * 100_000,
    "\x00",
    "ⅰ",
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_names_are_never_run(payload: str, tmp_path: Path) -> None:
    name = payload.replace("{path}", str(tmp_path / "touched"))
    x, hostile = Symbol("x"), Symbol(name)
    assert decide(Sum((hostile, x, hostile)), Sum((Product((Number(2), hostile)), x))) is True
    assert decide(hostile, x) is False
    function = Call(name, (x,))
    assert decide(Sum((function, function)), Product((Number(2), function))) is True
    assert decide(Call(name, (hostile,)), x) is None
    for odd in (Constant(name), Binder(name, x, name, x, x), Binder("sum", x, name, x, hostile)):
        assert decide(odd, x) in (None, False)
    assert os.listdir(tmp_path) == []


def test_sympy_sees_no_name_of_ours() -> None:
    tree = Call("evil", (Symbol("x"), Binder("sum", Symbol("t"), "t", Number(1), Symbol("zeta"))))
    decide(tree, tree)
    formula = cas._Builder.of(tree).build(tree)
    assert str(formula) == "f0(v1, v2**2/2 + v2/2)"  # t is v0, and bound


def test_the_worker_cannot_read_strings() -> None:
    for function in ("sympy:sympify", "sympy.parsing.sympy_parser:parse_expr"):
        with pytest.raises(GradingError, match="SympifyError"):
            call(function, "__import__('os').getpid()", timeout_s=ENOUGH_S)


@pytest.mark.slow
def test_no_text_of_a_model_is_read_by_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    from sympy.parsing import sympy_parser

    found = []
    monkeypatch.setattr(sympy_parser, "parse_expr", lambda text, **_: found.append(text) or 1 / 0)
    for first, second in rows(EQUAL)[::5] + rows(DIFFERENT)[::5] + rows(UNDECIDED):
        decide(renamed(read(first)), renamed(read(second)))
    assert found  # sympy itself reads numbers that it guessed; the worker refuses that
    assert not [text for text in found if "hostile" in text]


def renamed(node: Expression) -> Expression:
    """Give every letter and function of ours a name that is easily seen."""
    match node:
        case Symbol(name):
            return Symbol(f"hostile{name}")
        case Sum(terms):
            return Sum(tuple(map(renamed, terms)))
        case Product(factors):
            return Product(tuple(map(renamed, factors)))
        case Power(base, exponent):
            return Power(renamed(base), renamed(exponent))
        case Call(name, arguments):
            return Call("hostile" if name == "f" else name, tuple(map(renamed, arguments)))
        case Binder(name, body, variable, low, high):
            ends = [end and renamed(end) for end in (low, high)]
            return Binder(name, renamed(body), f"hostile{variable}", *ends)
    return node


def test_no_parsing_function_is_named() -> None:
    nodes = list(ast.walk(ast.parse(inspect.getsource(cas))))
    read = [node for node in nodes if not isinstance(getattr(node, "ctx", None), ast.Store)]
    named = {getattr(node, "attr", getattr(node, "id", "")) for node in read}
    assert {"Rational", "getattr"} <= named
    banned = {"sympify", "S", "parse_expr", "parse_latex", "eval", "exec", "nsimplify", "lambdify"}
    assert not named & banned
