r"""Cut a list of tokens where no bracket holds it together: at commas, relations, set operators."""

from collections.abc import Iterable, Sequence

from mathrl.rewards.notation import WORD_FUNCTIONS
from mathrl.rewards.tokens import Token

OPENINGS = frozenset(("(", "[", "{", "{set", "<angle", "lfloor", "lceil"))
CLOSINGS = frozenset((")", "]", "}", "set}", "angle>", "rfloor", "rceil"))
_LEADING = frozenset((",", ";", ":", "newline", "therefore", "implies", "."))


def is_point(tokens: Sequence[Token]) -> bool:
    name = tokens[0]
    if name.kind != "symbol" or not name.value.isupper() or name.value in "CP":
        return False
    return closes_at_end(tokens[1:]) and any(token.kind == "," for token in tokens)


def is_plain_angle(tokens: Sequence[Token]) -> bool:
    """Tell whether degrees belong to all that stands before them: not so in ``\\sin 30^\\circ``."""
    return not any(
        (token.kind == "command" and token.value in WORD_FUNCTIONS - {"sqrt"})
        or (token.kind in ("+", "-") and place > 0)
        for place, token in enumerate(tokens)
    )


def trimmed(tokens: Sequence[Token]) -> Sequence[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind in _LEADING:
        start += 1
    while end > start and tokens[end - 1].kind in (",", ";", ":", "newline"):
        end -= 1
    return tokens[start:end]


def split(tokens: Sequence[Token], kinds: Iterable[str]) -> tuple[list[Sequence[Token]], list[str]]:
    """Cut tokens at separators that no bracket holds; also list the separators."""
    depth, start = 0, 0
    pieces: list[Sequence[Token]] = []
    found: list[str] = []
    for place, token in enumerate(tokens):
        kind = token.kind
        if kind in OPENINGS:
            depth += 1
        elif kind in CLOSINGS:
            depth = max(0, depth - 1)
        elif kind == "environment":
            depth += 1 if token.value.startswith("begin") else -1
        elif depth == 0 and kind in kinds:
            pieces.append(tokens[start:place])
            found.append(kind)
            start = place + 1
    pieces.append(tokens[start:])
    return pieces, found


def rejoined(
    tokens: Sequence[Token], pieces: Sequence[Sequence[Token]], first: int
) -> Sequence[Token]:
    skipped = sum(len(piece) + 1 for piece in pieces[:first])
    return tokens[skipped:]


def closes_at_end(tokens: Sequence[Token]) -> bool:
    """Tell whether the first bracket is closed by the last token."""
    depth = 0
    for token in tokens[:-1]:
        depth += (token.kind in OPENINGS) - (token.kind in CLOSINGS)
        if depth == 0:
            return False
    return True


def bare(tokens: Sequence[Token]) -> Sequence[Token]:
    """Take off the braces or brackets around a modulus."""
    while len(tokens) > 2 and tokens[0].kind in ("{", "(") and tokens[-1].kind in ("}", ")"):
        tokens = tokens[1:-1]
    return tokens
