"""How often the 95 % intervals of a comparison hold the true difference, and what plans achieve.

    python benchmarks/coverage.py                  # t intervals and power
    python benchmarks/coverage.py --bootstrap 200  # and the bootstrap, on 200 pairs each: slow

Pairs of runs are simulated. A problem's chance to be answered correctly is logistic-normal; after
training its logit has moved by a common shift and by noise of its own. Problems are drawn anew for
each pair, so the truth is the mean gain over all problems, and it is integrated, not sampled.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import click
import numpy as np

from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.attribution import attribute
from mathrl.evals.bootstrap import bootstrap_interval
from mathrl.evals.power import problems_needed
from mathrl.evals.stats import difference_interval, paired_difference
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Score, Status

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
PAIRS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """All problems of a kind, before and after training."""

    accuracy: float
    """Before."""
    spread: float = 2.0
    """Standard deviation of the problems' logits; 2 gives s² = 0.55 p (1 - p) at p = 0.5."""
    shift: float = 0.0
    """Of every logit."""
    noise: float = 0.5
    """Standard deviation of a problem's own change of its logit."""

    def center(self) -> float:
        """The mean logit that gives the accuracy."""
        low, high = -30.0, 30.0
        for _ in range(100):
            middle = (low + high) / 2
            rate = WEIGHTS @ _chance(middle + self.spread * NODES)
            low, high = (middle, high) if rate < self.accuracy else (low, middle)
        return low

    def moments(self) -> tuple[float, float, float]:
        """The mean gain, its variance ω² and the mean s² of both sides."""
        before = self.center() + self.spread * NODES[:, None]
        a, b = _chance(before), _chance(before + self.shift + self.noise * NODES[None, :])
        weights = WEIGHTS[:, None] * WEIGHTS[None, :]
        gain = float((weights * (b - a)).sum())
        within = float((weights * (a * (1 - a) + b * (1 - b))).sum()) / 2
        return gain, float((weights * (b - a - gain) ** 2).sum()), within

    def pairs(
        self, num_problems: int, num_samples: int, *, num_pairs: int = PAIRS, seed: int = 0
    ) -> Iterator[tuple[list[float], list[float]]]:
        """Simulate the accuracies of each problem in both runs, pair after pair."""
        rng, center = np.random.default_rng(seed), self.center()
        for _ in range(num_pairs):
            before = center + self.spread * rng.standard_normal(num_problems)
            after = before + self.shift + self.noise * rng.standard_normal(num_problems)
            runs = (rng.binomial(num_samples, _chance(x)) / num_samples for x in (before, after))
            yield next(runs).tolist(), next(runs).tolist()


def coverage(population: Population, num_problems: int, num_samples: int) -> float:
    """Share of simulated pairs whose t interval holds the true difference."""
    truth, _, _ = population.moments()
    intervals = (
        paired_difference(before, after, single_samples=num_samples == 1).ci95
        for before, after in population.pairs(num_problems, num_samples)
    )
    return sum(i.low <= truth <= i.high for i in intervals) / PAIRS


def bootstrap_coverage(
    population: Population,
    num_problems: int,
    num_samples: int,
    *,
    num_pairs: int,
    resamples: int = 1000,
) -> tuple[float, float, int]:
    """Share whose bootstrap interval holds it, that of t on them, and how many have one at all."""
    truth, _, _ = population.moments()
    held, held_by_t, count = 0, 0, 0
    for before, after in population.pairs(num_problems, num_samples, num_pairs=num_pairs):
        differences = [b - a for a, b in zip(before, after, strict=True)]
        drawn = bootstrap_interval(differences, resamples=resamples)
        if drawn is not None:
            t = difference_interval(differences)
            count += 1
            held += drawn.low <= truth <= drawn.high
            held_by_t += t.low <= truth <= t.high
    return held / max(1, count), held_by_t / max(1, count), count


