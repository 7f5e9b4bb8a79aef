r"""Find ``\boxed{...}`` in a text: balanced braces only, in one pass over its tokens.

Time and memory grow linearly with the text, whatever it holds (100,000 braces, boxes that never
close). A box that is not closed is not a box; a box inside a box belongs to the outer's content.
"""

import re

_TOKEN = re.compile(
    r"""
    (?P<box>\\(?:boxed|fbox)(?![A-Za-z])\s*+)
    | \\.   # any other escape, so that \{ and \} do not count as braces
    | [{}]
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE_NUMBER = re.compile(r"[-+]?\.?[0-9][^\s${}()\\]*+")
r"""What ``\boxed 5`` holds: only something that starts like a number, so prose never counts."""


def boxes(text: str) -> list[str]:
    r"""List the contents of the outermost boxes of a text, in order.

    Args:
        text: Any text; ``\boxed{...}``, ``\fbox{...}`` and ``\boxed 5`` count.

    Returns:
        The contents without their braces, as written; an empty box gives an empty string.
    """
    tokens = list(_TOKEN.finditer(text))
    closing = _closing_braces(tokens)
    contents: list[str] = []
    inside_until = -1
    for token in tokens:
        if not token["box"] or token.start() < inside_until:
            continue
        argument = token.end()
        if argument in closing:
            inside_until = closing[argument]
            contents.append(text[argument + 1 : inside_until])
        elif bare := _BARE_NUMBER.match(text, argument):
            contents.append(bare[0])
    return contents


def last_box(text: str) -> str | None:
    r"""Give the content of the last outermost box, or None where there is none.

    Args:
        text: Any text, for example a worked solution that ends in ``\boxed{\frac{1}{2}}``.
    """
    contents = boxes(text)
    return contents[-1] if contents else None


def _closing_braces(tokens: list[re.Match[str]]) -> dict[int, int]:
    """Map the place of each matched ``{`` to that of its ``}``."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for token in tokens:
        if token[0] == "{":
            opened.append(token.start())
        elif token[0] == "}" and opened:
            closing[opened.pop()] = token.start()
    return closing
