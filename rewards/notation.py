r"""The vocabulary of the tokenizer: which spelling of an operator, a function or a word is which.

Tables only. A command that is in none of them is a symbol of its own name.
"""


def words(text: str) -> frozenset[str]:
    """Write a set of words as one line.

    Args:
        text: Words with spaces between them.
    """
    return frozenset(text.split())


OPERATORS = {"**": "^", "==": "=", "=<": "<=", "->": "to", "...": "dots"}
ESCAPES = {
    "{": "{set", "}": "set}", "%": "%", "|": "norm", "\\": "newline", "$": "dollar",
    "&": "&", "_": "blank", "#": "hash",
}  # fmt: skip
IGNORED = words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle"
    " textstyle scriptstyle limits nolimits middle mathop mathord mathstrut strut bf it cal"
    " boldsymbol mathbin quad qquad enspace thinspace nobreak nonumber ensuremath normalsize"
    " large Large small boldmath hfill bigskip medskip smallskip relax"
)
KINDS = {
    "times": "*", "cdot": "*", "ast": "*", "star": "*", "div": "/", "over": "over",
    "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "lt": "<", "gt": ">",
    "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "ne": "!=", "neq": "!=",
    "approx": "approx", "approxeq": "approx", "simeq": "approx", "doteq": "approx",
    "in": "in", "cup": "cup", "bigcup": "cup", "cap": "cap", "bigcap": "cap",
    "setminus": "setminus", "backslash": "setminus", "smallsetminus": "setminus",
    "lor": "or", "vee": "or", "land": "and", "wedge": "and", "lbrace": "{set", "rbrace": "set}",
    "to": "to", "rightarrow": "to", "longrightarrow": "to", "mapsto": "to",
    "Rightarrow": "implies", "implies": "implies", "Longrightarrow": "implies",
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
ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom",
    "varnothing": "emptyset", "arcctg": "arccot", "tg": "tan", "ctg": "cot", "cosec": "csc",
    "varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "varrho": "rho",
    "overline": "bar", "Bbb": "mathbb", "textdegree": "degree", "arctg": "arctan",
}  # fmt: skip
WORD_FUNCTIONS = words(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt gcd lcm max min"
    " floor ceil abs det mod cis"
)
UPRIGHT_LETTERS = frozenset("abcdeijknpqrtxyz")
"""Letters that are symbols also when set upright; others are units there."""
JOINABLE = words("sin cos tan cot sec csc arcsin arccos arctan log ln")
"""Functions that plain text writes together with a letter: ``sinx``."""
NOUNS = words("logs tans secs sins tank sing sine logo cost tang")
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau"
    " upsilon phi chi psi omega Alpha Beta Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
PLAIN_COMMANDS = WORD_FUNCTIONS | words(GREEK) | {"pi", "infty", "frac", "binom"}
WORDS = {
    "infinity": ("command", "infty"), "inf": ("command", "infty"), "oo": ("command", "infty"),
    "asin": ("command", "arcsin"), "acos": ("command", "arccos"), "atan": ("command", "arctan"),
    "cbrt": ("command", "cbrt"), "union": ("cup", "cup"), "U": ("symbol", "U"),
    "and": ("and", "and"), "or": ("or", "or"), "percent": ("%", "%"),
    "degrees": ("degree", "degree"), "degree": ("degree", "degree"), "deg": ("degree", "degree"),
    "log10": ("command", "log"), "emptyset": ("command", "emptyset"),
}  # fmt: skip
TEXTS = {
    "and": "and", "or": "or", ",": ",", ";": ";", "=": "=", "%": "%", "percent": "%",
    "per cent": "%",
    "to": ":", "\\$": "dollar", "$": "dollar",
    "degrees": "degree", "degree": "degree", "\N{DEGREE SIGN}": "degree",
    "mod": "mod", "where": "where", "for": "where", "if": "where", "when": "where",
    "with": "where", "such that": "where", "for all": "where", "for any": "where",
}  # fmt: skip
