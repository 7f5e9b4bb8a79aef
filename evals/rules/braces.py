r"""Where an open brace is closed, counted as other projects do: ``\{`` and ``\}`` count too."""

import re

_BRACE = re.compile(r"[{}]")


def inside_brace(text: str) -> str | None:
    """What is in the brace that ``text`` starts in, None where that is never closed."""
    depth = 1
    for brace in _BRACE.finditer(text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[: brace.start()]
    return None
