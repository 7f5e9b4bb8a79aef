r"""Grade a completion against a known answer: the one door that evals and trainers use.

    >>> grade("She earns 9 * 2 = $18.\n#### 18", "18").status
    'correct'

The tiers, each of which decides or passes on: 0 the same text, 1 exact numbers, 2 structure and
normal form, 3 evaluation, 4 sympy in a worker process. Comparing is symmetric, no text raises, and
every tier has a budget, so nothing a model writes takes unbounded time or memory.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from mathrl.rewards.answers import Answer, Row, read_gold, typed
from mathrl.rewards.commitment import refusal
from mathrl.rewards.compare import Comparison
from mathrl.rewards.extract import MAX_TEXT, Extraction, extract
from mathrl.rewards.policy import EVAL, Cue, Policy
from mathrl.rewards.relations import letters_of
from mathrl.rewards.syntax import Number, Power, Product, Sum
from mathrl.rewards.values import (
    Relation,
    Value,
    Words,
)
from mathrl.schema import Completion, Score, Status

_FORMULA = re.compile(r"\\(?!text|mathrm|mbox|textbf|\$|%|,|;| )[A-Za-z]+|[\^_=]")
_DOZENS = re.compile(r"([0-9]{1,9}) dozens?(?: [A-Za-z]|[. ]*$)")
"""Asked how many dozens, "5 dozens of eggs" is 5, and not only 60."""
_MAX_RIVALS = 20
_MIN_COMMA_PLACES = 2
"""Decimals behind a comma: 3,4 is a list, 3,14 may be a decimal."""
_COMMITTED = ("box", "tag", "phrase", "label")
_SPOKEN = ("tag", "phrase", "label")


def grade(completion: str | Completion, answer: str | float | None, policy: Policy = EVAL) -> Score:
    r"""Find the answer in a completion and compare it with the known one.

    Args:
        completion: What the model wrote.
        answer: The known answer, typed: bare, in ``$...$`` or in ``\boxed{}``; or a number.
        policy: ``EVAL`` (what an honest model means) or ``REWARD`` (one clear answer, or nothing).

    Returns:
        A score of 1.0 or 0.0, or of None where the known answer itself cannot be read; its
        ``prediction`` is canonical (``18`` for ``18.00``), so equal predictions are equal texts.
    """
    gold = read_gold(_as_text(answer), policy)
    if gold is None:
        return _GOLD_UNPARSEABLE
    text = completion.text if isinstance(completion, Completion) else completion
    found = extract(text, policy)
    if found.text is None:
        status = found.status or "no_answer"
        return Score(value=0.0, status=status, reason=found.reason, cue=found.cue)
    if found.text == gold.written and not found.rivals:
        return _score("correct", gold, 0, f"{found.reason}: same text", found.cue)
    prediction = Answer(found.text, policy)
    if found.parts and gold.is_several:
        row = Row(found.parts, policy)
        score = _compare(row, gold, policy)
        if score.value:
            reason = f"{found.reason}es in a row: {score.reason}"
            return replace(score, reason=reason, cue=found.cue)
    if found.tail is not None and isinstance(gold.readings[0], Words):
        spoken = Answer(found.tail, policy)  # of "The answer is Vendor 2." all is the answer
        prediction = spoken if _compare(spoken, gold, policy).value else prediction
    if found.rivals and _has_rival(prediction, found.rivals, policy):
        return Score(
            value=0.0,
            status="undecided",
            prediction=prediction.canonical,
            reason=f"{found.cue}: several answers given",
            cue=found.cue,
        )
    score = _compare(prediction, gold, policy, found)
    if score.status in ("wrong", "unparseable") and gold.number is not None:
        score = _look_again(score, prediction, gold.number, found, policy)
    if score.status == "unparseable" and found.cue == "box" and not policy.is_conflict_refused:
        cues = tuple(cue for cue in policy.cues if cue in _SPOKEN)
        second = grade(
            text, answer, replace(policy, cues=cues)
        )  # the box held a picture of it: "Answer: D" counts
        return second if second.value else score
    return score


def _look_again(
    score: Score, prediction: Answer, gold: Fraction | int, found: Extraction, policy: Policy
) -> Score:
    """Take the value of ``m + n = 73``, and the count of dozens, where that is the known number."""
    if score.status == "wrong" and prediction.number is None and found.cue in _COMMITTED:
        total = _total(prediction)
        if total is not None and total == gold:
            return replace(score, value=1.0, status="correct", reason=f"{found.reason}: its value")
    dozens = _DOZENS.match(found.tail or found.text or "") if policy.is_prose_read else None
    if dozens is not None and int(dozens[1]) == gold:
        reason = f"{found.reason}: so many dozens"
        return replace(score, value=1.0, status="correct", prediction=dozens[1], reason=reason)
    return score


def _as_text(answer: object) -> str | None:
    """Take a number from a column of numbers for its digits; nothing else is an answer."""
    if isinstance(answer, str):
        return answer
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return str(answer) if is_number else None


def _total(prediction: Answer) -> Fraction | int | None:
    r"""Give the number in ``m + n = 73``: a sum of letters names what was asked for."""
    match prediction.readings[0]:
        case Relation((Sum() | Product() | Power() as left, Number(value)), ("=",)):
            return value if letters_of(left) and _is_combination(left) else None
    return None


def _is_combination(left: Value) -> bool:
    """Tell ``100m + n`` and ``a^2 + b^2`` from an equation with numbers of its own."""
    terms = left.terms if isinstance(left, Sum) else (left,)
    return all(letters_of(term) for term in terms)


def equivalent(prediction: str, answer: str | float | None, policy: Policy = EVAL) -> Score:
    r"""Compare an answer that needs no extraction with the known one.

    Args:
        prediction: An answer alone, typed as the known one is.
        answer: The known answer: bare, in ``$...$`` or in ``\boxed{}``.
        policy: How units, percentages and the like are taken.

    Returns:
        A score as ``grade`` gives it; ``no_answer`` where the prediction is empty.
    """
    gold = read_gold(_as_text(answer), policy)
    if gold is None:
        return _GOLD_UNPARSEABLE
    if len(prediction) > MAX_TEXT:
        return Score(value=0.0, status="limit", reason="prediction too long to read")
    read_prediction = typed(prediction, policy)
    if not read_prediction.key:
        return Score(value=0.0, status="no_answer", reason="the prediction is empty")
    return _compare(read_prediction, gold, policy)


_GOLD_UNPARSEABLE = Score(
    value=None,
    status="gold_unparseable",
    reason="the known answer cannot be read: give it bare, in $...$ or in one box",
)


def _compare(
    prediction: Answer, gold: Answer, policy: Policy, found: Extraction | None = None
) -> Score:
    """Let each tier decide or pass; the same the other way round."""
    prefix, cue = (f"{found.reason}: ", found.cue) if found else ("", None)
    if prediction.written == gold.written or prediction.key == gold.key:
        return _score("correct", prediction, 0, f"{prefix}same text", cue)
    if prediction.number is not None and gold.number is not None:
        if prediction.number == gold.number:
            return _score("correct", prediction, 1, f"{prefix}equal numbers", cue)
        reason = f"{prefix}{_short(prediction.key)} is not {_short(gold.key)}"
        return _score("wrong", prediction, 1, reason, cue)
    if len(prediction.text) > policy.max_answer_characters:
        return _score("limit", prediction, None, f"{prefix}prediction too long to read", cue)
    if len(gold.text) > policy.max_answer_characters or _is_unreadable(gold):
        return replace(_GOLD_UNPARSEABLE, prediction=prediction.canonical, cue=cue)
    decision = decide(prediction, gold, policy)
    return _score(decision.status, prediction, decision.tier, prefix + decision.reason, cue)


class Decision(NamedTuple):
    """What the tiers beyond text made of two answers."""

    status: Status
    tier: int | None
    reason: str


def decide(prediction: Answer, gold: Answer, policy: Policy) -> Decision:
    """Compare every reading of one answer with every reading of the other.

    Args:
        prediction: What the model gave.
        gold: The known answer.
        policy: What counts as the same.
    """
    comparison = Comparison(policy)
    open_pairs: list[tuple[Value, Value]] = []
    for given in prediction.readings:
        for wanted in gold.readings:
            if _is_comma_list(given, prediction, gold) or _is_comma_list(wanted, gold, prediction):
                continue
            verdict = comparison.is_equal(given, wanted)
            if verdict:
                return _equal(given, wanted, prediction, comparison)
            if verdict is None:
                open_pairs.append((given, wanted))
    if open_pairs and policy.is_symbolic:
        return _symbolic(open_pairs, prediction, gold, comparison)
    return _different(prediction, gold, comparison, is_open=bool(open_pairs))


def _is_comma_list(reading: Value, answer: Answer, other: Answer) -> bool:
    """Tell a reading of 3,14 as a decimal where the other side has no decimal of two places."""
    if (
        "," not in answer.text
        or "." in answer.text
        or not isinstance(reading, Number)
        or reading.places is None
    ):
        return False
    if not answer.policy.is_bracket_loose:
        return True
    has_point = isinstance(other.number, Fraction) or "." in other.text
    return reading.places < _MIN_COMMA_PLACES or not (has_point or "," in other.text)


def _equal(given: Value, wanted: Value, prediction: Answer, comparison: Comparison) -> Decision:
    tier = comparison.tier
    why = None
    if not comparison.policy.is_unevaluated_accepted:
        why = refusal(given, wanted, prediction.written, comparison)
    if why is not None:
        return Decision("wrong", tier, f"equal, but {why}")
    return Decision("correct", tier, _TIERS[tier])


_TIERS = {1: "equal numbers", 2: "equal in normal form", 3: "equal at all points", 4: "by sympy"}


def _different(
    prediction: Answer, gold: Answer, comparison: Comparison, *, is_open: bool
) -> Decision:
    texts = f"{_short(prediction.canonical)!r} against {_short(gold.canonical)!r}"
    if is_open:
        return Decision("undecided", None, f"{texts} stays open")
    is_text = isinstance(prediction.readings[0], Words)
    if is_text and not any(isinstance(value, Words) for value in gold.readings):
        return Decision("unparseable", None, f"{_short(prediction.key)!r} is no mathematics")
    return Decision(
        "wrong", comparison.tier, f"{_short(prediction.canonical)} is not {_short(gold.canonical)}"
    )


def _symbolic(
    pairs: Sequence[tuple[Value, Value]], prediction: Answer, gold: Answer, comparison: Comparison
) -> Decision:
    """Ask sympy about the expressions that stayed open, then compare again."""
    from mathrl.rewards.cas import is_equal  # few answers need it

    policy = comparison.policy
    is_open = False
    deadline = time.monotonic() + policy.timeout_s
    for first, second in list(dict.fromkeys(comparison.undecided)):
        try:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            settled = is_equal(first, second, timeout_s=left_s)
        except TimeoutError:
            return Decision("timeout", 4, f"sympy took more than {policy.timeout_s:g} s")
        except MemoryError:
            return Decision("limit", 4, "sympy took too much memory")
        comparison.settled[first, second] = settled
        is_open = is_open or settled is None
    comparison.tier = 4
    for given, wanted in pairs:
        if comparison.is_equal(given, wanted):
            return _equal(given, wanted, prediction, comparison)
    return _different(prediction, gold, comparison, is_open=is_open)


def _has_rival(prediction: Answer, rivals: Sequence[str], policy: Policy) -> bool:
    """Tell whether another answer was given that is not the same as the last."""
    for written in rivals[-_MAX_RIVALS:]:
        rival = Answer(written, policy)
        if rival.key == prediction.key or len(rival.text) > policy.max_answer_characters:
            continue
        comparison = Comparison(policy)
        if not any(
            comparison.is_equal(one, other)
            for one in rival.readings
            for other in prediction.readings
        ):
            return True
    return False


def _is_unreadable(gold: Answer) -> bool:
    """Tell whether a known answer is a formula that cannot be read; a name or a word can be."""
    is_text = all(isinstance(value, Words) for value in gold.readings)
    return is_text and _FORMULA.search(gold.text) is not None


def _score(
    status: Status, prediction: Answer, tier: int | None, reason: str, cue: Cue | None
) -> Score:
    return Score(
        value=1.0 if status == "correct" else 0.0,
        status=status,
        prediction=prediction.canonical,
        tier=tier,
        reason=reason,
        cue=cue,
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
