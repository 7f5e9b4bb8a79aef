r"""Cut one answer into tokens: LaTeX, plain text and calculator notation to one small alphabet.

``\dfrac``, ``\cdot``, ``**``, ``<=`` and ``\leqslant`` become the kinds that the parser knows;
spacing commands and ``\left`` disappear. One pass of one pattern, so the time is linear.
"""

import re
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of an answer; ``is_spaced`` tells whether white space stood before it."""

    kind: str
    """``number``, ``symbol``, ``word``, ``text``, ``command`` or what an operator is."""
    value: str
    is_spaced: bool


_TOKEN = re.compile(
    r"""
      ([0-9]*\.[0-9]*\ ?\\(?:overline|bar|dot)\ ?(?:\{[0-9]++\}|[0-9])
        |[0-9]++\.\([0-9]++\)|0\.[0-9]++\([0-9]++\)(?=\Z|[,;\s]))
    | ([0-9]*+\.[0-9]++\ ?(?:\.\.\.|\\(?:ldots|dots|cdots)(?![A-Za-z])))
    | ((?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:[eE][+-]?[0-9]++(?![0-9.A-Za-z]))?)
    | \\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|rm|operatorname\*?|mathit|emph|mathsf)
      (?![A-Za-z])\ *+(?:\{([^{}]*+)\})?
    | \\((?:begin|end)\ *+\{[a-z]++\*?\})
    | \\([A-Za-z]++)
    | ([A-Za-z]++)
    | (<=|>=|=<|!=|==|->|\*\*|\.{3}|[-+*/^_=<>!|()\[\]{},;:&'%])
    | \\([^A-Za-z])
    | ([\s~]++)
    """,
    re.VERBOSE,
)
(
    _REPEATING, _ENDLESS, _NUMBER, _TEXT, _ENVIRONMENT, _COMMAND, _LETTERS, _OPERATOR, _ESCAPE,
    _SPACE,
) = range(1, 11)  # fmt: skip

_OPERATORS = {"**": "^", "==": "=", "=<": "<=", "->": "to", "...": "dots"}
_ESCAPES = {
    "{": "{set", "}": "set}", "%": "%", "|": "norm", "\\": "newline", "$": "dollar",
    "&": "&", "_": "blank", "#": "hash",
}  # fmt: skip
_IGNORED = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle"
    " textstyle scriptstyle limits nolimits middle mathop mathord mathstrut strut bf it cal"
    " boldsymbol mathbin quad qquad enspace thinspace nobreak nonumber ensuremath normalsize"
    " large Large small boldmath hfill phantom bigskip medskip smallskip relax".split()
)
_KINDS = {
    "times": "*", "cdot": "*", "ast": "*", "star": "*", "div": "/", "over": "over",
    "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "lt": "<", "gt": ">",
    "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "ne": "!=", "neq": "!=",
    "approx": "approx", "approxeq": "approx", "simeq": "approx", "doteq": "approx",
    "in": "in", "cup": "cup", "bigcup": "cup", "cap": "cap", "bigcap": "cap",
    "setminus": "setminus", "backslash": "setminus", "smallsetminus": "setminus",
    "lor": "or", "vee": "or", "land": "and", "wedge": "and", "lbrace": "{set", "rbrace": "set}",
    "to": "to", "rightarrow": "to", "longrightarrow": "to", "mapsto": "to",
    "Rightarrow": "implies", "implies": "implies", "Longrightarrow": "implies",
    "iff": "implies", "Leftrightarrow": "implies",
    "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
    "langle": "<angle", "rangle": "angle>", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|",
    "lVert": "norm", "rVert": "norm", "Vert": "norm", "pm": "pm", "mp": "mp",
    "ldots": "dots", "dots": "dots", "cdots": "dots", "dotsc": "dots", "dotsb": "dots",
    "colon": ":", "equiv": "equiv", "bmod": "mod", "mod": "mod", "pmod": "pmod",
    "circ": "degree", "degree": "degree", "degrees": "degree", "prime": "'", "percent": "%",
    "lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil", "rceil": "rceil",
    "newline": "newline", "cr": "newline", "dollar": "dollar", "euro": "euro", "pounds": "pound",
    "lnot": "not", "not": "not", "notin": "notin", "because": "because", "therefore": "therefore",
}  # fmt: skip
_ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom",
    "varnothing": "emptyset", "arcctg": "arccot", "tg": "tan", "ctg": "cot", "cosec": "csc",
    "varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "varrho": "rho",
    "textdegree": "degree", "arctg": "arctan",
}  # fmt: skip
WORD_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt gcd lcm max min"
    " floor ceil abs det mod".split()
)
_JOINABLE = frozenset("sin cos tan cot sec csc arcsin arccos arctan log ln".split())
"""Functions that plain text writes together with a letter: ``sinx``."""
_NOUNS = frozenset(("logs", "tans", "secs", "sins", "tank", "sing", "sine", "logo", "cost", "tang"))
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau"
    " upsilon phi chi psi omega Alpha Beta Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_PLAIN_COMMANDS = frozenset([*WORD_FUNCTIONS, *_GREEK.split(), "pi", "infty", "frac", "binom"])
_WORDS = {
    "infinity": ("command", "infty"), "inf": ("command", "infty"), "oo": ("command", "infty"),
    "asin": ("command", "arcsin"), "acos": ("command", "arccos"), "atan": ("command", "arctan"),
    "cbrt": ("command", "cbrt"), "union": ("cup", "cup"), "U": ("symbol", "U"),
    "and": ("and", "and"), "or": ("or", "or"), "percent": ("%", "%"),
    "degrees": ("degree", "degree"), "degree": ("degree", "degree"), "deg": ("degree", "degree"),
    "log10": ("command", "log"), "emptyset": ("command", "emptyset"),
}  # fmt: skip
_TEXTS = {
    "and": "and", "or": "or", ",": ",", ";": ";", "=": "=", "%": "%", "percent": "%",
    "to": ":", "\\$": "dollar", "degrees": "degree", "degree": "degree", "\N{DEGREE SIGN}": "degree", "$": "dollar",
    "mod": "mod", "where": "where", "for": "where", "if": "where", "when": "where",
    "with": "where", "such that": "where",
}  # fmt: skip
_SINGLE = re.compile(r"[A-Za-z]")


def tokenize(text: str) -> list[Token]:
    r"""List the tokens of an answer that has been tidied.

    Args:
        text: ASCII mathematics, as ``normalise.tidy`` leaves it.

    Returns:
        Tokens; characters that belong to no notation have the kind ``unknown``.
    """
    tokens: list[Token] = []
    is_spaced = False
    position = 0
    match_at = _TOKEN.match
    while position < len(text):
        found = match_at(text, position)
        if found is None:
            tokens.append(Token("unknown", text[position], is_spaced))
            position += 1
            is_spaced = False
            continue
        position = found.end()
        group = found.lastindex
        if group == _SPACE:
            is_spaced = True
            continue
        if group == _NUMBER:
            tokens.append(Token("number", found[0], is_spaced))
        elif group == _OPERATOR:
            value = found[0]
            tokens.append(Token(_OPERATORS.get(value, value), value, is_spaced))
        elif group == _COMMAND:
            _add_command(tokens, found[_COMMAND], is_spaced)
        elif group == _LETTERS:
            _add_letters(tokens, found[0], is_spaced)
        elif group == _TEXT:
            _add_text(tokens, found[_TEXT], is_spaced)
        elif group == _ENVIRONMENT:
            tokens.append(Token("environment", found[_ENVIRONMENT].replace(" ", ""), is_spaced))
        elif group in (_REPEATING, _ENDLESS):
            kind = "repeating" if group == _REPEATING else "endless"
            tokens.append(Token(kind, found[0], is_spaced))
        elif group == _ESCAPE:
            if (kind := _ESCAPES.get(found[_ESCAPE])) is None:
                is_spaced = is_spaced or found[_ESCAPE] != "!"
                continue  # \, \! \; and their kin only move things apart
            tokens.append(Token(kind, found[0], is_spaced))
        # a bare \rm or \text without braces says nothing
        is_spaced = False
    return tokens


def _add_command(tokens: list[Token], name: str, is_spaced: bool) -> None:
    if name in _IGNORED:
        return
    if name.startswith("quad") and len(name) > 4:  # \quadx, a space that was forgotten
        _add_letters(tokens, name[4:], True)
        return
    name = _ALIASES.get(name, name)
    tokens.append(Token(_KINDS.get(name, "command"), name, is_spaced))


def _add_letters(tokens: list[Token], letters: str, is_spaced: bool) -> None:
    if len(letters) == 1:
        tokens.append(Token("symbol", letters, is_spaced))
    elif letters in _PLAIN_COMMANDS:
        tokens.append(Token("command", letters, is_spaced))
    elif known := _WORDS.get(letters):
        tokens.append(Token(*known, is_spaced))
    else:
        head = letters[: 6 if letters[:3] == "arc" else 2 if letters[:2] == "ln" else 3]
        function = head if head in _JOINABLE and letters not in _NOUNS else ""
        rest = letters[len(function) :]
        if letters[:2] == "or" and len(letters) == 3 and letters[2].isupper():  # 1orW(x)=2
            tokens.append(Token("or", "or", is_spaced))
            tokens.append(Token("symbol", letters[2], False))
            return
        if function and 1 <= len(rest) <= 2:  # sinx, cos2x is cut by its digit, lnx
            tokens.append(Token("command", function, is_spaced))
            _add_letters(tokens, rest, False)
        else:
            tokens.append(Token("word", letters, is_spaced))


def _add_text(tokens: list[Token], content: str, is_spaced: bool) -> None:
    inner = content.strip()
    is_spaced = is_spaced or content[:1].isspace()
    if kind := _TEXTS.get(inner.lower()):
        tokens.append(Token(kind, inner, is_spaced))
    elif inner in WORD_FUNCTIONS or inner in ("proj", "Re", "Im", "cis", "arcsec", "arccsc"):
        tokens.append(Token("command", inner, is_spaced))
    elif _SINGLE.fullmatch(inner):
        tokens.append(Token("text", inner, is_spaced))
    elif inner:
        tokens.append(Token("text", inner, is_spaced))
