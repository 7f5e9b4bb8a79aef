r"""Find the last formula or number of a text: what an eval takes where no cue was given.

The last formula counts where no number follows it in the prose. A formula that the text breaks
off inside is no answer, and a dollar sign before an amount opens no formula.
"""

import re
from collections import deque

from mathrl.rewards.normalise import tidy
from mathrl.rewards.prose import SPAN, last_number
from mathrl.rewards.read import read
from mathrl.rewards.values import Words

MAX_TAIL = 4_000
"""A last formula further from the end than this is not an answer."""
_MAX_WHOLE = 300
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,} [A-Za-z]{2,}|(?<![\\A-Za-z])[a-z]{2,} [a-z]{2,}")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf)\s*\{[^{}]*\}")
_LATEX = re.compile(
    r"-?(?<![0-9])[0-9]*+\s?\\(?:d|t)?frac\s?(?:\{[^{}]*\}\s?\{[^{}]*\}|[0-9]{2})(?:\s?\\pi)?"
    r"|-?(?<![0-9])[0-9]*+\s?\\sqrt\s?(?:\{[^{}]*\}|[0-9])"
)
_ALIGNED = re.compile(r"\\(?:begin|end)\s?\{(?:align|aligned|gather|equation|split|eqnarray)\*?\}")


def last_value(text: str) -> str | None:
    r"""Find the last formula or number.

    Args:
        text: What the model wrote, Unicode folded.

    Returns:
        It as written (``x = 5``, ``15x - 80``, ``25\%``), or None where there is none.
    """
    if "$$$" in text:  # no delimiters
        return None
    is_open = _is_open(text)
    text = text[-MAX_TAIL:].rstrip()
    is_short = len(text) <= _MAX_WHOLE and not _is_sentence(text) and "\\begin{al" not in text
    if is_short and not isinstance(read(tidy(text))[0], Words):
        return text
    formula = _last_formula(text)
    if is_open:
        return None
    after = formula[1] if formula else 0
    number = last_number(text[after:])
    if formula is not None and number is None:
        return formula[0]
    bare = None
    if "\\" in text[after:]:
        bare = next(iter(deque(_LATEX.finditer(text, after), maxlen=1)), None)
    if bare is not None and (number is None or bare.end() >= after + number[1]):
        return bare[0]
    return None if number is None else number[0]


def _is_sentence(text: str) -> bool:
    """Tell a text with language in it from a formula alone."""
    text = _TEXT.sub("", text)
    if _PROSE.search(text):
        return True
    return (
        SPAN.search(text) is not None and re.search("[A-Za-z]{2}", SPAN.sub("", text)) is not None
    )


def _last_formula(text: str) -> tuple[str, int] | None:
    """Find the last formula between delimiters, and where it ends."""
    last = None
    place = 0
    if (start := text.rfind("\\begin{align")) >= 0 and "$" not in text[start:]:
        last = (text[start:], len(text))
    while found := SPAN.search(text, place):
        content = next(part for part in found.groups() if part)
        is_money = found[2] is not None and bool(_PROSE.search(_TEXT.sub("", content)))
        if is_money:  # "$5 and $" opens no formula
            place = found.start() + 1
            continue
        if content.strip(" .,;:") and not re.fullmatch(r"\s*[A-Za-z]\s*", content):
            last = (content, found.end())
        place = found.end()
    if last is None:
        return None
    content, end = last
    if _ALIGNED.search(content):
        content = _ALIGNED.sub("", content).replace("&", "")
        content = content.rpartition("=")[2].split("\\\\")[-1] if "=" in content else content
    return content, end


def _is_open(text: str) -> bool:
    """Tell whether the text breaks off inside a formula."""
    if text.count("$$") % 2:
        return True
    last = text.rfind("$")
    if last < 0 or text.count("$") % 2 == 0:
        return text.rfind(r"\[") > text.rfind(r"\]") or text.rfind(r"\(") > text.rfind(r"\)")
    return "\\" in text[last:] or "^" in text[last:]
