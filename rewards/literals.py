r"""Read the digits of a number exactly: decimals, powers of ten, periods that repeat for ever."""

from fractions import Fraction

from mathrl.rewards.syntax import Number

MAX_DIGITS = 4000
"""Digits of one number; Python refuses to convert more than 4300."""
_MAX_PERIOD_START = 20


class ParseError(ValueError):
    """The text is no expression; the message says at what."""


def number(text: str) -> Number:
    """Read a decimal literal exactly: ``12``, ``.5``, ``2.50``, ``6.02e23``.

    Args:
        text: Digits, at most one point, at most one exponent.

    Raises:
        ParseError: It has too many digits.
    """
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return Number(_integer(text))
    mantissa, has_exponent, power = text.replace("E", "e").partition("e")
    whole, _, decimals = mantissa.partition(".")
    exponent = int(power) if has_exponent and len(power) < 6 else 0
    too_long = len(mantissa) + abs(exponent) > MAX_DIGITS
    if too_long or (has_exponent and len(power) >= 6):
        raise ParseError("the number is too long")
    value = Fraction(_integer(whole + decimals), 10 ** len(decimals)) * Fraction(10) ** exponent
    exact = value.numerator if value.denominator == 1 else value
    return Number(exact, max(0, len(decimals) - exponent) if decimals or exponent < 0 else None)


def repeating(text: str) -> Number:
    r"""Read a repeating decimal exactly: ``0.1\overline{6}``, ``0.(3)``.

    Args:
        text: As the tokenizer cut it; the digits that repeat come last.

    Raises:
        ParseError: It has too many digits.
    """
    if len(text) > MAX_DIGITS:
        raise ParseError("the number is too long")
    head, _, block = text.replace("(", "\\").partition("\\")
    whole, _, decimals = head.strip().partition(".")
    digits = "".join(character for character in block if character.isdigit())
    fixed = Fraction(_integer(whole + decimals), 10 ** len(decimals))
    value = fixed + Fraction(_integer(digits), 10 ** len(decimals) * (10 ** len(digits) - 1))
    return Number(value.numerator if value.denominator == 1 else value)


def endless(text: str) -> Number:
    r"""Read a decimal that goes on: ``0.333\ldots`` is 1/3 where the digits show a period.

    Args:
        text: Digits, a point, digits and the dots.

    Raises:
        ParseError: It has too many digits.
    """
    written = text.partition("\\")[0].rstrip(" .") if "\\" in text else text[:-3].rstrip()
    whole, _, decimals = written.partition(".")
    for start in range(len(decimals)):
        tail = decimals[start:]
        for period in range(1, len(tail) // 2 + 1):
            is_enough = len(tail) >= max(3, 2 * period)
            if is_enough and tail == (tail[:period] * len(tail))[: len(tail)]:
                return repeating(f"{whole}.{decimals[:start]}({tail[:period]})")
        if start > _MAX_PERIOD_START:
            break
    return number(written)


def _integer(digits: str) -> int:
    try:
        return int(digits or "0")
    except ValueError as error:  # somebody lowered Python's own limit on digits below ours
        raise ParseError("the number is too long") from error
