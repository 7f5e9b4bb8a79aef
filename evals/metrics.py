"""pass@k and maj@k of one problem's samples, as exact expectations over the subsets of size k.

Nothing is drawn: both figures are what an average over every way to keep ``k`` of the ``n``
samples would give.

Source: pass@k is arXiv 2107.03374 (Chen et al.), equation 1.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from math import comb


def usual_ks(n: int) -> list[int]:
    """The numbers of samples that figures are given for: 1, 2, 4, ... and ``n`` itself."""
    powers = [2**i for i in range(n.bit_length())]
    return powers if powers[-1] == n else [*powers, n]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of ``k`` samples is correct, without bias.

    Args:
        n: Samples drawn.
        c: Correct samples among them.
        k: Samples kept.

    Returns:
        ``1 - C(n-c, k) / C(n, k)``, between 0 and 1.

    Raises:
        ValueError: Not ``0 <= c <= n``, or not ``1 <= k <= n``.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    subsets = comb(n, k)
    return (subsets - comb(n - c, k)) / subsets


def maj_at_k(predictions: Sequence[str | None], corrects: Sequence[bool], k: int) -> float:
    """Chance that the most frequent answer of ``k`` samples is correct.

    Every correct sample votes for one answer; wrong ones vote for the text of their prediction. Of
    answers with equally many votes the one that was given first wins, as in the figures that
    others publish. A sample without a prediction does not vote, and a subset without a vote is
    wrong.

    Args:
        predictions: The extracted answer of each sample, None where there is none.
        corrects: Whether each sample is correct, in the same order.
        k: Samples kept.

    Returns:
        The exact expectation over all subsets of size ``k``, between 0 and 1.

    Raises:
        ValueError: The two sequences differ in length, or not ``1 <= k <= n``.
    """
    if len(predictions) != len(corrects) or not 1 <= k <= len(predictions):
        raise ValueError(
            f"maj_at_k needs as many corrects as predictions and 1 <= k <= n, got "
            f"{len(predictions)} predictions, {len(corrects)} corrects, k={k}"
        )
    right: list[int] = []
    rivals: defaultdict[str, list[int]] = defaultdict(list)
    for place, (prediction, is_correct) in enumerate(zip(predictions, corrects, strict=True)):
        if prediction is not None:
            (right if is_correct else rivals[prediction]).append(place)
    silent = predictions.count(None)
    wins = 0
    for votes in range(1, min(len(right), k) + 1):
        for earlier, first in enumerate(right[: len(right) - votes + 1]):
            own = comb(len(right) - earlier - 1, votes - 1)  # the correct ones after the first
            wins += own * _ways_to_lose(rivals.values(), silent, votes, first, k - votes)
    return wins / comb(len(predictions), k)


def _ways_to_lose(
    rivals: Collection[list[int]], silent: int, votes: int, first: int, rest: int
) -> int:
    """Count the ways to draw ``rest`` other samples where no wrong answer wins.

    Each rival draws fewer votes than the correct answer, or as many but all of them after its
    ``first``. The ways are the coefficient of ``x^rest`` in the product of what each may draw; one
    that has fewer votes in all may draw any of them, as the silent may.
    """
    strong = [places for places in rivals if len(places) >= votes]
    free = silent + sum(len(places) for places in rivals if len(places) < votes)
    ways = [comb(free, drawn) for drawn in range(rest + 1)]
    for places in strong:
        later = sum(place > first for place in places)
        may_draw = [comb(len(places), drawn) for drawn in range(min(votes, rest + 1))]
        if votes <= rest:
            may_draw.append(comb(later, votes))
        ways = _product(ways, may_draw)
    return ways[rest]


def _product(left: list[int], right: list[int]) -> list[int]:
    """Multiply two polynomials, to the degree of the first."""
    product = [0] * len(left)
    for i, factor in enumerate(right):
        if factor:
            for j in range(len(left) - i):
                product[i + j] += factor * left[j]
    return product
