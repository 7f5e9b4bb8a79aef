r"""How much of a task a training file holds: the same problems, and the same runs of words.

    mathrl contamination --train math_train.jsonl --task math --data math_test.jsonl

Three questions are asked of each problem. Is it a training row: as it stands but for white space,
by its words alone, or by its words with every number masked? How many of its runs of 13 words
(arXiv 2005.14165, appendix C) does the file hold? And how accurate is a run on the others? The
training file is read once, row by row, and never held: memory follows the task, time both.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from statistics import fmean
from typing import Any

from mathrl.evals.results import ProblemOutcome
from mathrl.evals.stats import Interval, clustered_stderr, mean_interval
from mathrl.schema import Problem

NGRAM = 13
"""Words of a run."""
MAX_MATCHES = 5
"""Training rows that are named for a problem."""
COMMON = 50
"""A run of words that more problems share than these is a phrase of the task ("Find m + n."): it
counts as found, but does not say which row a problem is from."""

SAME_TEXT, SAME_WORDS, MASKED = "same text", "same words", "same words, numbers masked"
COPIES = (SAME_TEXT, SAME_WORDS, MASKED)
SHARES = {"80 % of its 13-grams": 0.8, "50 % of its 13-grams": 0.5, "any 13-gram": 0.0}
CRITERIA = (*COPIES, *SHARES)
"""By which a problem is found in the training file."""

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRow:
    """One row of a training file."""

    place: str
    """Where it stands, for people: ``train.jsonl line 3 (id 17)``."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A training row that resembles a problem."""

    place: str
    kind: str | None
    """The closest of ``COPIES`` that holds; None where only runs of words are shared."""
    num_ngrams: int
    """Distinct 13-grams that both have, without some of those that many problems share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemOverlap:
    """What the training file holds of one problem."""

    problem_id: str
    num_ngrams: int
    """Distinct 13-grams of the problem; 0 where it is shorter than that."""
    num_found: int
    """Those that the training file holds, in whatever rows."""
    kinds: frozenset[str]
    """Those of ``COPIES`` that hold for some row."""
    matches: tuple[Match, ...]
    """The closest rows, the closest first."""

    @property
    def share(self) -> float:
        """Share of its 13-grams that the training file holds."""
        return self.num_found / self.num_ngrams if self.num_ngrams else 0.0

    def holds(self, criterion: str) -> bool:
        """Whether the problem is found by one of ``CRITERIA``."""
        if criterion in COPIES:
            return criterion in self.kinds
        return self.num_found > 0 and self.share >= SHARES[criterion]

    @property
    def is_contaminated(self) -> bool:
        """Whether it is found by any of them."""
        return bool(self.kinds) or self.num_found > 0

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "id": self.problem_id,
            "found_by": [criterion for criterion in CRITERIA if self.holds(criterion)],
            "n_ngrams": self.num_ngrams,
            "n_found": self.num_found,
            "matches": [asdict(match) for match in self.matches],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What a training file holds of a task."""

    num_rows: int
    """Rows of the training file."""
    problems: tuple[ProblemOverlap, ...]
    """In the order of the task."""

    def found(self, criterion: str) -> list[ProblemOverlap]:
        """The problems that are found by a criterion."""
        return [problem for problem in self.problems if problem.holds(criterion)]

    @property
    def contaminated(self) -> list[ProblemOverlap]:
        """The problems that are found by any criterion, the closest first."""
        found = [problem for problem in self.problems if problem.is_contaminated]
        return sorted(found, key=lambda problem: (_copy_rank(problem.kinds), -problem.share))

    @property
    def num_short(self) -> int:
        """Problems too short to have a 13-gram."""
        return sum(not problem.num_ngrams for problem in self.problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetAccuracy:
    """The accuracy on some of a run's problems."""

    accuracy: float
    stderr: float
    """Clustered by problem; nan for a single one."""
    ci95: Interval
    n_problems: int

    def to_json(self) -> dict[str, Any]:
        """JSON types only, nan as null."""
        return {
            "accuracy": self.accuracy,
            "stderr": None if isnan(self.stderr) else self.stderr,
            "ci95": [self.ci95.low, self.ci95.high],
            "n_problems": self.n_problems,
        }


def find_overlap(rows: Iterable[TrainingRow], problems: Sequence[Problem]) -> Overlap:
    """Look for a task's problems in a training file.

    Args:
        rows: The training file; read once.
        problems: The task's.
    """
    index = _Index.of(problems)
    num_rows = 0
    for row in rows:
        num_rows += 1
        index.look_up(row)
    return Overlap(
        num_rows=num_rows,
        problems=tuple(index.overlap(place, problem) for place, problem in enumerate(problems)),
    )


def subset_accuracy(
    outcomes: Iterable[ProblemOutcome], problem_ids: Collection[str]
) -> SubsetAccuracy | None:
    """The accuracy of a run on some problems; None where it has a verdict on none of them."""
    judged = [outcome for outcome in outcomes if outcome.n and outcome.problem_id in problem_ids]
    if not judged:
        return None
    means = [outcome.mean for outcome in judged]
    return SubsetAccuracy(
        accuracy=fmean(means),
        stderr=clustered_stderr(means),
        ci95=mean_interval(means, sum(outcome.n for outcome in judged)),
        n_problems=len(judged),
    )


def words_of(text: str) -> list[str]:
    """The words of a text in small letters; LaTeX commands and numbers are words."""
    return _WORD.findall(text.lower())


@dataclass(slots=True)
class _Index:
    """The task's side: what to look for, and what was found of it so far."""

    ngrams: list[frozenset[int]]
    """Of each problem, as hashes: 64 bits tell billions of runs apart."""
    owners: Mapping[int, Sequence[int]]
    """The problems that have a 13-gram."""
    copies: Mapping[str, Mapping[int, Sequence[int]]]
    """For each of ``COPIES``, the problems with a hash of their text in that form."""
    seen: set[int] = field(default_factory=set)
    """The 13-grams that the training file holds."""
    kinds: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    matches: defaultdict[int, list[Match]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "_Index":
        words = [words_of(problem.prompt) for problem in problems]
        ngrams = [_ngrams(own) for own in words]
        owners = _by_hash(ngrams)
        texts = zip(problems, words, strict=True)
        forms = [_forms(problem.prompt, own) for problem, own in texts]
        copies = {kind: _by_hash([_one(form, kind) for form in forms]) for kind in COPIES}
        return cls(ngrams=ngrams, owners=owners, copies=copies)

    def look_up(self, row: TrainingRow) -> None:
        """Note what a training row shares with any problem."""
        words = words_of(row.text)
        shared: Counter[int] = Counter()
        for ngram in _ngrams(words) & self.owners.keys():
            owners = self.owners[ngram]
            # The work of a row must not grow with the task: a common run names its first row only.
            if len(owners) <= COMMON or ngram not in self.seen:
                shared.update(owners)
            self.seen.add(ngram)
        kinds: dict[int, str] = {}
        for kind, form in _forms(row.text, words).items():
            for owner in self.copies[kind].get(form, ()):
                self.kinds[owner].add(kind)
                kinds.setdefault(owner, kind)
        for owner in shared.keys() | kinds.keys():
            self._keep(
                owner, Match(place=row.place, kind=kinds.get(owner), num_ngrams=shared[owner])
            )

    def overlap(self, place: int, problem: Problem) -> ProblemOverlap:
        """What was found of the problem at a place."""
        own = self.ngrams[place]
        return ProblemOverlap(
            problem_id=problem.id,
            num_ngrams=len(own),
            num_found=len(own & self.seen),
            kinds=frozenset(self.kinds[place]),
            matches=tuple(self.matches[place]),
        )

    def _keep(self, owner: int, match: Match) -> None:
        """Keep the closest rows; of equally close ones the first."""
        best = self.matches[owner]
        best.append(match)
        best.sort(key=_closeness)
        del best[MAX_MATCHES:]


def _closeness(match: Match) -> tuple[int, int]:
    kinds = () if match.kind is None else (match.kind,)
    return _copy_rank(kinds), -match.num_ngrams


def _copy_rank(kinds: Collection[str]) -> int:
    """The place of the closest kind in ``COPIES``, or the one after the last."""
    return min((COPIES.index(kind) for kind in kinds), default=len(COPIES))


def _by_hash(hashes: Sequence[Collection[int]]) -> dict[int, list[int]]:
    """The problems of each hash."""
    owners: defaultdict[int, list[int]] = defaultdict(list)
    for place, own in enumerate(hashes):
        for value in own:
            owners[value].append(place)
    return dict(owners)


def _one(form: Mapping[str, int], kind: str) -> set[int]:
    return {form[kind]} if kind in form else set()


def _ngrams(words: Sequence[str]) -> frozenset[int]:
    return frozenset(hash(tuple(words[i : i + NGRAM])) for i in range(len(words) - NGRAM + 1))


def _forms(text: str, words: Sequence[str]) -> dict[str, int]:
    """A text in each form that copies are looked for in; a text without words is no copy."""
    if not words:
        return {}
    spaced = " ".join(words)
    return {
        SAME_TEXT: hash("".join(text.split())),
        SAME_WORDS: hash(spaced),
        MASKED: hash(_NUMBER.sub("0", spaced)),
    }
