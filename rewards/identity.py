r"""Tier 3: decide whether two expressions are the same function, by evaluating both.

Rational functions are compared at random points modulo the prime 2^61 - 1 (Schwartz 1980): no
overflow, no rounding, and a false "equal" about once in 2^55. Everything else is evaluated with
60 digits at fixed points of both signs. Where both sides are real they must agree; where only one
is, a logarithm's edge is a difference (ln x^2 is not 2 ln x), while under a root the answer is
taken to live where the root does. Every operation has a budget, so nothing here takes long.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from mathrl.rewards.evaluate import DIGITS, Evaluation, TooMuchError, UndefinedError, letters_in
from mathrl.rewards.modular import is_same_modular
from mathrl.rewards.syntax import (
    Call,
    Constant,
    Expression,
    children,
)

_AGREE = 45
"""Digits of 60 that must agree; rounding takes a few."""
_SIZES: tuple[int | Fraction, ...] = (
    1,
    2,
    1,
    8,
    9,
    40,
    41,
    300,
    301,
    Fraction(1, 50),
    Fraction(1, 40),
)
"""How far out each point lies: a floor or an absolute value shows itself far from zero."""
_MAX_NODES = 1_200
_ENDLESS = float("inf")


def is_identical(first: Expression, second: Expression) -> bool | None:
    """Decide whether two expressions are equal wherever both have a value.

    Args:
        first: One expression.
        second: The other; the order does not matter.

    Returns:
        True or False, or None where they cannot be evaluated within the budgets.
    """
    letters = letters_in(first) | letters_in(second)
    if "..." in letters:
        return None
    if (verdict := is_same_modular(first, second)) is not None:
        return verdict
    try:
        return _is_same_numeric(first, second, sorted(letters))
    except TooMuchError:
        return None


def is_proportional(first: Expression, second: Expression, signs: Sequence[int]) -> bool | None:
    """Decide whether one expression is a constant times the other.

    Args:
        first: One side of an equation brought to zero.
        second: That of the other equation.
        signs: The signs that the constant may have.

    Returns:
        True or False, or None where they cannot be evaluated.
    """
    letters = sorted(letters_in(first) | letters_in(second))
    ratios = []
    for values in _real_points(letters):
        try:
            pair = [Evaluation(values, is_complex=False).value(side) for side in (first, second)]
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            continue
        except TooMuchError:
            return None
        if any(abs(side) == _ENDLESS for side in pair):
            return None
        if abs(pair[0]) < 1e-40 or abs(pair[1]) < 1e-40:
            return bool(abs(pair[0]) < 1e-40 and abs(pair[1]) < 1e-40) or None
        ratios.append(pair[0] / pair[1])
    if len(ratios) < 2:
        return None
    if any(abs(ratio - ratios[0]) > abs(ratios[0]) * 1e-40 for ratio in ratios):
        return False
    if abs(ratios[0].imag) > abs(ratios[0]) * 1e-40:
        return len(signs) == 2  # an equation may be multiplied by i, an inequality may not
    return any(ratios[0].real * sign > 0 for sign in signs)


def value_of(expression: Expression) -> Any:
    """Evaluate an expression without letters to 60 digits.

    Args:
        expression: Any.

    Returns:
        An mpmath number, or None where there are letters, no value or too much work.
    """
    if letters_in(expression):
        return None
    try:
        return Evaluation({}, is_complex=True).value(expression)
    except (UndefinedError, TooMuchError, ZeroDivisionError, ValueError, OverflowError):
        return None


def _size(expression: Expression) -> int:
    count, stack = 0, [expression]
    while stack:
        count += 1
        stack.extend(children(stack.pop()))
    return count


# -- rational functions, modulo a prime ----------------------------------------------------------


# -- everything else, to 60 digits ---------------------------------------------------------------


def _is_same_numeric(first: Expression, second: Expression, letters: list[str]) -> bool | None:
    if _size(first) + _size(second) > _MAX_NODES:
        raise TooMuchError
    is_complex = not letters or _has_i(first) or _has_i(second)
    compared = 0
    sequences = [_real_points(letters), _whole_points(letters)]
    if _has_steps(first) or _has_steps(second):
        sequences[0].extend(_small_points(letters))
    for points in sequences:
        for values in points:
            verdict = _compare_at(first, second, values, is_complex=is_complex)
            if verdict is False:
                return False
            compared += verdict is True
            if not letters:
                return verdict
        if compared:
            return True
    return None


def _has_i(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if node == Constant("i"):
            return True
        stack.extend(children(node))
    return False


def _has_steps(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Call) and node.name in ("floor", "ceil", "mod"):
            return True
        stack.extend(children(node))
    return False


def _small_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """List natural numbers and points between them: rounding functions step there."""
    whole = [dict.fromkeys(letters, Fraction(value)) for value in range(1, 41)]
    return whole + [dict.fromkeys(letters, Fraction(37 * value, 60)) for value in range(-20, 20)]


def _real_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """Choose points: two with all letters positive, the others of mixed signs and sizes."""
    generator = random.Random(61)
    points = []
    for turn, scale in enumerate(_SIZES):
        point = {}
        for place, letter in enumerate(letters):
            size = scale * (Fraction(generator.randrange(301, 2903), 1000) + Fraction(1, 7919))
            is_negative = turn >= 2 and (turn + place) % 2 == 0
            point[letter] = -size if is_negative else size
        points.append(point)
    return points


def _whole_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """Choose natural numbers: (-1)^n has no other real values."""
    generator = random.Random(67)
    return [{letter: Fraction(generator.randrange(2, 12)) for letter in letters} for _ in range(5)]


def _compare_at(
    first: Expression, second: Expression, values: dict[str, Fraction], *, is_complex: bool
) -> bool | None:
    """Compare at one point; None where a side has no value there and that proves nothing."""
    results, edges = [], []
    for side in (first, second):
        try:
            results.append(Evaluation(values, is_complex=is_complex).value(side))
        except UndefinedError as error:
            edges.append(error.is_edge)
        except (ZeroDivisionError, ValueError, OverflowError):
            edges.append(False)
    if len(results) == 2:
        return _agree(first, second, results, values, is_complex=is_complex)
    return False if len(edges) == 1 and edges[0] else None


def _agree(
    first: Expression,
    second: Expression,
    results: Sequence[Any],
    values: dict[str, Fraction],
    *,
    is_complex: bool,
) -> bool | None:
    from mpmath import mp

    left, right = results
    with mp.workdps(DIGITS):
        if mp.isinf(left) or mp.isinf(right):
            return bool(left == right)
        gap = abs(left - right)
        size = max(abs(left), abs(right))
        if gap <= size * mp.mpf(10) ** -_AGREE:
            # of a number with more digits than these, agreement proves nothing
            is_readable = size == 0 or abs(mp.log10(size)) < DIGITS
            return True if is_readable else None
        is_plain = size < mp.mpf(10) ** (DIGITS // 4)
        if gap > mp.mpf(10) ** -(_AGREE // 2) and is_plain and not _cancels(left, right):
            return False
    # a tiny gap is rounding if it shrinks with more digits, and a difference if it stays
    try:
        finer = [
            Evaluation(values, is_complex=is_complex, digits=3 * DIGITS).value(side)
            for side in (first, second)
        ]
    except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
        return None
    with mp.workdps(3 * DIGITS):
        left, right = finer
        finest = abs(left - right)
        if finest < gap * mp.mpf(10) ** -DIGITS:
            return True
        # what cancels at any precision says nothing: e^(2x) - (e^(2x) - 1) far from zero
        return None if _cancels(left, right) else False


def _cancels(left: Any, right: Any) -> bool:
    """Tell a pair of which one is lost in rounding: exactly 0 beside something else."""
    return bool((left == 0) != (right == 0))
