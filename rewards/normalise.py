r"""Bring one answer to plain LaTeX: one Unicode form, no wrappers, no thousands marks.

Nothing here changes what a text says: ``4²`` becomes ``4^{2}`` and never 42, ``1½`` becomes
``1 1/2``, ``%`` stays. Every pattern is linear, every loop has a fixed number of turns.
"""

import re
import unicodedata

_FIRST_IDEOGRAPH = 0x2E80
_KEPT_FORMS = ("<super>", "<sub>", "<circle>", "<square>")
"""NFKC turns these into plain digits, which changes the value: they are left as they are."""
_SIGNS = {0x2212: "-", 0x2010: "-", 0x2011: "-", 0x2013: "-", 0xFE63: "-", 0x2044: "/", 0x2215: "/"}
_INVISIBLE_OPERATORS = {0x2062: "*", 0x2063: ",", 0x2064: "+"}
_DOUBLE_STRUCK = {0x211D: r"\mathbb{R}", 0x2124: r"\mathbb{Z}", 0x2115: r"\mathbb{N}",
                  0x211A: r"\mathbb{Q}", 0x2102: r"\mathbb{C}"}  # fmt: skip
_SYMBOLS = {
    "π": "pi", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon",
    "θ": "theta", "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi",
    "ϕ": "phi", "ω": "omega", "ψ": "psi", "ξ": "xi", "η": "eta", "κ": "kappa", "ν": "nu",
    "χ": "chi", "ζ": "zeta", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda",
    "Σ": "Sigma", "Φ": "Phi", "Ω": "Omega", "Π": "Pi", "Ψ": "Psi",
    "×": "times", "⋅": "cdot", "·": "cdot", "∙": "cdot", "•": "cdot", "÷": "div", "∗": "ast",
    "≤": "le", "≥": "ge", "⩽": "le", "⩾": "ge", "≠": "ne", "≈": "approx", "≡": "equiv",
    "∈": "in", "∉": "notin", "∪": "cup", "∩": "cap", "∖": "setminus", "∞": "infty",
    "√": "sqrt", "±": "pm", "∓": "mp", "∅": "emptyset", "⌀": "emptyset", "ø": "emptyset",
    "∧": "land", "∨": "lor", "→": "to", "⇒": "implies", "⟹": "implies", "⇔": "iff", "′": "prime",
    "⟨": "langle", "⟩": "rangle", "〈": "langle", "〉": "rangle", "⌊": "lfloor", "⌋": "rfloor",
    "⌈": "lceil", "⌉": "rceil", "∠": "angle", "∑": "sum", "∏": "prod", "∫": "int", "∛": "cbrt",
    "…": "dots", "⋯": "dots", "∣": "mid", "∥": "parallel", "€": "euro", "£": "pounds",
    "¢": "text{ cents}", "º": "degree", "°": "degree", "℃": "text{ celsius}",
}  # fmt: skip
_TO_LATEX = {ord(character): rf"\{name} " for character, name in _SYMBOLS.items()}
_TO_LATEX |= {0x3002: ".", 0x3001: ",", 0x201C: '"', 0x201D: '"', 0x2019: "'", 0x2018: "'",
              0x2014: "-", 0x2223: "|", 0x20B9: r"\text{rupee}", 0xA5: r"\text{yen}"}  # fmt: skip
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣʸ", "0123456789+-()nxy", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓᵢⱼₖ", "0123456789+-()nxijk", strict=True))
_RAISED_RUN = re.compile(f"[{''.join(_RAISED)}]+")
_LOWERED_RUN = re.compile(f"[{''.join(_LOWERED)}]+")

