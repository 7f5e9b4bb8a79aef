"""What a reward model makes of several samples: best-of-k and the weighted vote.

Both are exact expectations over the subsets of size ``k``, as ``metrics`` has them for pass@k and
maj@k. Best-of-k has a closed form; the weighted vote has none, so it goes through the subsets and
exists only where they are few.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from math import comb, exp, fsum

MAX_SUBSETS = 500
"""Of one problem; 8 samples have at most 70, 16 have 12,870 at k = 8."""


def best_of_k(rewards: Sequence[float], corrects: Sequence[bool], k: int) -> float:
    """Chance that the sample with the highest reward among ``k`` is correct.

    Args:
        rewards: The reward model's score of each sample.
        corrects: Whether each sample is correct, in the same order.
        k: Samples kept.

    Returns:
        The exact expectation over all subsets of size ``k``; of equal rewards one is drawn.

    Raises:
        ValueError: The two sequences differ in length, or not ``1 <= k <= n``.
    """
    _check(len(rewards), len(corrects), k)
    levels: defaultdict[float, list[bool]] = defaultdict(list)
    for reward, is_correct in zip(rewards, corrects, strict=True):
        levels[reward].append(is_correct)
    wins, below = 0.0, 0
    for _, level in sorted(levels.items()):
        subsets = comb(below + len(level), k) - comb(below, k)  # those whose best is of this level
        wins += subsets * sum(level) / len(level)
        below += len(level)
    return wins / comb(len(rewards), k)


def weighted_vote(
    predictions: Sequence[str | None], corrects: Sequence[bool], weights: Sequence[float], k: int
) -> float:
    """Chance that the answer with the largest sum of weights among ``k`` samples is correct.

    Who votes for what, and who wins a tie, is as in ``maj_at_k``, whose value equal weights give.

    Args:
        predictions: The extracted answer of each sample, None where there is none.
        corrects: Whether each sample is correct, in the same order.
        weights: What each vote counts, 0 or more.
        k: Samples kept; the subsets must be no more than ``MAX_SUBSETS``.

    Raises:
        ValueError: The sequences differ in length, not ``1 <= k <= n``, or there are too many
            subsets.
    """
    _check(len(predictions), len(corrects), k)
    if len(weights) != len(predictions) or not has_few_subsets(len(predictions), k):
        raise ValueError(
            f"weighted_vote needs a weight a sample and at most {MAX_SUBSETS} subsets, got "
            f"{len(weights)} weights, n={len(predictions)}, k={k}"
        )
    votes: list[tuple[str | None, bool, float]] = [
        ("" if is_correct else prediction, is_correct, weight)
        for prediction, is_correct, weight in zip(predictions, corrects, weights, strict=True)
        if prediction is not None
    ]
    votes += [(None, False, 0.0)] * (len(predictions) - len(votes))
    shares = [_vote(subset) for subset in combinations(votes, k)]
    return sum(shares) / len(shares)


def has_few_subsets(n: int, k: int) -> bool:
    """Tell whether the subsets of ``k`` of ``n`` samples are few enough to go through."""
    return comb(n, k) <= MAX_SUBSETS


def vote_weights(rewards: Sequence[float]) -> list[float]:
    """Weights of a vote: rewards between 0 and 1 are probabilities, others are taken for logits.

    Args:
        rewards: Of all samples of an evaluation: one of them outside makes all logits.
    """
    if all(0 <= reward <= 1 for reward in rewards):
        return list(rewards)
    # exp of a positive number may overflow, so each sign has its own form of the same function
    return [1 / (1 + exp(-r)) if r >= 0 else exp(r) / (1 + exp(r)) for r in rewards]


def _vote(subset: Sequence[tuple[str | None, bool, float]]) -> float:
    weights: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
    for prediction, is_correct, weight in subset:
        if prediction is not None:
            weights[prediction, is_correct].append(weight)
    totals = {answer: fsum(given) for answer, given in weights.items()}  # in any order the same
    if not totals:
        return 0.0
    _, is_correct = max(totals, key=lambda answer: totals[answer])  # of equal sums the first
    return float(is_correct)


def _check(num_samples: int, num_corrects: int, k: int) -> None:
    if num_samples != num_corrects or not 1 <= k <= num_samples:
        raise ValueError(
            f"needs as many corrects as samples and 1 <= k <= n, got {num_samples} samples, "
            f"{num_corrects} corrects, k={k}"
        )
