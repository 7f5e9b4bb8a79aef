"""pass@k and maj@k of one problem's samples, as exact expectations over the subsets of size k.

Nothing is drawn: both figures are what an average over every way to keep ``k`` of the ``n``
samples would give, so they do not move with the order of the samples.

Source: pass@k is arXiv 2107.03374 (Chen et al.), equation 1.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import comb


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

    Every correct sample votes for one answer; wrong ones vote for the text of their prediction.
    A tie counts by the share of correct answers in it. A sample without a prediction does not
    vote, and a subset without a vote is wrong.

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
    voters = [(p, ok) for p, ok in zip(predictions, corrects, strict=True) if p is not None]
    right = sum(ok for _, ok in voters)
    wrong = sorted(Counter(p for p, ok in voters if not ok).values())
    silent = len(predictions) - len(voters)
    wins = Fraction(0)
    for votes in range(1, min(right, k) + 1):
        for ties, ways in _ways_without_rival(wrong, silent, votes, k - votes).items():
            wins += Fraction(comb(right, votes) * ways, ties + 1)
    return float(wins / comb(len(predictions), k))


def _ways_without_rival(wrong: list[int], silent: int, votes: int, rest: int) -> dict[int, int]:
    """Count the ways to draw ``rest`` samples where no wrong answer has more than ``votes``.

    Returns:
        Number of wrong answers with exactly ``votes`` -> number of ways.
    """
    ways = {(0, drawn): comb(silent, drawn) for drawn in range(min(silent, rest) + 1)}
    for size in wrong:
        longer: defaultdict[tuple[int, int], int] = defaultdict(int)
        for (ties, drawn), count in ways.items():
            for extra in range(min(size, votes, rest - drawn) + 1):
                longer[ties + (extra == votes), drawn + extra] += count * comb(size, extra)
        ways = longer
    return {ties: count for (ties, drawn), count in ways.items() if drawn == rest}
