r"""Find the answer in a completion, under a declared policy.

A cue is a way of saying "this is my answer": a box, ``####``, "the answer is", "Answer:" and, in
evals, the last number. The first cue of the policy that is present decides, and its last use
counts. Reasoning does not: only what follows the last ``</think>`` is read, and nothing from a
``<think>`` on that never ends. Everything here takes time linear in the text, which is capped.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from mathrl.boxes import boxes
from mathrl.errors import ConfigError
from mathrl.rewards.normalise import fold_unicode, normalise, tidy
from mathrl.rewards.values import NUMBER, PERCENT, is_word_of_value, read_number

Cue = Literal["box", "hashes", "phrase", "label", "last_number"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How a completion is read and compared; use ``EVAL`` or ``REWARD``, or declare another."""

    name: str
    cues: tuple[Cue, ...]
    """Tried in this order."""
    is_prose_read: bool
    """Take the number out of "18 dollars every day"; else a cue must be followed by it alone."""
    is_conflict_refused: bool
    """Refuse a completion whose uses of a cue disagree; else the last one counts."""
    is_percent_loose: bool
    """Take 25% for 25 as well as for 1/4; else for 1/4 only."""
    max_unit_words: int
    """Plain words read as the unit of a number."""
    max_characters: int = 50_000
    """Only the end of a longer completion is read (an answer stands there; floods stay cheap)."""
    max_answer_characters: int = 8_000
    """A longer answer gets the status ``limit``."""

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        if unknown := [cue for cue in self.cues if cue not in _FINDERS]:
            raise ConfigError(f"unknown cue {unknown[0]!r}; a policy knows {', '.join(_FINDERS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """What was found: the answer as written and the cue that gave it, or why there is none."""

    text: str | None = None
    cue: Cue | None = None
    status: Literal["no_answer", "undecided", "limit"] | None = None
    """Set where ``text`` is None; ``undecided`` where several answers were given."""
    reason: str = ""


_OPENING = r"(?:[\s:*$]|\\[\[(])*+"  # an answer may begin a line later, inside its own $$
_PHRASE = re.compile(
    r"\b(?:the|final)\s++(?:final\s++|correct\s++)?answer\s*+(?:\([^()\n]{0,40}\)\s*+)?is\b"
    rf"{_OPENING}",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^[ \t>*#]*+(?:(?:The )?(?:final |Final )?[Aa]nswer|ANSWER|A)[ \t]*+\**+[ \t]*+:"
    rf"{_OPENING}",
    re.MULTILINE,
)
_HASHES = re.compile(r"(?<!#)####(?!#)")
_SENTENCE_END = re.compile(r"[.?!](?=\s)")
_LAST_NUMBER_CHARACTERS = 4_000  # a last number further from the end than this is not an answer
_LEAD = re.compile(r"[^0-9\\()\[\]{}=+*/^<>|&]*+")  # prose, no mathematics in it
_MATHS_NEXT = re.compile(  # what follows a number that is only part of something
    r"(?!(?:st|nd|rd|th|kgs?|mg|lbs?|oz|cm|mm|km|ft|mph|ml|hrs?|mins?)\b)[A-Za-z0-9_]"
    r"| ?(?!\^ ?\{? ?\\circ)[-+*/^=(×÷·<>|\[{&±](?= ?(?:[0-9\\(]|[A-Za-z]\b))"
    r"|[,;:] ?\\?\$?[0-9]"  # 41, 42
    r"| ?x ?[0-9]"
    r"| ?\\(?!text|mathrm|mbox|rm\b|[%$)\]])"
    r"| to \$?[0-9]"
    r"|(?:,? [A-Za-z']+){0,4}?,? (?:or|and) (?:[A-Za-z']+ ){0,3}\$?[0-9]"  # 1 hour and 30 minutes
)
_LAST_WORD = re.compile(r"[A-Za-z]+(?=[^A-Za-z]*\Z)")
_FIRST_WORD = re.compile(r" ?[A-Za-z]+")
_NEW_CLAUSE = re.compile(r"[,;] |\b(?:and|or)\b")


def extract(completion: str, policy: Policy) -> Extraction:
    r"""Find the answer that a completion gives.

    Args:
        completion: What the model wrote; anything is allowed.
        policy: Which cues count, and how strictly (``EVAL`` or ``REWARD``).

    Returns:
        The answer with the cue that gave it, or a status and a reason.
    """
    text = fold_unicode(_after_thinking(completion)[-policy.max_characters :])
    for cue in policy.cues:
        candidates = [candidate for candidate in _FINDERS[cue](text, policy) if candidate.strip()]
        if not candidates:
            continue
        answer = candidates[-1]
        if len(answer) > policy.max_answer_characters:
            return Extraction(cue=cue, status="limit", reason=f"{cue}: answer too long to read")
        if policy.is_conflict_refused and len(_distinct(candidates, policy)) > 1:
            return Extraction(cue=cue, status="undecided", reason=f"{cue}: several answers given")
        return Extraction(text=answer, cue=cue, reason=f"from {cue}")
    return Extraction(status="no_answer", reason=f"no {', '.join(policy.cues)} found")


def _after_thinking(text: str) -> str:
    return text.rpartition("</think>")[2].partition("<think>")[0]


def _distinct(candidates: Iterable[str], policy: Policy) -> set[str]:
    """Collect what the candidates say, equal numbers taken as one."""
    keys = set()
    for candidate in candidates:
        number = read_number(candidate, max_unit_words=policy.max_unit_words)
        keys.add(number.text if number else normalise(candidate))
    return keys


def _find_boxes(text: str, _: Policy) -> list[str]:
    return boxes(text)


def _find_hashes(text: str, policy: Policy) -> list[str]:
    """Take ``####`` as GSM8K means it, not as a Markdown heading over more text."""
    last_line = len(text.rstrip()) - len(text.rstrip().rpartition("\n")[2])
    tails = [
        tail
        for start, tail in _tails(_HASHES, text, policy)
        if start >= last_line or read_number(tail, max_unit_words=policy.max_unit_words)
    ]
    return _readable(tails, policy)


def _find_phrases(text: str, policy: Policy) -> list[str]:
    tails = [tail for _, tail in _tails(_PHRASE, text, policy)]
    return _readable([_SENTENCE_END.split(tail, maxsplit=1)[0] for tail in tails], policy)


def _find_labels(text: str, policy: Policy) -> list[str]:
    return _readable([tail for _, tail in _tails(_LABEL, text, policy)], policy)


def _find_last_number(text: str, _: Policy) -> list[str]:
    text = tidy(text[-_LAST_NUMBER_CHARACTERS:])
    found = deque(NUMBER.finditer(text), maxlen=1)
    return [_with_percent(text, number) for number in found]


def _tails(cue: re.Pattern[str], text: str, policy: Policy) -> list[tuple[int, str]]:
    """List where each use of a cue starts and what follows it on its line, up to the next use."""
    uses = list(cue.finditer(text))
    tails = []
    for use, following in zip_longest(uses, uses[1:]):
        end = following.start() if following else len(text)
        tail = text[use.end() : min(end, use.end() + policy.max_answer_characters)]
        tails.append((use.start(), tail.strip().partition("\n")[0]))
    return tails


def _readable(tails: list[str], policy: Policy) -> list[str]:
    """Keep the tails that hold a number, cut to it; where none does, keep all as they are."""
    read = (_read_prose(tail, policy) for tail in tails)
    return [answer for answer in read if answer is not None] or tails


def _read_prose(tail: str, policy: Policy) -> str | None:
    if read_number(tail, max_unit_words=policy.max_unit_words):
        return tail
    return _number_in(tail) if policy.is_prose_read else None


def _number_in(prose: str) -> str | None:
    """Cut the number out of a sentence: the first one, or the result of a calculation."""
    text = tidy(prose)
    if "=" in text:
        left, _, text = text.rpartition("=")
        # "x = 5, y = 7" gives two answers, "x >= 5" many
        if left[-1:] in ("<", ">", "!") or _NEW_CLAUSE.search(left.partition("=")[2]):
            return None
    found = NUMBER.search(text)
    if found is None or not _stands_alone(text[: found.start()], found[0], text[found.end() :]):
        return None
    return _with_percent(text, found)


def _with_percent(text: str, number: re.Match[str]) -> str:
    percent = PERCENT.match(text, number.end())
    start = number.start()
    if number["sign"] and text[start - 1 : start].isalnum():
        start += 1  # the last number of "pages 3-5" is 5
    return text[start : percent.end() if percent else number.end()]


def _stands_alone(lead: str, number: str, rest: str) -> bool:
    """Tell whether a number in a sentence is the quantity meant and not a part of a formula."""
    is_operator = lead.strip() != "" and number[:2] in ("+ ", "- ")
    if is_operator or not _LEAD.fullmatch(lead) or lead[-1:].isalnum() or _MATHS_NEXT.match(rest):
        return False
    words = (_LAST_WORD.search(lead[-20:]), _FIRST_WORD.match(rest))
    return not any(word and is_word_of_value(word[0].strip()) for word in words)


_FINDERS: dict[Cue, Callable[[str, Policy], list[str]]] = {
    "box": _find_boxes,
    "hashes": _find_hashes,
    "phrase": _find_phrases,
    "label": _find_labels,
    "last_number": _find_last_number,
}

EVAL = Policy(
    name="eval",
    cues=("box", "hashes", "phrase", "label", "last_number"),
    is_prose_read=True,
    is_conflict_refused=False,
    is_percent_loose=True,
    max_unit_words=8,
)
"""For evals: reads what an honest model means."""

REWARD = Policy(
    name="reward",
    cues=("box", "hashes", "phrase", "label"),
    is_prose_read=False,
    is_conflict_refused=True,
    is_percent_loose=False,
    max_unit_words=3,
)
"""For training: pays only for one answer, clearly given."""
