"""The known answer of a row: from what its column holds to what the grader takes.

The grader wants a known answer typed: bare, in ``$...$`` or in one box. Data sets hold it in a
worked solution, as a list of one, as a float with noise in its last digits, or as a dash for none.
"""

import re
from fractions import Fraction

from mathrl.boxes import last_box
from mathrl.errors import DataError

FLOAT_DIGITS = 15
"""Decimal digits that a double always holds; what comes after them is noise."""
MAX_DIGITS = 25
"""A longer number was not printed by a float."""
ROUNDED_DECIMALS = 10
"""Decimals to which GSM-Hard rounds."""
MAX_DENOMINATOR = 999
"""A chance hit is below one in a hundred even for a number of eight digits."""
_DECIMAL = re.compile(r"-?(?P<whole>[0-9]+)\.(?P<decimals>[0-9]+)")
_NO_ANSWER = ("", "-")


def known_answer(value: object, column: str, place: str) -> str | None:
    """Read the cell with the answer; None where the data set gives none.

    Args:
        value: Text, a number, None, or a list of texts (several answers, or one).
        column: Its column, for messages.
        place: Where the row stands, for messages.

    Raises:
        DataError: The cell holds something else.
    """
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    if isinstance(value, int | float):
        value = str(value)
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"{place}: {column!r} must be text or a number, not {value!r:.60}")


def typed_answer(text: str | None, *, is_solution: bool = False) -> str | None:
    """Cut a known answer to what the grader compares; None for none and for a dash.

    Args:
        text: What ``known_answer`` read, a worked solution that ends in ``#### answer`` included.
        is_solution: It is a worked solution, whose last box holds the answer.
    """
    if text is None:
        return None
    boxed = last_box(text) if is_solution else None
    answer = after_hashes(text) if boxed is None else boxed
    return None if answer.strip() in _NO_ANSWER else without_float_noise(answer)


def after_hashes(answer: str) -> str:
    """Cut GSM8K's worked answer to what follows its last ``####``.

    Args:
        answer: The text of the column; without ``####`` it is the answer already.
    """
    return answer.rpartition("####")[2].strip() if "####" in answer else answer


def without_float_noise(answer: str) -> str:
    """Give the decimal or the fraction that a float, printed to its last digits, stands for.

    A model answers 3244047.1 or 42159089/3, never 3244047.0999999996 or 14053029.666666666. A
    number of 15 digits or more, or of 10 decimals, is taken for the fraction with a denominator
    below 1000 that prints so, where there is one.

    Args:
        answer: Any text; what is no such number comes back as it is.
    """
    number = _DECIMAL.fullmatch(answer)
    if number is None:
        return answer
    decimals = len(number["decimals"])
    digits = len(number["whole"].lstrip("0")) + decimals
    is_whole_float = FLOAT_DIGITS <= digits <= MAX_DIGITS
    if not is_whole_float and (decimals != ROUNDED_DECIMALS or digits > MAX_DIGITS):
        return answer
    value = Fraction(answer)
    simple = value.limit_denominator(MAX_DENOMINATOR)
    noise = abs(value) / 10**FLOAT_DIGITS if is_whole_float else Fraction(1, 2 * 10**decimals)
    if abs(simple - value) > noise:
        return answer
    short = f"{float(simple):.{FLOAT_DIGITS}g}"
    return short if Fraction(short) == simple else str(simple)
