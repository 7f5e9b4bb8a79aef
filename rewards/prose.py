r"""Take an answer out of a sentence: what follows "the answer is", up to where language begins.

``18 dollars every day`` -> ``18 dollars``      ``$4$ inches per second`` -> all of it
"""

import re
from collections import deque

from mathrl.rewards.normalise import tidy
from mathrl.rewards.policy import Policy
from mathrl.rewards.read import read
from mathrl.rewards.special import number_of_words
from mathrl.rewards.units import is_unit, scale_of
from mathrl.rewards.values import Clock, Listing, Percent, Quantity, Relation, Value, Words

MAX_SENTENCE = 2_000
"""Characters of a sentence that are searched for an answer; a longer one is taken whole."""
SPAN = re.compile(
    r"\$\$(.+?)\$\$|\$(?<!\\\$)([^$]+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
"""A formula inside a text."""
_OPERATOR = re.compile(
    r"(?:\bnot|n't|cannot be|\bnever|\bhalf of|\btwice|\bdouble|\btriple"
    r"|root of|\bsquare of|\bcube of|anything but|\bat (?:most|least)|\bup to"
    r"|\b(?:less|more|fewer|greater|larger|smaller|bigger|higher|lower) than)\s+(?:the\s+)?$",
    re.IGNORECASE,
)
"""What before a number makes it another one, or none."""
_MINUS = re.compile(r"\b(?:minus|negative)\s+$", re.IGNORECASE)
_UNIT = re.compile(r"\s?([A-Za-z]{1,12})(?![A-Za-z])")
_NEAR_END, _MAX_NUMBER = 300, 60
_PLAIN_NUMBER = re.compile(r"-?\$?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?%?[. ]*")
_LETTERS, _DIGIT = re.compile("[A-Za-z]"), re.compile("[0-9]")
_COMPARED = re.compile(
    r"(-?\$?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?%?) "
    r"(?:more|fewer|less|extra|additional|an?(?= [A-Za-z]{3}))(?: [A-Za-z' -]*)?[. ]*"
)
"""14 more pieces than Ginger, 480 a week: the words say what the number is of."""
_CLAUSE = (
    r"(?i:,?\s+(?:because|since|which|as|so|where|for|when|if|with|and the|in the|on the|at the"
    r"|of the|due to|that)\s)|[,;]\s+(?=[A-Za-z]{3,})|,(?=[\u4e00-\u9fff])"
    r"|\s\(|\s[-\u2013\u2014]\s(?=[A-Za-z]{2,})"
)
"""The flag is for the words alone: with it, a range of 20,000 characters is slow to compile."""
_VERB = re.compile(r"(?<=[A-Za-z$)] )(?:is|are|equals|was|were)(?: equal to)?:? (?=\S)")
_VERB_OR_DIGIT = re.compile(r"\b(?:is|are|was|were|equals)\b|[0-9]")
_MAX_NAME = 4
_MAX_VERB = 400
_NUMBER = re.compile(
    r"(?P<sign>[-+]\s?)?(?:\\?\$\s?|€|£|¥)?-?"
    r"(?:[0-9]{1,2}:[0-9]{2}(?:\s?[apAP]\.?[mM]\b\.?)?"
    r"|(?:[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+(?![A-Za-z0-9]))?"
    r"(?:\s?/\s?[0-9]+(?:\.[0-9]+)?| [0-9]+/[0-9]+)?)(?:\s?\\?%)?"
)
_LEAD = re.compile(r"[^0-9\\()\[\]{}=+*/^<>|&]*+")  # prose, no mathematics in it
_MATHS_NEXT = (  # what follows a number that is only part of something
    r"(?i)(?!(?:st|nd|rd|th|kgs?|mg|lbs?|oz|cm|mm|km|ft|mph|ml|hrs?|mins?|[ap]\.?m)\b)[A-Za-z0-9_]"
    r"| ?(?!\^ ?\{? ?\\circ)(?:[-+*/^=(<>|\[{&]|×|÷|·|±)(?= ?(?:[0-9\\(]|[A-Za-z]\b))"
    r"|[,;:] ?\\?\$?[0-9]"  # 41, 42
    r"| ?x ?[0-9]"
    r"| ?\\(?!text|mathrm|mbox|rm\b|[%$)\]])"
    r"| to \$?[0-9]"
    r"|(?:,? [A-Za-z']+){0,4}?,? (?:or|and) (?:[A-Za-z']+ ){0,3}\$?[0-9]"  # 1 hour and 30 minutes
    r"| or (?:more|less|fewer)\b| (?:more|less|fewer) than \$?[0-9]"
    r"| (?:million|billion|thousand|hundred|dozen|half|thirds?|quarters?|percent)\b"
)
_CHOICE = re.compile(r"\(?\*{0,2}([A-J])\*{0,2}(?:\)|\.|:|\*\*|,|\s*$)")
_NEW_CLAUSE = re.compile(r"[,;] |\b(?:and|or)\b")


def answer_in(tail: str, policy: Policy) -> str | None:
    """Cut the answer out of what follows a cue.

    Args:
        tail: The rest of the sentence.
        policy: Whether prose may follow the answer.

    Returns:
        The answer as written, or None where the sentence holds none that can be read.
    """
    if not policy.is_prose_read:
        return tail
    if _PLAIN_NUMBER.fullmatch(tail):
        return tail
    tail = tail[-MAX_SENTENCE:]
    if (compared := _COMPARED.fullmatch(tail)) and not _says_number(tail):
        return compared[1]
    spans = list(SPAN.finditer(tail))
    reading = first_reading(tail, policy)
    is_formula = not isinstance(reading, Words)
    if is_formula and not (spans and _is_language(tail, reading)):
        return tail
    if choice := _CHOICE.match(tail.strip()):
        return choice[1]
    clause = re.search(_CLAUSE, tail)
    if clause and tail[: clause.start()].strip():
        head = tail[: clause.start()]
        if not isinstance(first_reading(head, policy), Words):
            return head
    head = tail[: clause.start()].strip() if clause else ""
    if head and len(head.split()) <= _MAX_NAME and not _VERB_OR_DIGIT.search(head):
        return head  # "Evelyn, because she is the fastest"
    verb = next(iter(deque(_VERB.finditer(tail[:_MAX_VERB]), maxlen=1)), None)
    if (
        verb is not None
        and _DIGIT.search(tail[: verb.start()])
        and not _DIGIT.search(tail[verb.end() :])
    ):
        return answer_in(tail[: verb.start()], policy)  # "80 dollars were withheld"
    if verb is not None:  # "the volume of $ABCD$ is 120"
        return answer_in(tail[verb.end() :], policy) if verb.end() > 4 else tail
    if spans and not _NUMBER.search(tail[: spans[0].start()]):
        return next(part for part in spans[-1 if "=" in tail else 0].groups() if part)
    if (number := number_in(tail)) is not None:
        return number
    return tail[: clause.start()] if clause else tail


def _says_number(tail: str) -> bool:
    """Tell whether words make it another number: 14 more than twelve, 14 more million."""
    words = re.findall("[a-z]+", tail.lower())
    pairs = zip(["", *words], words, strict=False)
    return any(
        scale_of(word) or (before == "than" and number_of_words(word) is not None)
        for before, word in pairs
    )


def _is_language(tail: str, reading: Value) -> bool:
    """Tell a sentence around a formula from a formula with its unit."""
    is_unit = isinstance(reading, Quantity | Percent | Clock)
    return not is_unit and _LETTERS.search(SPAN.sub("", tail)) is not None


def is_plain(tail: str, policy: Policy) -> bool:
    """Tell whether a tail is an answer and not the heading of more text.

    Args:
        tail: One line.
        policy: How units are read.
    """
    return not isinstance(first_reading(tail, policy), Words | Listing | Relation)


def first_reading(text: str, policy: Policy) -> Value:
    """Give the likeliest reading of a text."""
    return read(tidy(text), policy.max_unit_words)[0]


def number_in(prose: str) -> str | None:
    """Cut the number out of a sentence: the first one, or the result of a calculation.

    Args:
        prose: One sentence.

    Returns:
        The number as written, or None where it is only a part of a formula.
    """
    text = tidy(prose)
    if "=" in text:
        left, _, text = text.rpartition("=")
        # "x = 5, y = 7" gives two answers, "x >= 5" many
        if left[-1:] in ("<", ">", "!") or _NEW_CLAUSE.search(left.partition("=")[2]):
            return None
    found = _NUMBER.search(text)
    if found is None or _OPERATOR.search(text[: found.start()]):
        return None
    if found["sign"] is None and _MINUS.search(text[: found.start()]):
        return f"-{_with_unit(text, found)}"
    if not _stands_alone(text[: found.start()], found[0], text[found.end() :]):
        return None
    return _with_unit(text, found)


def _with_unit(text: str, number: re.Match[str]) -> str:
    """Take a unit of measure along with its number: 12 m is not 12 cm."""
    unit = _UNIT.match(text, number.end())
    if unit and is_unit(unit[1]) and unit[1] != "in":
        return number[0] + unit[0]
    return number[0]


def last_number(text: str) -> tuple[str, int] | None:
    """Find the last number of a text, with its unit, and where it ends.

    Args:
        text: Any text.
    """
    last = None
    for size in (_NEAR_END, len(text)):  # nearly always the last number stands near the end
        start = max(0, len(text) - size)
        last = next(iter(deque(_NUMBER.finditer(text, start), maxlen=1)), None)
        if last is not None and last.start() > start + _MAX_NUMBER:
            break
    if last is None or _OPERATOR.search(text[: last.start()][-30:]):
        return None
    written = _with_unit(text, last)
    if last["sign"] is None and _MINUS.search(text[: last.start()][-30:]):
        return f"-{written}", last.end()
    if last["sign"] and text[last.start() - 1 : last.start()].isalnum():
        written = written.lstrip("+- ")  # the last number of "pages 3-5" is 5
    return written, last.end()


def _stands_alone(lead: str, number: str, rest: str) -> bool:
    """Tell whether a number in a sentence is the quantity meant and not a part of a formula."""
    is_operator = lead.strip() != "" and number[:2] in ("+ ", "- ")
    if is_operator or not _LEAD.fullmatch(lead) or lead[-1:].isalnum():
        return False
    return not re.match(_MATHS_NEXT, rest)
