r"""Cut one answer into tokens: LaTeX, plain text and calculator notation to one small alphabet.

``\dfrac``, ``\cdot``, ``**``, ``<=`` and ``\leqslant`` become the kinds that the parser knows;
spacing commands and ``\left`` disappear. One pass of one pattern, so the time is linear.
"""

import re
from typing import NamedTuple

from mathrl.rewards.notation import (
    ALIASES,
    ESCAPES,
    IGNORED,
    JOINABLE,
    KINDS,
    NOUNS,
    OPERATORS,
    PLAIN_COMMANDS,
    TEXTS,
    UPRIGHT_LETTERS,
    WORD_FUNCTIONS,
    WORDS,
)


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
    | ((?:[0-9]++(?:\.[0-9]++|\.(?=\ *[/*+-]))?|\.[0-9]++)(?:[eE][+-]?[0-9]++(?![0-9.A-Za-z]))?)
    | \\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|rm|operatorname\*?|mathit|emph|mathsf)
      (?![A-Za-z])\ *+(?:\{([^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+)\})?
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
            tokens.append(Token(OPERATORS.get(value, value), value, is_spaced))
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
            escape = ESCAPES.get(found[_ESCAPE])
            if escape is None:
                is_spaced = is_spaced or found[_ESCAPE] != "!"
                continue  # \, \! \; and their kin only move things apart
            tokens.append(Token(escape, found[0], is_spaced))
        # a bare \rm or \text without braces says nothing
        is_spaced = False
    return tokens


def _add_command(tokens: list[Token], name: str, is_spaced: bool) -> None:
    if name in IGNORED:
        return
    if name.startswith("quad") and len(name) > 4:  # \quadx, a space that was forgotten
        _add_letters(tokens, name[4:], True)
        return
    name = ALIASES.get(name, name)
    tokens.append(Token(KINDS.get(name, "command"), name, is_spaced))


def _add_letters(tokens: list[Token], letters: str, is_spaced: bool) -> None:
    if len(letters) == 1:
        tokens.append(Token("symbol", letters, is_spaced))
    elif letters in PLAIN_COMMANDS:
        tokens.append(Token("command", letters, is_spaced))
    elif known := WORDS.get(letters):
        tokens.append(Token(*known, is_spaced))
    else:
        head = letters[: 6 if letters[:3] == "arc" else 2 if letters[:2] == "ln" else 3]
        function = head if head in JOINABLE and letters not in NOUNS else ""
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
    if kind := TEXTS.get(inner.strip(" ,;").lower() or inner):
        tokens.append(Token(kind, inner, is_spaced))
    elif inner in WORD_FUNCTIONS or inner in (
        "proj",
        "Re",
        "Im",
        "sgn",
        "sign",
        "arg",
        "arcsec",
        "arccsc",
    ):
        tokens.append(Token("command", inner, is_spaced))
    elif len(inner) == 1 and inner in UPRIGHT_LETTERS:  # \mathrm{i} is i
        tokens.append(Token("symbol", inner, is_spaced))
    elif (joint := inner.rpartition(" "))[2] in ("and", "or"):  # \text{boys and}
        tokens.append(Token("text", joint[0], is_spaced))
        tokens.append(Token(joint[2], joint[2], True))
    elif inner:
        tokens.append(Token("text", inner, is_spaced))
