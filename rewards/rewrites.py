r"""Notations that no token can tell, written as LaTeX before an answer is cut into tokens.

``]2,5]`` is ``(2,5]``, ``(0,1) U (2,3)`` a union, ``x = k\pi, k \in \mathbb{Z}`` a family of values
over the whole numbers: its letter may have any name.
"""

import re
from collections.abc import Sequence

# The patterns are compiled where one is first needed, and `re` keeps them: most answers need none,
# and compiling all of them would be a tenth of what the import of the package takes.
_SKIP = (
    r"(?:\\(?:text|mathrm|textrm)\s?\{|\\(?:left|right|quad|qquad)(?![a-z])|\\[,;: ]"
    r"|[{}$\s,;()~]){0,12}+"
)
_WHOLE = (
    r"(?:\\mathbb\s?\{?\s?[ZN]\s?\}?|Z|N)"
    r"(?:\^\s?\{?[+*]\}?|_\s?\{?[+0]\}?|_\{\\g[a-z]+\s?[01]\}|_\{>0\})?"
)
_FAMILY = (
    rf"{_SKIP}(?:(?:where|with|for|for (?:all|any|some|every|each)|and|\\forall)(?![a-z])"
    r"|[:|](?!=))?"
    rf"{_SKIP}(?:(?<![A-Za-z])(?P<member>[a-zA-Z]){_SKIP}\\in(?![a-z]){_SKIP}(?P<set>{_WHOLE})"
    rf"|(?:(?:all|any|some|every|each|an|the)\s)?integers?(?![a-z]){_SKIP}"
    rf"(?P<after>[a-zA-Z])(?![A-Za-z])"
    rf"|(?<![A-Za-z])(?P<before>[a-z])(?![a-z]){_SKIP}(?:(?:is|are|being|an|any|some)\s){{0,4}}+"
    rf"integers?){_SKIP}\Z"
)
_REWRITES: Sequence[tuple[str, str, str]] = (
    ("U", r"(?<=[)\]}])\s?U\s?(?=(?:\\left)?\s?[(\[\\])", r"\\cup "),
    ("\\mathbb", r"(\\mathbb\s?\{?\s?R\s?\}?)\s?-\s?(?=\\\{)", r"\1\\setminus "),
    (
        "except",
        r"(?i:(?:\\text\s?\{\s?)?(?:all )?(?:the )?real numbers except(?: for)?)"
        r"\s?\}?\s?(?:[a-z]\s?=\s?)?(-?[0-9.]{1,30}|\\frac\{[0-9]{1,9}\}\{[0-9]{1,9}\})\}?\Z",
        r"\\mathbb{R}\\setminus\\{\1\\}",
    ),
    ("per cent", r"(?<=[0-9]) per cent(?![a-z])", " percent"),
    ("USD", r"\bUSD\s?(?=[0-9])", r"\\$ "),
    ("US", r"\bUS\s?\\?\$\s?(?=[0-9])", r"\\$ "),
    ("mod", r"\(\s?(?:\\text\s?\{)?\s?(?:\\mod|mod)(?![a-z])\s?\}?", r"\\pmod("),
    ("\\not", r"\\not\s?(?:=|\{=\})", r"\\ne "),
    ("\\not", r"\\not\s?\\in(?![a-z])", r"\\notin "),
)
"""What a text must hold for a rewrite to be tried, what is rewritten, and as what."""
_FRENCH = r"(?:\\left)?\s?([\[\]])([^\[\]]{1,80})(?:\\right)?\s?([\[\]])"
_FRENCH_UNION = r"\[\s?\\cup|\\cup\s?(?:\\left)?\]"
_ARC = (
    r"(?<![0-9.])([0-9]{1,4})\s?(?:\^\s?\{?\s?\\circ\s?\}?|\\degree|\s?degrees)\s?"
    r"([0-9]{1,2})\s?(?:'|\^\\prime|\s?minutes)"
)


def rewritten(text: str) -> str:
    """Write an answer in notations that the tokens know.

    Args:
        text: One tidied answer.
    """
    for mark, pattern, instead in _REWRITES:
        if mark in text:
            text = re.sub(pattern, instead, text)
    is_french = text[:1] == "]" or text[-1:] == "[" or text.startswith("\\left]")
    if is_french or ("\\cup" in text and re.search(_FRENCH_UNION, text)):
        text = re.sub(_FRENCH, _with_round_ends, text)
    if "'" in text or "minutes" in text:
        text = re.sub(_ARC, _in_degrees, text)
    return text


def family_of(text: str) -> tuple[str, str, str] | None:
    r"""Take the clause ``k \in \mathbb{Z}`` or "for any integer k" off the end of an answer.

    Args:
        text: One tidied answer.

    Returns:
        What stands before it, its letter, and the set that the letter runs over; or None where
        there is no such clause.
    """
    if "\\in" not in text and "integer" not in text:
        return None
    found = re.search(_FAMILY, text)
    if found is None:
        return None
    head = text[: found.start()].rstrip()
    letter = found["member"] or found["after"] or found["before"]
    whole = re.sub(r"\\mathbb|[{}\s]", "", found["set"] or "Z")
    return (head, letter, whole) if letter in head else None


def _with_round_ends(interval: re.Match[str]) -> str:
    opening, inside, closing = interval.groups()
    return f"{'(' if opening == ']' else '['}{inside}{')' if closing == '[' else ']'}"


def _in_degrees(angle: re.Match[str]) -> str:
    """Write 30 degrees 15 minutes as a fraction of degrees."""
    minutes = int(angle[1]) * 60 + int(angle[2])
    return f"\\frac{{{minutes}}}{{60}}^{{\\circ}}"
