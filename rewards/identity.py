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
from typing import Any, NamedTuple

from mathrl.rewards.evaluate import DIGITS, Evaluation, TooMuchError, UndefinedError, letters_in
from mathrl.rewards.modular import is_same_modular
from mathrl.rewards.syntax import (
    Call,
    Constant,
    Expression,
    children,
)

_AGREE = 40
"""Digits in which equal values agree."""
_LOST = 10
"""Last digits that rounding may spoil."""
_MARGIN = 1_000
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
    for digits in (DIGITS, 3 * DIGITS):  # what is lost in rounding may show with more digits
        sides: list[_Side] = []
        edges: list[bool] = []
        for side in (first, second):
            evaluation = Evaluation(values, is_complex=is_complex, digits=digits)
            try:
                sides.append(_Side(evaluation.value(side), evaluation))
            except UndefinedError as error:
                edges.append(error.is_edge)
            except (ZeroDivisionError, ValueError, OverflowError):
                edges.append(False)
        if edges:
            return False if edges == [True] else None
        verdict = _agree(sides[0], sides[1], digits)
        if verdict is not NotImplemented:
            return verdict  # type: ignore[no-any-return]
    return None


class _Side(NamedTuple):
    """The value of one side and the evaluation that gave it."""

    value: Any
    evaluation: Evaluation


def _agree(first: _Side, second: _Side, digits: int) -> Any:
    """Compare two values within the rounding of what they were computed from.

    True or False; None where the values have more digits than were computed; NotImplemented where
    more digits may tell.
    """
    mp = first.evaluation.mp
    left, right = first.value, second.value
    if mp.isinf(left) or mp.isinf(right):
        return bool(left == right)
    gap, size = abs(left - right), max(abs(left), abs(right))
    largest = max(first.evaluation.largest, second.evaluation.largest, size)
    noise = largest * mp.mpf(10) ** (_LOST - digits)
    if gap > noise * _MARGIN:
        return False
    if noise <= size * mp.mpf(10) ** -_AGREE:
        return True if size < mp.mpf(10) ** DIGITS else None
    if digits > DIGITS and noise < mp.mpf(10) ** -DIGITS:
        return True  # both are 0 as far as 180 digits can tell
    return NotImplemented
