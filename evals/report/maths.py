r"""The formulas in a model's text as MathML, which browsers draw themselves.

    "so \(x = \frac{1}{2}\)."  ->  "so ", a formula, "."

latex2mathml reads the LaTeX, but what it builds is not trusted: it copies a ``<script>`` out of
``\text``, a link out of ``\href`` and a style out of ``\style``, and it expands macros, by which a
line grows a hundredfold. Only elements and attributes named here are taken over, and nothing
that defines a macro is read at all. What cannot be converted stays as it was written.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from mathrl.errors import MissingExtraError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_FORMULA_CHARACTERS = 1000
MAX_NESTING = 40
"""Open braces and environments; the converter recurses."""
MAX_CHARACTERS = 2_000_000
"""Of all different formulas of a page, which bounds its time; the rest stays as it was written."""

# A dollar is money unless it hugs its formula and no digit follows it (Pandoc's rule).
_DELIMITED = re.compile(
    r"\\\[(?P<brackets>.{1,1000}?)\\\]"
    r"|\\\((?P<parentheses>.{1,1000}?)\\\)"
    r"|\$\$(?P<dollars>[^$]{1,1000})\$\$"
    r"|(?<![\\$])\$(?P<dollar>[^\s$](?:[^$\n]{0,998}[^\s$\\])?)\$(?![\d$])",
    re.DOTALL,
)
_LATEX = re.compile(r"\\[A-Za-z]|[\^_]")
_MACRO = re.compile(r"\\(?:def|let|[a-z]*newcommand|[a-z]*newenvironment|Declare[A-Za-z]*)")

_ELEMENTS = frozenset(
    (
        *("mrow", "mi", "mn", "mo", "mtext", "mspace", "mstyle", "mpadded", "mphantom"),
        *("mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "mover", "munder", "munderover"),
        *("mtable", "mtr", "mtd"),
    )
)
_SHORT_LENGTH = r"\d?(?:\.\d+)?(?:em|ex)"
_ATTRIBUTES = {
    "accent": "true",
    "displaystyle": "true|false",
    "fence": "true|false",
    "form": "prefix|postfix",
    "linethickness": "0",
    "mathvariant": "normal",
    "maxsize": _SHORT_LENGTH,
    "minsize": _SHORT_LENGTH,
    "movablelimits": "true",
    "scriptlevel": "[0-2]",
    "stretchy": "true|false",
    "width": _SHORT_LENGTH,
}
"""Attributes that are taken over, and the values that they may have."""
_CLASSES = {
    ("notation", "box"): "boxed",
    ("notation", "updiagonalstrike"): "struck",
    ("notation", "downdiagonalstrike"): "struck",
    ("notation", "horizontalstrike"): "struck",
    ("columnalign", "left"): "start",
    ("columnalign", "right"): "end",
    ("mathvariant", "bold"): "bold",
}
"""What browsers' MathML lacks and the page's style sheet does instead."""


@dataclass(frozen=True, slots=True)
class MathNode:
    """One MathML element of a formula."""

    tag: str
    attributes: dict[str, str]
    children: tuple["MathNode | str", ...]

    def to_json(self) -> list[Any]:
        """``[tag, attributes, child, ...]``."""
        return [
            self.tag,
            self.attributes,
            *(child if isinstance(child, str) else child.to_json() for child in self.children),
        ]

    def to_html(self) -> str:
        """Markup, with all text escaped."""
        attributes = "".join(f' {k}="{html.escape(v)}"' for k, v in self.attributes.items())
        inner = "".join(
            html.escape(child) if isinstance(child, str) else child.to_html()
            for child in self.children
        )
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>"


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as it was written, delimiters included, and as MathML."""

    source: str
    tree: MathNode