def attribution_coverage(
    population: Population, num_problems: int, *, readable: tuple[float, float], num_pairs: int
) -> tuple[float, float]:
    """Share of pairs whose interval holds the true part of the format, and of the reasoning.

    Before and after, a sample's answer can be read with the chances ``readable``, whatever the
    problem; one sample a problem.
    """
    old, (r0, r1) = population.accuracy, readable
    new = old + population.moments()[0]
    # Fixed from unreadable less broken to it; then the change where both can be read.
    truth = {
        "format": (1 - r0) * r1 * new - r0 * (1 - r1) * old,
        "reasoning": r0 * r1 * (new - old),
    }
    rng, held = np.random.default_rng(1), [0, 0]
    for pair in population.pairs(num_problems, 1, num_pairs=num_pairs):
        sides = [
            _result(run, rng.random(num_problems) < r)
            for run, r in zip(pair, readable, strict=True)
        ]
        found = attribute(*sides)
        assert found is not None
        for index, name in enumerate(("format", "reasoning")):
            interval = found.parts[name].ci95
            held[index] += bool(interval and interval.low <= truth[name] <= interval.high)
    return held[0] / num_pairs, held[1] / num_pairs


def _result(corrects: list[float], is_readable: np.ndarray) -> EvalResult:
    outcomes = []
    for place, (correct, was_read) in enumerate(zip(corrects, is_readable, strict=True)):
        status: Status = "no_answer" if not was_read else "correct" if correct else "wrong"
        score = Score(value=float(status == "correct"), status=status, prediction="1")
        sample = SampleOutcome(sample_index=0, completion=Completion(text=""), score=score)
        outcomes.append(ProblemOutcome.from_samples(str(place), [sample]))
    return summarise("simulated", outcomes)


def planned_power(population: Population, num_samples: int) -> tuple[int, float]:
    """Plan for 80 % power; the problems that it takes, and the share of pairs that show it."""
    gain, gain_variance, sample_variance = population.moments()
    variance = gain_variance + 2 * sample_variance / num_samples
    size = problems_needed(gain, variance_of_one=variance)
    results = (
        paired_difference(before, after, single_samples=num_samples == 1)
        for before, after in population.pairs(size, num_samples)
    )
    return size, sum(result.p_value < 0.05 and result.difference > 0 for result in results) / PAIRS


def main() -> None:
    """Print what is covered, regime by regime, and the power of plans."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bootstrap", type=int, default=0, metavar="PAIRS")
    options = parser.parse_args()
    click.echo(f"intervals of 95 %, {PAIRS} pairs: ± {100 * 2 * sqrt(0.05 * 0.95 / PAIRS):.1f}")
    for size, counts in ((30, (1, 16, 64)), (500, (1, 16)), (1319, (1, 4))):
        for accuracy in (0.05, 0.5, 0.95):
            for num_samples in counts:
                for shift in (0.0, 0.5):
                    _print_coverage(
                        Population(accuracy=accuracy, shift=shift),
                        size,
                        num_samples,
                        options.bootstrap,
                    )
    if options.bootstrap:
        _print_attribution(options.bootstrap)
    click.echo("\nplans for 80 % power: problems, samples, gain, power found")
    for accuracy in (0.3, 0.8):
        for shift in (0.2, 0.8):
            for num_samples in (1, 4, 16):
                population = Population(accuracy=accuracy, shift=shift)
                size, power = planned_power(population, num_samples)
                gain = 100 * population.moments()[0]
                click.echo(f"{size:5} {num_samples:3} {gain:6.2f} {100 * power:6.1f} %")


def _print_attribution(num_pairs: int) -> None:
    click.echo("\nparts of the difference, 400 problems: intervals of format and reasoning hold it")
    for accuracy in (0.3, 0.8):
        for readable in ((0.7, 0.95), (0.97, 0.99)):
            held = attribution_coverage(
                Population(accuracy=accuracy, shift=0.5),
                400,
                readable=readable,
                num_pairs=num_pairs,
            )
            click.echo(
                f"{100 * accuracy:3.0f} %  readable {100 * readable[0]:.0f} -> "
                f"{100 * readable[1]:.0f} %   {100 * held[0]:5.1f}   {100 * held[1]:5.1f}"
            )


def _print_coverage(
    population: Population, size: int, num_samples: int, bootstrap_pairs: int
) -> None:
    held, gain = coverage(population, size, num_samples), population.moments()[0]
    line = (
        f"{size:5} problems  {num_samples:2} samples  {100 * population.accuracy:3.0f} %  "
        f"{100 * gain:+6.2f}   t {100 * held:5.1f}"
    )
    if bootstrap_pairs:
        share, by_t, count = bootstrap_coverage(
            population, size, num_samples, num_pairs=bootstrap_pairs
        )
        line += f"   bootstrap {100 * share:5.1f} (t {100 * by_t:5.1f}) of {count}"
    click.echo(line)


def _chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


if __name__ == "__main__":
    main()
