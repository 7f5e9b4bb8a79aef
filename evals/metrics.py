"""pass@k and maj@k of one problem's samples, as exact expectations over the subsets of size k.

Nothing is drawn: both figures are what an average over every way to keep ``k`` of the ``n``
samples would give.

Source: pass@k is arXiv 2107.03374 (Chen et al.), equation 1.
"""

from collections import defaultdict
from collections.abc import Sequence
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
    return maj_curve(predictions, corrects, [k])[k]


def maj_curve(
    predictions: Sequence[str | None], corrects: Sequence[bool], ks: Sequence[int]
) -> dict[int, float]:
    """``maj_at_k`` for several ``k`` at the price of one.

    The correct answer wins with ``votes`` votes, the earliest of them at ``first``, where each
    rival draws fewer, or as many but all of them after ``first``. The ways in which the other
    ``k - votes`` samples are drawn so are a coefficient of the product of one polynomial a rival.
    Polynomials are multiplied as whole numbers, with enough bits for each coefficient.

    Args:
        predictions: The extracted answer of each sample, None where there is none.
        corrects: Whether each sample is correct, in the same order.
        ks: Numbers of samples kept.

    Raises:
        ValueError: As ``maj_at_k``.
    """
    n = len(predictions)
    if n != len(corrects) or not all(1 <= k <= n for k in ks):
        raise ValueError(
            f"maj_at_k needs as many corrects as predictions and 1 <= k <= n, got "
            f"{n} predictions, {len(corrects)} corrects, k={', '.join(map(str, ks))}"
        )
    right, rivals = _places(predictions, corrects)
    wins = dict.fromkeys(ks, 0)
    bits = n + 1  # a coefficient counts subsets, of which there are 2^n
    for votes in range(1, min(len(right), max(ks, default=0)) + 1):
        strong = [places for places in rivals if len(places) >= votes]
        # who has fewer votes in all may draw any of them, as those without a prediction may
        free = n - len(right) - sum(map(len, strong))
        any_of_free = (1 + (1 << bits)) ** free
        fewer = {len(p): _packed([comb(len(p), e) for e in range(votes)], bits) for p in strong}
        for earlier, first in enumerate(right[: len(right) - votes + 1]):
            ways = any_of_free * comb(len(right) - earlier - 1, votes - 1)
            for places in strong:
                later = sum(place > first for place in places)
                ways *= fewer[len(places)] + (comb(later, votes) << bits * votes)
            for k in ks:
                if k >= votes:
                    wins[k] += ways >> bits * (k - votes) & ((1 << bits) - 1)
    return {k: won / comb(n, k) for k, won in wins.items()}


def _places(
    predictions: Sequence[str | None], corrects: Sequence[bool]
) -> tuple[list[int], list[list[int]]]:
    """Where the correct answer was given, and where each wrong one was."""
    right: list[int] = []
    rivals: defaultdict[str, list[int]] = defaultdict(list)
    for place, (prediction, is_correct) in enumerate(zip(predictions, corrects, strict=True)):
        if prediction is not None:
            (right if is_correct else rivals[prediction]).append(place)
    return right, list(rivals.values())


def _packed(coefficients: Sequence[int], bits: int) -> int:
    """A polynomial as a whole number: its value at ``2^bits``."""
    return sum(c << bits * degree for degree, c in enumerate(coefficients))