@dataclass(slots=True)
class FormulaBook:
    """The different formulas of a page, each converted once, up to a limit on all of them."""

    max_characters: int = MAX_CHARACTERS
    formulas: list[Formula] = field(default_factory=list)
    num_left_out: int = 0
    """Formulas that were beyond the limit."""
    _index_of: dict[str, int | None] = field(default_factory=dict)

    def parts(self, text: str) -> list[str | int]:
        """Split a text into what is shown as it is and numbers of formulas."""
        parts: list[str | int] = []
        end = 0
        for match in _DELIMITED.finditer(text):
            index = self._index(match[0], match[match.lastgroup or 0], _is_display(match[0]))
            if index is not None:
                parts += [text[end : match.start()], index]
                end = match.end()
        return [part for part in (*parts, text[end:]) if part != ""]

    def answer_parts(self, text: str) -> list[str | int]:
        r"""``parts`` of an answer, which may be a bare formula: ``\frac{1}{2}``."""
        if _LATEX.search(text) and not _DELIMITED.search(text):
            index = self._index(text, text, False)
            return [text] if index is None else [index]
        return self.parts(text)

    def markup(self, parts: list[str | int]) -> str:
        """Parts as HTML, with all text escaped."""
        texts = []
        for index, part in enumerate(parts):
            if isinstance(part, str):
                # A formula on a line of its own brings its own space.
                part = part.rstrip() if self._is_block(parts[index + 1 : index + 2]) else part
                part = part.lstrip("\n") if self._is_block(parts[:index][-1:]) else part
                texts.append(html.escape(part))
            else:
                texts.append(self.formulas[part].tree.to_html())
        return "".join(texts)

    def _is_block(self, neighbour: list[str | int]) -> bool:
        return any(
            not isinstance(part, str) and "display" in self.formulas[part].tree.attributes
            for part in neighbour
        )

    def _index(self, source: str, latex: str, is_display: bool) -> int | None:
        if source not in self._index_of:
            if len(source) > self.max_characters:
                self.num_left_out += 1
                return None
            self.max_characters -= len(source)
            tree = to_mathml(latex, is_display=is_display)
            self._index_of[source] = None if tree is None else len(self.formulas)
            if tree is not None:
                self.formulas.append(Formula(source, tree))
        return self._index_of[source]


def to_mathml(latex: str, *, is_display: bool = False) -> MathNode | None:
    """Convert a formula.

    Args:
        latex: Without its delimiters.
        is_display: Set on a line of its own.

    Returns:
        A ``math`` element; None where the formula is too long, too deep or not understood.

    Raises:
        MissingExtraError: latex2mathml is not installed.
    """
    convert, failures = _converter()
    if len(latex) > MAX_FORMULA_CHARACTERS or _MACRO.search(latex):
        return None
    if latex.count("{") > MAX_NESTING and _depth(latex) > MAX_NESTING:
        return None
    if latex.count("\\left") + latex.count("\\begin") > MAX_NESTING:
        return None
    try:
        element = convert(latex, display="block" if is_display else "inline")
    except failures:
        return None  # shown as it was written
    children = tuple(_checked(child) for child in element)
    return MathNode("math", {"display": "block"} if is_display else {}, children)


@cache
def _converter() -> tuple[Any, tuple[type[Exception], ...]]:
    """latex2mathml, and everything that it raises on input that is not LaTeX."""
    try:
        from latex2mathml import exceptions
        from latex2mathml.converter import convert_to_element
    except ImportError as error:
        raise MissingExtraError(
            "a report needs latex2mathml: pip install 'mathrl[eval]'"
        ) from error
    own = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    others = (ValueError, LookupError, StopIteration, RecursionError)
    return convert_to_element, (*own, *others)


def _checked(element: "Element") -> MathNode:
    """An element with the tags and attributes that are allowed, and no others."""
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and re.fullmatch(_ATTRIBUTES[name], value)
    }
    if classes := sorted({_CLASSES[item] for item in element.attrib.items() if item in _CLASSES}):
        attributes["class"] = " ".join(classes)
    tag = element.tag if element.tag in _ELEMENTS else "mrow"
    return MathNode(tag, attributes, tuple(_children(element)))


def _children(element: "Element") -> Iterator[MathNode | str]:
    if element.text and element.text.strip():
        yield html.unescape(element.text)  # it writes < as &#x0003C;
    for child in element:
        yield _checked(child)


def _is_display(source: str) -> bool:
    return source.startswith(("\\[", "$$"))


def _depth(latex: str) -> int:
    depth = deepest = 0
    for character in latex:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest
