r"""Language in an answer: its words alone, and which letters are a product and no word."""

import re

_VOWELS = frozenset("aeiouy")
_WORD_CHARACTERS = re.compile(r"[A-Za-z0-9'+-]+(?:\.[0-9]+)?")
TEXT_COMMANDS = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|mathrm|mbox|mathbf|rm|bf|left|right)\b|[{}$]"
)


def words_of(text: str) -> str:
    """Reduce language to its words: lower case, single spaces, no punctuation.

    Args:
        text: Any text.
    """
    found = _WORD_CHARACTERS.findall(TEXT_COMMANDS.sub(" ", text))
    if len(found) == 1 and _is_product(found[0]):
        return str(found[0])
    return " ".join(found).lower() + (" ?" if "?" in text else "")


def _is_product(letters: str) -> bool:
    """Tell letters whose case matters from a word: nRT and Mgh are products."""
    is_cased = letters.islower() or letters.isupper() or letters.istitle()
    return not is_cased or (len(letters) > 1 and _VOWELS.isdisjoint(letters.lower()))