_THOUSANDS = re.compile(
    r"(?<=[0-9])(?:\{,\}|,?\\[,!;: ]|,?\{\\,\}|\\text\{,\}|~)\s*(?=[0-9]{3}(?![0-9]))"
)
_THIN_SPACE = re.compile("(?<=[0-9])[\u2009\u202f\u00a0\u2008](?=[0-9]{3}(?![0-9]))")
_SPACES = re.compile(r"\s+")
_LOOSE_SPACE = re.compile(r" (?![A-Za-z0-9])|(?<![A-Za-z0-9]) ")
_DRAWING = re.compile(r"\\(?:left|right|displaystyle|textstyle|big[lr]?|Big[lr]?)(?![A-Za-z])|\\!")
_SPACING = re.compile(r"\\[,;: ]|~")
_ROW_GAP = re.compile(r"\\\\\s*\[-?[0-9.]+\s*[a-z]{2}\]")
_LEAD_IN = re.compile(r"\\text\s*\{\s*(?:[Tt]he )?(?:[Ff]inal )?[Aa]nswer(?: is)?\s*:?\s*\}")
_NULL_DELIMITER = re.compile(r"\\(?:left|right)\s*\.")
_MODULE = re.compile(r"\b(?:np|numpy|math)\.(?=[a-z])")
_SPACED_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?: [0-9]{3})+(?:\.[0-9]+)?")
_PRIME = re.compile(r"\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![A-Za-z]))")
_POWER_OF_TEN = re.compile(r"(?<=[0-9])\s*[xX]\s*10\s*(?=\^)")
_DECIMAL_COMMA = re.compile(r"(?<=[0-9])\{,\}(?=[0-9]{1,2}(?![0-9,{]))")
_COUNTED = re.compile(
    r"(-?[0-9][0-9.,]*+)\s*+(?:\\text\s*+\{)?\s*+([^\x00-\x7f]|[^\W\d_][^\x00-\x40]*[^\x00-\x7f])"
    r"([^\x00-\x1f!-@\[-`{-\x7f]*+)\}?"
)
"""A number with words of another script or with accents: 18元, 18 dólares, 18 বছর."""
_OTHER_NUMBER = re.compile(
    "[十百千万亿萬億兆半倍割成一二三四五六七八九零〇两兩或和か及십백천만억조반배]|또는|тысяч|миллион|миллиард|трлн|млн"
    "|млрд|сот|дюжин|полов|শত|হাজার|লক্ষ|লাখ|কোটি|ডজন|অর্ধ|వంద|వేల|లక్ష|కోట్|డజన్|ร้อย|พัน|หมื่น|แสน|ล้าน|โหล|ครึ่ง|หรือ"
    "|कर|लाख|हज|सौ|दर्जन|கோடி|லட்ச|ஆயிர|ألف|مليون|مئة|אלף|מיליון|nghìn|triệu|tỷ|chục|mill|milh|bill|tausend"
    "|docen|dúzia"
)
"""Words that make another number of the one they follow, or offer a second one."""
_COLOUR = re.compile(r"\\(?:text)?color\s*\{(?!white)[A-Za-z]*\}")
_WHOLE = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|boldsymbol|bf|rm|bm|boxed|fbox"
    r"|underline|emph|displaystyle|mathit|operatorname)\s*\{([^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+)\}"
)
_DOUBLED = re.compile(
    r"(?<!\\)\\\\(?=(?:[dt]?frac|sqrt|left|right|begin|end|boxed|text|pi|cdot|times|infty|cup"
    r"|circ|in|le|ge|pm|angle|mathrm|leq|geq|sin|cos|tan|log|ln)(?![A-Za-z]))"
)
_DELIMITERS = ((r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$"), ("$", "$"), ("**", "**"), ("`", "`"))
_WRAPS, _ENDS = frozenset("\\$*`="), frozenset(".,;:\\")
_MAX_WRAPPERS = 5  # $\(\text{**5**}\)$ is as deep as honest answers go
_MANY_BRACKETS = 10


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
    return text if text.isascii() else _THIN_SPACE.sub("", text).translate(_FOLD)


def tidy(text: str) -> str:
    r"""Take away what surrounds an answer, and write its Unicode as LaTeX.

    Args:
        text: One answer, as extracted: ``\(\dfrac{1}{2}\)``, ``**18.**``, ``1{,}234``, ``2π``.

    Returns:
        The same answer without math delimiters, emphasis, final punctuation and thousands marks.
    """
    if not text.isascii():
        text = _mathematics(fold_unicode(text))
    elif text.isalnum():
        return text
    if "\\\\" in text and _DOUBLED.search(text):
        text = text.replace("\\\\", "\\")  # LaTeX that was escaped once too often
    if "\\" in text or "{" in text or "~" in text:
        text = _NULL_DELIMITER.sub(" ", _THOUSANDS.sub("", text))
        if "nswer" in text:
            text = _LEAD_IN.sub("", text)
        if "\\\\" in text:
            text = _ROW_GAP.sub(r"\\\\ ", text)
        if "{,}" in text:
            text = _DECIMAL_COMMA.sub(".", text).replace("{,}", ",")
        if "{:}" in text:
            text = text.replace("{:}", ":")
        if text.startswith("\\displaystyle"):
            text = text[13:].lstrip()
        if "prime" in text:
            text = _PRIME.sub("'", text)
        if "color" in text:
            text = _COLOUR.sub("", text)
    if ("." in text and "np." in text) or "math." in text:
        text = _MODULE.sub("", text)
    text = _unwrapped(text)
    if "10" in text and ("x" in text or "X" in text):
        text = _POWER_OF_TEN.sub(r"\\cdot 10", text)
    if " " in text and _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "")
    if "$" in text:
        text = _unwrapped(_without_dollars(text))
    return text if text.isascii() else _without_noun(text)


def normalise(text: str) -> str:
    r"""Give the form in which two tidied texts are compared letter by letter.

    Args:
        text: One tidied answer: ``\left( 1 , \frac{1}{2} \right)`` gives ``(1,\frac{1}{2})``.

    Returns:
        The text without drawing; spaces are kept only between letters and digits, so that
        ``1 2`` is not ``12``.
    """
    if "\\" in text:
        text = _SPACING.sub(" ", _DRAWING.sub("", text))
    return _LOOSE_SPACE.sub("", _SPACES.sub(" ", text)) if " " in text else text


def _without_noun(text: str) -> str:
    """Write ``18元`` as ``18 units``: what is counted, in a language whose words are not read."""
    found = _COUNTED.fullmatch(text)
    if found is None:
        return text
    noun = found[2] + found[3]
    is_word = len(noun) > 1 or ord(noun) >= _FIRST_IDEOGRAPH  # a lone letter may be a variable
    is_word = is_word and len(noun.split()) == 1  # a second word may be "or twenty"
    if not is_word or _OTHER_NUMBER.search(noun.lower()):
        return text
    kinds = {unicodedata.category(character)[0] for character in noun}
    return f"{found[1]} units" if kinds <= {"L", "M", "Z"} else text


def _mathematics(text: str) -> str:
    text = _RAISED_RUN.sub(lambda run: _script("^", run[0], _RAISED), text)
    text = _LOWERED_RUN.sub(lambda run: _script("_", run[0], _LOWERED), text)
    return text.translate(_TO_LATEX)


def _script(mark: str, run: str, plain: dict[str, str]) -> str:
    return f"{mark}{{{''.join(plain[character] for character in run)}}}"


def _unwrapped(text: str) -> str:
    text = text.strip()
    for _ in range(_MAX_WRAPPERS):
        if text[:1] not in _WRAPS and text[-1:] not in _ENDS:
            break
        before = text
        if text[-1:] in ".,;:\\" and not text.endswith(".."):
            text = text.rstrip(".,;:\\ \n\t") if text[-2:] not in (r"\)", r"\]") else text
        for opening, closing in _DELIMITERS:
            if text.startswith(opening) and len(text) >= len(opening) + len(closing):
                if text.endswith(closing) and _is_pair(text, opening):
                    text = text[len(opening) : -len(closing)].strip()
                elif opening in (r"\(", r"\[") and closing not in text:
                    text = text[2:].strip()
        if text[:1] == "\\" and (whole := _WHOLE.fullmatch(text)):
            text = whole[1].strip()
        if text[:1] in "=*" and text[:2] != "**":
            text = text[1:].strip()
        if text == before:
            break
    return _without_brackets(text) if text.startswith("(" * _MANY_BRACKETS) else text


def _is_pair(text: str, opening: str) -> bool:
    """Tell whether the delimiters at both ends belong together: not so in ``$1$ and $2$``."""
    inner = text[len(opening) : -len(opening)]
    return opening not in ("$", "**", "`", "$$") or opening not in inner.replace(r"\$", "")


def _without_dollars(text: str) -> str:
    """Keep ``$5`` as money, and drop the ``$`` that only open and close mathematics."""
    bare = text.replace(r"\$", "")
    is_money = bare.count("$") % 2 == 1
    if is_money and bare.endswith("$"):  # the end of a formula whose start was cut off
        text, is_money = text[:-1], False
    parts = text.replace(r"\$", "\0").split("$")
    return (r" \$ " if is_money else " ").join(parts).replace("\0", r"\$").strip()


def _without_brackets(text: str) -> str:
    """Take off pairs of round brackets around the whole text, in one pass."""
    depth = 0
    lowest = len(text) - len(text.lstrip("("))
    for character in text[lowest : len(text.rstrip(")"))]:
        depth += (character == "(") - (character == ")")
        lowest = min(lowest, lowest + depth)
    count = min(lowest, len(text) - len(text.rstrip(")")))
    return text[count : len(text) - count] if count > 0 else text


def _fold_character(character: str) -> str:
    if (code := ord(character)) < 128:
        return character
    if code in _SIGNS:
        return _SIGNS[code]
    if code in _DOUBLE_STRUCK:
        return _DOUBLE_STRUCK[code]
    if code in _INVISIBLE_OPERATORS:
        return _INVISIBLE_OPERATORS[code]
    if unicodedata.category(character) == "Cf":  # zero width, and the marks that turn direction
        return ""
    if character in _RAISED or character in _LOWERED or code in _TO_LATEX:
        return character
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    form = unicodedata.decomposition(character).partition(" ")[0]
    if form in _KEPT_FORMS:
        return character
    folded = unicodedata.normalize("NFKC", character).translate(_SIGNS)
    return f" {folded}" if form == "<fraction>" else folded


_FOLD = _Fold()
