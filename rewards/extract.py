r"""Find the answer in a completion, under a declared policy.

A cue is a way of saying "this is my answer": a box, ``<answer>``, ``####``, "the answer is",
"Answer:" and, in evals, the last formula or number. The first cue of the policy that is present
decides, and its last use counts. Reasoning does not: only what follows the last ``</think>`` is
read, nothing from a ``<think>`` on that never ends, and nothing after the model's own turn.
Everything here takes time linear in the text, which is capped.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise, zip_longest
from typing import Literal, NamedTuple

from mathrl.boxes import Box, find_boxes
from mathrl.rewards.last_value import last_value
from mathrl.rewards.normalise import normalise, tidy
from mathrl.rewards.policy import Cue, Policy
from mathrl.rewards.prose import answer_in, first_reading, is_plain
from mathrl.rewards.turns import own_text
from mathrl.rewards.values import Words

MAX_TEXT = 400_000
"""Characters up to which an answer is found and compared as text; longer ones are not read."""


class Extraction(NamedTuple):
    """What was found: the answer as written and the cue that gave it, or why there is none."""

    text: str | None = None
    cue: Cue | None = None
    status: Literal["no_answer", "undecided", "limit"] | None = None
    """Set where ``text`` is None; ``undecided`` where several answers were given."""
    reason: str = ""
    parts: tuple[str, ...] = ()
    r"""The boxes of a row such as ``\boxed{1} and \boxed{2}``, which may be one answer."""
    tail: str | None = None
    """All that followed a spoken cue, where only a part of it was taken."""
    rivals: tuple[str, ...] = ()
    """Other answers that were given, where the policy wants one; they may be equal."""


_OPENING = r"(?:[\s:*$_`]|\\[\[(])*+"  # an answer may begin a line later, inside its own $$
_PHRASE = re.compile(
    r"(?i:\b(?:(?:the|our|your|my|final|correct|required|desired|true|actual|real)\s++){1,3}+"
    r"(?:answers?|results?|choice|option)\s*+"
    r"(?:\([^()\n]{0,40}\)|to [^.\n$\\]{0,60}?|choice|here)?\s*+"
    r"(?:is|are|should be|must be|would be|=|equals)"
    r"(?![a-z]|\s+not\b|n't|\s+(?:anything but|unlikely))\s*+"
    rf"(?:therefore\s++|thus\s++)?){_OPENING}"
    rf"|(?:最终|最后|正确)?答案(?:为|是|应为|应该是|選擇|选)\s*+[:\uff1a]?{_OPENING}"
    rf"|(?:故|应|因此|所以)选(?:择)?\s*+[:\uff1a]?{_OPENING}"
    rf"|(?:因此|所以|故)\s*+[,\uff0c]?\s*+(?:最终)?(?:答案|结果)(?:为|是)\s*+[:\uff1a]?{_OPENING}"
)
_LABEL = re.compile(
    r"(?:.*[.!?)]\s)?[ \t>*#_-]*+(?:(?:The )?(?:[Ff]inal |[Cc]orrect |My )?"
    r"(?:[Aa]nswer|Result|Solution)|ANSWER|A|.*(?:最终|最后|正确)?答案)"
    r"(?:\s*\([^()\n]{0,20}\))?[ \t]*+[*_]*+[ \t]*+"
)
"""What stands before the colon of "Answer:", from the start of its line."""
_DENIAL = re.compile(
    r"(?:\b(?:false|wrong|incorrect|untrue|doubtful|unlikely|doubt|suppose|assume|imagine|pretend"
    r"|not true)|(?:\bnot|n't) (?:think|believe|say|know))(?: that| if| whether)?,? $"
    r"|\b(?:if|whether|unless),? $",
    re.IGNORECASE,
)
"""What before "the answer is" denies it, or only supposes it."""
_NOUNS = ("nswer", "NSWER", "esult", "hoice", "ption")
_MAX_BEFORE = 40
_MAX_LABEL = 120
_MAX_RETRACTION = 200
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*)(?:The )?(?:[Ff]inal )?[Aa]nswer[*_ \t]*:?[*_ \t]*\n[\s*$]*+",
    re.MULTILINE,
)
"""A heading "Final Answer" with the answer on a line below it."""
_HEDGE = re.compile(
    r"(?:[.*$\s]*(?:or|maybe|perhaps|possibly|alternatively|but it (?:could|may|might))\b|\s*\?"
    r"|[.*$ \t]*\n+[$*]*-?[0-9][0-9.,]*[$*]*\s*(?:\n|$))",
    re.IGNORECASE,
)
"""What takes an answer back right after it: "? No idea", "Or 41", another number by itself."""
_AFTER_LABEL = re.compile(_OPENING)
_COLONS = (":", "\uff1a", "=>")
_HASHES = re.compile(r"(?<!#)####(?!#)")
_TAG = re.compile(r"<answer\s*>", re.IGNORECASE)
_SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)[.?!](?=\s)|[。\uff01\uff1f]"
)
_JOINT = re.compile(
    r"(?:[\s,;$.*]|[A-Za-z](?:_\{?[A-Za-z0-9]\}?)?\s*=|\\[\[\]()]|\\quad|\\qquad|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|和|或|、|，)*+"
)
_CORRECTION = re.compile(
    r"\b(?:wait|actually|correct(?:ing|ed|ion)|mistake|wrong|sorry|apolog|on reflection|no,|oops"
    r"|instead|error|let me re|re-?check|re-?consider|hmm|hold on|scratch that|rather|should be)"
    r"|不对|应该是|应为|重新|等等|更正|错",
    re.IGNORECASE,
)
_CHANGES_BEFORE = re.compile(
    r"(?:[-+/_0-9|]|\^\{?|(?<!\*)\*|\\(?:times|cdot|div|pm|phantom\s*\{|neg|lnot)"
    r"|\\(?:log|ln|sin|cos|tan|exp|max|min|gcd|lcm|lim|sum|prod|int)|(?<![A-Za-z])[A-Za-z]\("
    r"|\\sqrt\s*\{|\\[dt]?frac\s*\{|\\[a-z]{2,6}\s*\(|\\frac\s*(?:\{[^{}]*\}|[0-9])\s*\{)[ \t]*$"
)
_MARKDOWN_BEFORE = re.compile(r"(?:(?:^|(?<=\n))[ \t]*(?:[-*+>]|[0-9]+\.)[ \t]+|[*_]+)+$")
_CHANGES_AFTER = re.compile(
    r"(?:\s?\^|[_0-9]|!(?=\s*\$)|\\?%|\)\s*[\^!]|\s*(?:[+/]|\*\s*[0-9]|-\s*[0-9\\])|[A-Za-z]"
    r"|\s*\\(?:times|cdot|div|pm|pi|sqrt)(?![A-Za-z])"
    r"|(?:[\s$]|\\[ ,;:!])*(?:\\text\s*\{\s*)?"
    r"(?:million|billion|thousand|hundred|dozen|percent|squared|cubed)\b)"
)
_DENIES_BEFORE = re.compile(
    r"(?:\\neq?|\u2260|(?:[\s$]|^|(?<![A-Za-z])[A-Za-z])[<>]=?|\\[lg](?:e|t|eq|eqslant)"
    r"|\b[Nn]ot(?: be)?|n't(?: be)?|[0-9]\$?\s*,|\bor)\s*\$?\s*$"
)
_DENIES_AFTER = re.compile(
    r"[\s$.]*(?:\?|=\s*-?[0-9]+\b(?![./])|\(?or\b|is (?:wrong|incorrect|not|false)|,\s*\$?[0-9])",
    re.IGNORECASE,
)
_RETRACTION = re.compile(
    r"(?:^|[.!?\n$})*])\s*(?:no\b[,.]?\s*)?"  # to begin a sentence: "they wait 42 minutes" does not
    r"(?:wait|actually|oops|hold on|scratch that|on second thought)\b|\bi was wrong\b"
    r"|\b(?:this|that|it) is (?:wrong|incorrect|not (?:right|correct))\b|不对|等等|更正",
    re.IGNORECASE,
)
"""What after the last answer says that it is not the last word."""
_TAKEN_BACK = re.compile(
    r"[\s$.)]*(?:no\b|on second thought|but it could|that is wrong|or rather)"
    r"[^.\n]{0,40}?-?[0-9]",
    re.IGNORECASE,
)
_MAX_CANDIDATES = 400
"""Uses of a cue that are compared with one another; a flood of boxes says nothing more."""


def extract(completion: str, policy: Policy) -> Extraction:
    r"""Find the answer that a completion gives.

    Args:
        completion: What the model wrote; anything is allowed.
        policy: Which cues count, and how strictly (``EVAL`` or ``REWARD``).

    Returns:
        The answer with the cue that gave it, or a status and a reason.
    """
    text, reason = own_text(completion, policy)
    if text is None:
        return Extraction(status="no_answer", reason=reason)
    for cue in policy.cues:
        found = _FINDERS[cue](text, policy)
        if found is not None:
            is_in_box = cue == "last_value" and text.rfind("\\boxed{") > text.rfind("}")
            reason = f"{found.reason}; the text is cut off inside a box"
            return found._replace(reason=reason) if is_in_box else found
    reason = f"no {', '.join(policy.cues)} found"
    if _is_cut(text):
        reason += "; the text is cut off"
    return Extraction(status="no_answer", reason=reason)


def _is_cut(text: str) -> bool:
    tail = text.rstrip()
    if tail.endswith((".", "!", "?", "$", "}", ")", "]", "。", "*", "`", ">")):
        return tail.rfind("\\boxed{") > tail.rfind("}")
    return bool(tail)


# -- boxes -----------------------------------------------------------------------------------------


def _find_boxes(text: str, policy: Policy) -> Extraction | None:
    if "box" not in text:
        return None
    found = [box for box in find_boxes(text) if box.content.strip()]
    if not found:
        return None
    row = _last_row(text, found)
    last = found[-1]
    answer = last.content
    if text[: last.start].endswith("-") and not text[: last.start - 1].rstrip()[-1:].isalnum():
        answer = f"-{answer}"
    elif policy.is_conflict_refused and (why := _is_part_of_more(text, last)):
        return Extraction(cue="box", status="undecided", reason=why)
    parts = tuple(box.content for box in row) if len(row) > 1 else ()
    rivals = _rivals(text, found) if policy.is_conflict_refused and len(found) > 1 else ()
    if policy.is_conflict_refused:
        rivals += _said_after(text[last.end :], policy)
        if (tag := _find_tags(text[: last.start], policy)) is not None and tag.text:
            rivals += (tag.text,)
    return _found(answer, "box", parts=parts, rivals=rivals)


def _said_after(text: str, policy: Policy) -> tuple[str, ...]:
    """List the answer that other cues give after the last one: it must be the same."""
    for find in (_find_tags, _find_hashes, _find_phrases, _find_labels):
        if (found := find(text, policy)) is not None and found.text:
            return (found.text,)
    return ()


def _is_part_of_more(text: str, box: Box) -> str | None:
    """Say why a box is not the whole answer: what touches it changes it, or takes it back."""
    before, after = text[max(0, box.start - 60) : box.start], text[box.end : box.end + 200]
    before = _MARKDOWN_BEFORE.sub(" ", before.removesuffix("$"))
    after = after.lstrip("*_") if before[-1:].isspace() or not before else after
    if _CHANGES_BEFORE.search(before) or _CHANGES_AFTER.match(after):
        return "the box is only a part of a formula"
    is_denied = _DENIES_BEFORE.search(before) or _DENIES_AFTER.match(after)
    if is_denied or _TAKEN_BACK.match(after) or _RETRACTION.search(after):
        return "the box is taken back, or one answer of several"
    return None


def _last_row(text: str, found: Sequence[Box]) -> Sequence[Box]:
    """Take the last boxes that only commas and "and" join: they may be one answer together."""
    start = len(found) - 1
    while start and _JOINT.fullmatch(text, found[start - 1].end, found[start].start):
        start -= 1
        if len(found) - start > _MAX_CANDIDATES:
            break
    row = found[start:]
    return row if len({box.content for box in row}) == len(row) else row[-1:]


def _rivals(text: str, found: Sequence[Box]) -> tuple[str, ...]:
    """List the boxes before the last that no correction takes back."""
    kept = found[-_MAX_CANDIDATES:]
    last = _key(kept[-1].content)
    rivals: list[str] = []
    for before, after in pairwise(reversed(kept)):
        if _CORRECTION.search(text, after.end, before.start):
            break
        if _key(after.content) != last:
            rivals.append(after.content)
    return tuple(rivals)


def _key(answer: str) -> str:
    return normalise(tidy(answer))


# -- other cues ------------------------------------------------------------------------------------


def _find_tags(text: str, policy: Policy) -> Extraction | None:
    if "<" not in text or "<answer" not in text.lower():
        return None
    pieces = _TAG.split(text)[1:]
    if policy.is_conflict_refused and pieces and "</" not in pieces[-1]:
        pieces.pop()  # the text broke off inside it
    contents = [piece.partition("</")[0].strip() for piece in pieces]
    if not (contents := [content for content in contents if content]):
        return None
    last = _key(contents[-1])
    others = tuple(content for content in contents if _key(content) != last)
    rivals = others if policy.is_conflict_refused else ()
    return _found(_inner(contents[-1], policy), "tag", rivals=rivals)


def _inner(content: str, policy: Policy) -> str:
    """Read "The answer is 5" inside a tag as the 5."""
    for find in (_find_hashes, _find_phrases, _find_labels):
        if (found := find(content, policy)) is not None and found.text:
            return found.text
    return content


class _Tail(NamedTuple):
    """What follows one use of a spoken cue: where the use starts, where the tail ends, the tail."""

    start: int
    end: int
    text: str


def _find_hashes(text: str, policy: Policy) -> Extraction | None:
    """Take ``####`` as GSM8K means it, not as a Markdown heading over more text."""
    if "####" not in text:
        return None
    last_line = text.rstrip().rfind("\n")
    tails = [
        tail
        for tail in _tails(_uses(_HASHES, text), text, is_sentence=False)
        if tail.start > last_line or is_plain(tail.text, policy)
    ]
    return _from_tails(tails, "hashes", policy, text)


