r"""Find ``\boxed{...}`` in a text: balanced braces only, in time linear in the text.

Time and memory grow linearly with the text, whatever it holds (100,000 braces, boxes that never
close). A box that is not closed is not a box; a box inside a box belongs to the outer's content.
"""

import re
from typing import NamedTuple

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox|bbox(?:\[[^\]\n]{0,60}\])?|colorbox\{[^{}]{1,30}\}|fcolorbox\{[^{}]{1,30}\}\s?\{[^{}]{1,30}\})(?![A-Za-z])\s*+"
)
_LONGEST = len("\\fcolor")
"""Characters before the letters "box" in the longest name of a box."""
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escape, so that \{ and \} do not count as braces
_BARE_NUMBER = re.compile(r"[-+]?\.?[0-9][^\s${}()\\]*+")
r"""What ``\boxed 5`` holds: only something that starts like a number, so prose never counts."""


class Box(NamedTuple):
    """A box: what is in it, and where it starts and ends in the text."""

    content: str
    start: int
    end: int


def find_boxes(text: str) -> list[Box]:
    r"""List the outermost boxes of a text, in order.

    Args:
        text: Any text; ``\boxed{...}``, ``\fbox{...}`` and ``\boxed 5`` count.

    Returns:
        The boxes, their contents as written, without the braces.
    """
    found: list[Box] = []
    closing: dict[int, int] | None = None
    after = 0
    while (use := _next_box(text, after)) is not None:
        argument = after = use.end()
        if text[argument : argument + 1] == "{":
            if closing is None:
                end = _closing_brace(text, argument)
                if end is None:  # match all braces at once, or a flood would cost its square
                    closing = _closing_braces(text, argument)
            else:
                end = closing.get(argument)
            if end is not None:
                found.append(Box(text[argument + 1 : end], use.start(), end + 1))
                after = end + 1
        elif bare := _BARE_NUMBER.match(text, argument):
            found.append(Box(bare[0], use.start(), bare.end()))
            after = bare.end()
    return found


def _next_box(text: str, start: int) -> re.Match[str] | None:
    """Find the next box command: by its letters first, which is many times faster."""
    place = text.find("box", start)
    while place >= 0:
        backslash = text.rfind("\\", max(start, place - _LONGEST), place)
        if backslash >= 0 and (use := _BOX.match(text, backslash)):
            return use
        place = text.find("box", place + 3)
    return None


def boxes(text: str) -> list[str]:
    r"""List the contents of the outermost boxes of a text, in order.

    Args:
        text: Any text; ``\boxed{...}``, ``\fbox{...}`` and ``\boxed 5`` count.

    Returns:
        The contents without their braces, as written; an empty box gives an empty string.
    """
    return [box.content for box in find_boxes(text)]


def last_box(text: str) -> str | None:
    r"""Give the content of the last outermost box, or None where there is none.

    Args:
        text: Any text, for example a worked solution that ends in ``\boxed{\frac{1}{2}}``.
    """
    contents = boxes(text)
    return contents[-1] if contents else None


def _closing_brace(text: str, opening: int) -> int | None:
    """Find the ``}`` of one ``{``."""
    depth = 0
    for token in _BRACE.finditer(text, opening):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.start()
    return None


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """Map the place of each matched ``{`` to that of its ``}``."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for token in _BRACE.finditer(text, start):
        if token[0] == "{":
            opened.append(token.start())
        elif token[0] == "}" and opened:
            closing[opened.pop()] = token.start()
    return closing
