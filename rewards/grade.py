"""Grade a completion against a known answer: the one door that evals and trainers use.

    >>> grade("She earns 9 * 2 = $18.\\n#### 18", "18").status
    'correct'

Two tiers so far. Tier 0: the normalised texts are equal. Tier 1: both are numbers, compared
exactly. What neither tier can settle is ``undecided``, worth 0.0. Comparing is symmetric, and no
text raises or takes more than time linear in its (capped) length.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from mathrl.boxes import boxes
from mathrl.rewards.extract import EVAL, Policy, extract
from mathrl.rewards.normalise import normalise, tidy
from mathrl.rewards.values import Number, read_number
from mathrl.schema import Completion, Score


def grade(completion: str | Completion, answer: str | None, policy: Policy = EVAL) -> Score:
    r"""Find the answer in a completion and compare it with the known one.

    Args:
        completion: What the model wrote.
        answer: The known answer, typed: bare, in ``$...$`` or in one ``\boxed{}``.
        policy: ``EVAL`` (what an honest model means) or ``REWARD`` (one clear answer, or nothing).

    Returns:
        A score of 1.0 or 0.0, or of None where the known answer itself cannot be read; its
        ``prediction`` is canonical (``18`` for ``18.00``), so equal predictions are equal texts.
    """
    gold = _read_gold(answer if isinstance(answer, str) else None, policy)
    if gold is None:
        return _GOLD_UNPARSEABLE
    text = completion.text if isinstance(completion, Completion) else completion
    found = extract(text, policy)
    if found.text is None:
        return Score(value=0.0, status=found.status or "no_answer", reason=found.reason)
    score = _compare(_read(_typed(found.text) or found.text, policy), gold, policy)
    return replace(score, reason=f"{found.reason}: {score.reason}")


def equivalent(prediction: str, answer: str | None, policy: Policy = EVAL) -> Score:
    r"""Compare an answer that needs no extraction with the known one.

    Args:
        prediction: An answer alone, typed as the known one is.
        answer: The known answer: bare, in ``$...$`` or in one ``\boxed{}``.
        policy: How units and percentages are taken.

    Returns:
        A score as ``grade`` gives it; ``no_answer`` where the prediction is empty.
    """
    gold = _read_gold(answer if isinstance(answer, str) else None, policy)
    if gold is None:
        return _GOLD_UNPARSEABLE
    if len(prediction) > policy.max_answer_characters:
        return Score(value=0.0, status="limit", reason="prediction too long to read")
    read = _read(_typed(prediction) or prediction, policy)
    if not read.text:
        return Score(value=0.0, status="no_answer", reason="the prediction is empty")
    return _compare(read, gold, policy)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as text and, where it is one, as a number."""

    text: str
    number: Number | None

    @property
    def canonical(self) -> str:
        return self.number.text if self.number else self.text


_GOLD_UNPARSEABLE = Score(
    value=None,
    status="gold_unparseable",
    reason="the known answer must be bare, in $...$ or in one box",
)


@lru_cache(maxsize=4096)  # a trainer grades a whole group, and every epoch, on the same answer
def _read_gold(answer: str | None, policy: Policy) -> _Answer | None:
    if answer is None or len(answer) > policy.max_answer_characters:
        return None
    typed = _typed(answer)
    gold = None if typed is None else _read(typed, policy)
    return gold if gold and gold.text else None


def _typed(answer: str) -> str | None:
    """Take an answer out of the one box or the one pair of ``$`` around it, if there is one."""
    inner = tidy(answer)
    if contents := boxes(inner):
        argument = inner.removeprefix(r"\boxed").removeprefix(r"\fbox").lstrip()
        is_whole = argument in (contents[0], f"{{{contents[0]}}}")
        return contents[0] if is_whole else None
    if r"\boxed" in inner or "$" in inner.replace(r"\$", "").removeprefix("-$"):
        return None
    return inner


def _read(text: str, policy: Policy) -> _Answer:
    return _Answer(normalise(text), read_number(text, max_unit_words=policy.max_unit_words))


def _compare(prediction: _Answer, gold: _Answer, policy: Policy) -> Score:
    """Let each tier decide or pass; the same the other way round."""
    canonical = prediction.canonical
    if prediction.number and gold.number:
        if _is_same_number(prediction.number, gold.number, policy):
            tier = 0 if prediction.text == gold.text else 1
            return Score(
                value=1.0, status="correct", prediction=canonical, tier=tier, reason="equal"
            )
        reason = f"{_short(canonical)} is not {_short(gold.canonical)}"
        return Score(value=0.0, status="wrong", prediction=canonical, tier=1, reason=reason)
    if gold.number:
        reason = f"{_short(canonical)!r} is not read as a number"
        return Score(value=0.0, status="unparseable", prediction=canonical, reason=reason)
    if prediction.number is None and prediction.text == gold.text:
        return Score(value=1.0, status="correct", prediction=canonical, tier=0, reason="same text")
    reason = f"{_short(canonical)!r} against {_short(gold.text)!r} is beyond exact numbers"
    return Score(value=0.0, status="undecided", prediction=canonical, reason=reason)


def _is_same_number(first: Number, second: Number, policy: Policy) -> bool:
    if first.value == second.value:
        return True
    if not policy.is_percent_loose or first.is_percent == second.is_percent:
        return False
    percent, plain = (first, second) if first.is_percent else (second, first)
    return percent.value * 100 == plain.value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
