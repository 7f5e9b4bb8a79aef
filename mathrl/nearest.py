"""The known names nearest to one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask for the names that may have been meant, capital letters or not.

    Args:
        name: What was given.
        known: What it could have been.

    Returns:
        ``did you mean a or b?`` with three names at most, the nearest first; empty if none is near.
    """
    spelled = {one.lower(): one for one in known}
    near = [spelled[one] for one in get_close_matches(name.lower(), spelled, n=3)]
    return f"did you mean {' or '.join(near)}?" if near else ""
