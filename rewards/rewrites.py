r"""Notations that no token can tell, written as LaTeX before an answer is cut into tokens.

``]2,5]`` is ``(2,5]``, ``(0,1) U (2,3)`` a union, ``x = k\pi, k \in \mathbb{Z}`` a family of values
over the whole numbers: its letter may have any name.
"""

import re
from collections.abc import Callable, Sequence

_SKIP = (
    r"(?:\\(?:text|mathrm|textrm)\s*\{|\\(?:left|right|quad|qquad)(?![a-z])|\\[,;: ]"
    r"|[{}$\s,;()~]){0,12}+"
)
_WHOLE = (
    r"(?:\\mathbb\s*\{?\s*(?P<set>[ZN])\s*\}?|Z|N)"
    r"(?:\^\s*\{?\+\}?|_\s*\{?[+0]\}?|_\{\\g[a-z]+\s?[01]\})?"
)
_FAMILY = re.compile(
    rf"{_SKIP}(?:(?:where|with|for|for (?:all|any|some|every|each)|and|\\forall)(?![a-z])"
    r"|[:|](?!=))?"
    rf"{_SKIP}(?:(?<![A-Za-z])(?P<member>[a-zA-Z]){_SKIP}\\in(?![a-z]){_SKIP}{_WHOLE}"
    rf"|(?:(?:all|any|some|every|each|an|the)\s+)?integers?(?![a-z]){_SKIP}(?P<after>[a-zA-Z])(?![A-Za-z])"
    rf"|(?<![A-Za-z])(?P<before>[a-z])(?![a-z]){_SKIP}(?:(?:is|are|being|an|any|some)\s+){{0,4}}+integers?){_SKIP}\Z"
)
_REWRITES: Sequence[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]] = (
    ("U", re.compile(r"([)\]}])\s*U\s*(?=(?:\\left)?\s*[(\[\\])"), r"\1\\cup "),
    ("\\mathbb", re.compile(r"(\\mathbb\s*\{?\s*R\s*\}?)\s*-\s*(?=\\\{)"), r"\1\\setminus "),
    (
        "except",
        re.compile(
            r"(?:\\text\s*\{)?\s*(?:all )?real numbers except(?: for)?\s*\}?\s*([^{}]+?)\}?"
        ),
        r"\\mathbb{R}\\setminus\\{\1\\}",
    ),
    ("USD", re.compile(r"\bUSD\s?(?=[0-9])"), r"\\$ "),
    ("US", re.compile(r"\bUS\s?\\?\$\s?(?=[0-9])"), r"\\$ "),
    ("mod", re.compile(r"\(\s*(?:\\text\s*\{)?\s*(?:\\mod|mod)(?![a-z])\s*\}?"), r"\\pmod("),
    ("\\not", re.compile(r"\\not\s*(?:=|\{=\})"), r"\\ne "),
    ("\\not", re.compile(r"\\not\s*\\in(?![a-z])"), r"\\notin "),
)
_FRENCH = re.compile(r"(?:\\left)?\s*([\[\]])([^\[\]]+)(?:\\right)?\s*([\[\]])")
_ARC = re.compile(
    r"([0-9]+)\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|\s?degrees)\s*([0-9]+(?:\.[0-9]+)?)\s*"
    r"(?:'|\^\\prime|\s?minutes)"
)


def rewritten(text: str) -> str:
    """Write an answer in notations that the tokens know.

    Args:
        text: One tidied answer.
    """
    for mark, pattern, instead in _REWRITES:
        if mark in text:
            text = pattern.sub(instead, text)
    if text[:1] == "]" or text[-1:] == "[" or text.startswith("\\left]"):
        text = _FRENCH.sub(_with_round_ends, text)
    if "'" in text or "minutes" in text:
        text = _ARC.sub(r"\\frac{\1*60+\2}{60}^{\\circ}", text)
    return text


def family_of(text: str) -> tuple[str, str, bool] | None:
    r"""Take the clause ``k \in \mathbb{Z}`` or "for any integer k" off the end of an answer.

    Args:
        text: One tidied answer.

    Returns:
        What stands before it, its letter and whether that is a natural number; or None where
        there is no such clause.
    """
    if "\\in" not in text and "integer" not in text:
        return None
    found = _FAMILY.search(text)
    if found is None:
        return None
    head, letter = (
        text[: found.start()].rstrip(),
        found["member"] or found["after"] or found["before"],
    )
    return (head, letter, found["set"] == "N") if letter in head else None


def _with_round_ends(interval: re.Match[str]) -> str:
    opening, inside, closing = interval.groups()
    return f"{'(' if opening == ']' else '['}{inside}{')' if closing == '[' else ']'}"