def _find_phrases(text: str, policy: Policy) -> Extraction | None:
    uses = _phrases(text)
    return _from_tails(_tails(uses, text), "phrase", policy, text) if uses else None


def _find_labels(text: str, policy: Policy) -> Extraction | None:
    if not ("nswer" in text or "A:" in text or "A*" in text or _has_other_label(text)):
        return None
    uses = [use for colon in _COLONS if colon in text for use in _labels(text, colon)]
    if "nswer" in text and not uses:
        uses = [use.span() for use in _HEADING.finditer(text)]
    return _from_tails(_tails(sorted(uses), text), "label", policy, text) if uses else None


def _has_other_label(text: str) -> bool:
    """Look for the rarer words of a label, quickly: most texts have none."""
    return (
        "NSWER" in text
        or "esult" in text
        or "olution" in text
        or (not text.isascii() and "答案" in text)
        or "A " in text
        or "A=" in text
    )


def _find_last_value(text: str, policy: Policy) -> Extraction | None:
    answer = last_value(text)
    return None if answer is None else _found(answer, "last_value")


def _uses(cue: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """List where the uses of a cue start and end; of a flood, the last ones."""
    return [use.span() for use in deque(cue.finditer(text), maxlen=_MAX_CANDIDATES)]


def _phrases(text: str) -> list[tuple[int, int]]:
    """List the uses of "the answer is", looking around each noun: most of a text has none."""
    found: set[tuple[int, int]] = set()
    for noun in _NOUNS if text.isascii() else (*_NOUNS, "答案", "结果", "选"):
        if noun not in text:
            continue
        place = text.rfind(noun)
        for _ in range(_MAX_CANDIDATES):
            if place < 0:
                break
            for use in _PHRASE.finditer(text, max(0, place - _MAX_BEFORE), place + _MAX_LABEL):
                if use.start() <= place < use.end() and not _is_denied(text, use.start()):
                    after = _AFTER_LABEL.match(text, use.end())
                    found.add((use.start(), after.end() if after else use.end()))
            place = text.rfind(noun, 0, place)
    return sorted(found)


def _is_denied(text: str, place: int) -> bool:
    return _DENIAL.search(text[max(0, place - _MAX_BEFORE) : place]) is not None


def _labels(text: str, colon: str) -> list[tuple[int, int]]:
    """List the uses of "Answer:", looking back from each colon."""
    found: list[tuple[int, int]] = []
    place = text.rfind(colon)
    for _ in range(_MAX_CANDIDATES):
        if place < 0:
            break
        start = max(text.rfind("\n", 0, place) + 1, place - _MAX_LABEL)
        if _LABEL.fullmatch(text, start, place):
            after = _AFTER_LABEL.match(text, place + len(colon))
            found.append((start, after.end() if after else place + len(colon)))
        place = text.rfind(colon, 0, place)
    return found


def _tails(uses: Sequence[tuple[int, int]], text: str, *, is_sentence: bool = True) -> list[_Tail]:
    """List what follows each use of a cue, up to the end of its line or the next use."""
    tails = []
    for use, following in zip_longest(uses, uses[1:]):
        start, after = use
        end = following[0] if following else len(text)
        if text[after - 2 : after] in (r"\[", "$$"):
            tail = _display(text[after:end])
        else:
            tail = text[after:end].strip().partition("\n")[0]
        place = text.find(tail, after)
        if not tail.isalnum():  # most are a number alone
            tail = _sentence(tail) if is_sentence else tail
            if not (bare := _without_emphasis(tail)).strip(" *.$"):
                continue
        else:
            bare = tail
        tails.append(_Tail(start, max(place, after) + len(tail), bare))
    return tails


def _without_emphasis(tail: str) -> str:
    """Take off the end of **bold** text whose start the cue took, and a mark of joy."""
    bare = tail.strip().lstrip('*_`"\u201c ')
    if not bare.endswith(".."):
        bare = bare.rstrip('*_`"\u201d .')
    if bare.endswith("!") and not bare.endswith("!!"):
        bare = bare[:-1].rstrip('*_`" ')
    return bare or tail


def _display(tail: str) -> str:
    r"""Take a displayed formula, which may run over lines: up to its ``\]`` or ``$$``."""
    ends = [place for mark in (r"\]", "$$") if (place := tail.find(mark)) >= 0]
    return tail[: min(ends)] if ends else tail.strip().partition("\n")[0]


def _sentence(tail: str) -> str:
    """Cut a tail at the end of its sentence, unless that is inside a formula."""
    for end in _SENTENCE_END.finditer(tail):
        head = tail[: end.start()]
        if head.count("$") % 2 == 0 or "$" not in tail[end.end() :]:
            return head
    return tail


def _from_tails(tails: Sequence[_Tail], cue: Cue, policy: Policy, text: str) -> Extraction | None:
    if not tails:
        return None
    answers = [answer_in(tail.text, policy) or tail.text for tail in tails]
    if policy.is_conflict_refused:
        rest = text[tails[-1].end : tails[-1].end + _MAX_RETRACTION]
        if _HEDGE.match(rest[:60]) or _RETRACTION.search(rest):
            return Extraction(cue=cue, status="undecided", reason=f"{cue}: several answers given")
        said_later = _said_after(text[tails[-1].end :], policy) if cue == "hashes" else ()
        return _found(answers[-1], cue, rivals=_others(tails, text) + said_later)
    place = len(answers) - 1
    while (
        place and _is_only_words(answers[place], policy) and not _is_only_words(answers[0], policy)
    ):
        place -= 1  # "The answer is 27. The answer in words is twenty-seven."
    return _found(answers[place], cue, tail=tails[place].text)


def _is_only_words(answer: str, policy: Policy) -> bool:
    return isinstance(first_reading(answer, policy), Words)


def _others(tails: Sequence[_Tail], text: str) -> tuple[str, ...]:
    """List the earlier answers that differ and that no correction takes back."""
    last = _key(tails[-1].text)
    others: list[str] = []
    for later, earlier in pairwise(reversed(tails)):
        if _CORRECTION.search(text, earlier.start, later.start):
            break
        if _key(earlier.text) != last:
            others.append(earlier.text)
    return tuple(others)


def _found(
    answer: str,
    cue: Cue,
    *,
    parts: tuple[str, ...] = (),
    rivals: tuple[str, ...] = (),
    tail: str | None = None,
) -> Extraction:
    if len(answer) > MAX_TEXT:
        return Extraction(cue=cue, status="limit", reason=f"{cue}: answer too long to read")
    return Extraction(
        text=answer,
        cue=cue,
        reason=f"from {cue}",
        parts=parts,
        rivals=rivals,
        tail=None if tail == answer else tail,
    )


_FINDERS: dict[Cue, Callable[[str, Policy], Extraction | None]] = {
    "box": _find_boxes,
    "tag": _find_tags,
    "hashes": _find_hashes,
    "phrase": _find_phrases,
    "label": _find_labels,
    "last_value": _find_last_value,
}
