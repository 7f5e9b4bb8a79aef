r"""Make texts that look the same equal: one Unicode form, one LaTeX spelling, one spacing.

Nothing here changes what a text says: superscripts stay superscripts (``4²`` is not 42), ``1½``
becomes ``1 1/2``, ``%`` stays. Every pattern is linear, every loop has a fixed number of turns.
"""

import re
import unicodedata

_KEPT_FORMS = ("<super>", "<sub>", "<circle>", "<square>")
"""NFKC turns these into plain digits, which changes the value: they are left as they are."""
_SIGNS = {0x2212: "-", 0x2010: "-", 0x2011: "-", 0x2013: "-", 0xFE63: "-", 0x2044: "/", 0x2215: "/"}
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\{,\}|\\,|,\\!)(?=[0-9]{3})")
_INVISIBLE = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|bigl?|bigr|Bigl?|Bigr)(?![A-Za-z])|\\!"
)
_SPACE = re.compile(r"\\(?:[,;: ]|quad(?![A-Za-z])|qquad(?![A-Za-z]))|[~\s]++")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_WHOLE_TEXT = re.compile(r"(?:\\(?:text|mathrm|mbox|textbf|textit|textrm|mathbf) ?)?\{([^{}]*+)\}")
_LOOSE_SPACE = re.compile(r" (?![A-Za-z0-9])|(?<![A-Za-z0-9]) ")
_OPENINGS, _CLOSINGS = (r"\(", r"\["), (r"\)", r"\]")
_MAX_WRAPPERS = 4  # $\(\text{**5**}\)$ is as deep as honest answers go


class _Fold(dict[int, str]):
    """What each character becomes, worked out the first time it is met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def fold_unicode(text: str) -> str:
    """Write full-width, bold and other digits as ASCII, and drop characters of no width.

    Args:
        text: Any text, lone surrogates included.
    """
    return text if text.isascii() else text.translate(_FOLD)


def tidy(text: str) -> str:
    r"""Take away what surrounds an answer and what LaTeX only draws with.

    Args:
        text: One answer, as extracted: ``\(\dfrac{1}{2}\)``, ``**18.**``, ``1{,}234``.

    Returns:
        The same answer without math delimiters, emphasis, final punctuation and spacing commands.
    """
    text = _THOUSANDS.sub(",", fold_unicode(text))
    text = _SPACE.sub(" ", _INVISIBLE.sub("", text))
    text = _FRACTION.sub(r"\\frac", text)
    for _ in range(_MAX_WRAPPERS):
        before = text
        text = text.strip(" $*`").rstrip(" $*`.,;:\\")
        text = text[2:] if text[:2] in _OPENINGS else text
        text = text[:-2] if text[-2:] in _CLOSINGS else text
        if whole := _WHOLE_TEXT.fullmatch(text):
            text = whole[1]
        if text == before:
            break
    return text


def normalise(text: str) -> str:
    r"""Give the form in which two texts are compared letter by letter.

    Args:
        text: One answer: ``\left( 1 , \dfrac{1}{2} \right)`` gives ``(1,\frac{1}{2})``.

    Returns:
        The tidied text; spaces are kept only between letters and digits (``1 2`` is not ``12``).
    """
    return _LOOSE_SPACE.sub("", tidy(text))


def _fold_character(character: str) -> str:
    if (code := ord(character)) < 128:
        return character
    if code in _SIGNS:
        return _SIGNS[code]
    if unicodedata.category(character) == "Cf":  # zero width, and the marks that turn direction
        return ""
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    form = unicodedata.decomposition(character).partition(" ")[0]
    if form in _KEPT_FORMS:
        return character
    folded = unicodedata.normalize("NFKC", character).translate(_SIGNS)
    return f" {folded}" if form == "<fraction>" else folded


_FOLD = _Fold()
