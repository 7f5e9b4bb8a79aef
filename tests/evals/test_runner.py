"""Evaluate: nothing is asked twice, nothing is mistaken, and no order changes a figure."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mathrl.engines import SampleRequest, SamplingParams, sample_seed
from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import ConfigError, DataError
from mathrl.evals import EvalResult, SampleStore, evaluate, get_task
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Completion, Problem
from tests.conftest import FakeEngine

TASK = get_task("gsm8k")
PARAMS = SamplingParams(temperature=1.0, max_new_tokens=16)


def write(request: SampleRequest) -> str:
    """Even problems are right in every second sample; the rest answer 99."""
    number = int(request.problem_id[1:])
    is_right = number % 2 == 0 and request.sample_index % 2 == 0
    return f"#### {number if is_right else 99}"


def run(
    problems: list[Problem], engine: FakeEngine, folder: Path | None = None, **options: object
) -> EvalResult:
    prompts = PromptBuilder(PromptConfig(template=str(options.pop("template", "{prompt}"))))
    params = options.pop("params", PARAMS)
    assert isinstance(params, SamplingParams)
    settings: Any = {"num_samples": 4} | options
    if folder is None:
        return evaluate(TASK, problems, engine, prompts, params, **settings)
    with SampleStore(folder) as store:
        return evaluate(TASK, problems, engine, prompts, params, store=store, **settings)


def test_figures_by_hand(problems: list[Problem]) -> None:
    result = run(problems, FakeEngine(write))
    # 5 of 10 problems have 2 of 4 right; pass@2 = 1 - C(2,2)/C(4,2) = 5/6 for each of the five.
    assert result.accuracy == 0.25
    assert result.pass_at_k == pytest.approx({1: 0.25, 2: 5 / 12, 4: 0.5}, abs=1e-15)
    # Their samples are r w r w: of the ties the first wins, in 4 of 6 pairs (rw, rr, rw, rw of
    # rw rr rw wr ww rw) and in the four.
    assert result.maj_at_k == pytest.approx({1: 0.25, 2: 1 / 3, 4: 0.5}, abs=1e-15)
    # Means 1/2 x5 and 0 x5: variance (5/8) / 9, over 10 problems.
    assert result.stderr == pytest.approx((0.625 / 90) ** 0.5, abs=1e-15)
    assert (result.n_problems, result.n_samples, result.n_uncovered) == (10, 40, 0)
    assert result.status == {"wrong": 0.75, "correct": 0.25}
    assert (result.truncated, result.length_unit) == (0.0, "characters")


def test_each_sample_has_the_seed_that_identifies_it(problems: list[Problem]) -> None:
    engine = FakeEngine(write)
    run(problems, engine, seed=5)
    assert len({request.seed for request in engine.asked}) == 40
    for request in engine.asked:
        assert request.seed == sample_seed(5, 0, request.problem_id, request.sample_index)


def test_order_of_problems_changes_no_figure(problems: list[Problem]) -> None:
    there = run(problems, FakeEngine(write)).to_json()
    back = run(problems[::-1], FakeEngine(write)).to_json()
    assert {key: back[key] for key in there} == there


def test_a_killed_run_asks_only_for_what_is_missing(
    tmp_path: Path, problems: list[Problem]
) -> None:
    asked: list[tuple[str, int]] = []
    for die_after in (7, 0, 12, None):
        engine = FakeEngine(write, die_after=die_after)
        try:
            result = run(problems, engine, tmp_path)
        except KeyboardInterrupt:
            for path in (tmp_path / "samples").iterdir():
                torn = path.read_bytes() + b'{"key": "torn'
                path.write_bytes(torn)
        asked += [(request.problem_id, request.sample_index) for request in engine.asked]
    assert sorted(asked) == sorted(itertools.product((f"p{i}" for i in range(10)), range(4)))
    engine = FakeEngine(write)
    assert run(problems, engine, tmp_path) == result == run(problems, FakeEngine(write))
    assert not engine.asked


def test_more_samples_later_keep_the_first_ones(tmp_path: Path, problems: list[Problem]) -> None:
    run(problems, FakeEngine(write), tmp_path, num_samples=2)
    engine = FakeEngine(write)
    run(problems, engine, tmp_path, num_samples=4)
    assert {request.sample_index for request in engine.asked} == {2, 3}


@pytest.mark.parametrize(
    "change",
    [
        {"template": "Q: {prompt}"},
        {"params": SamplingParams(temperature=0.5, max_new_tokens=16)},
        {"seed": 1},
        {"engine": FakeEngine(write, fingerprint="other weights")},
    ],
)
def test_a_changed_run_reuses_no_sample(
    tmp_path: Path, problems: list[Problem], change: dict[str, object]
) -> None:
    run(problems, FakeEngine(write), tmp_path)
    engine = change.pop("engine", FakeEngine(write))
    assert isinstance(engine, FakeEngine)
    run(problems, engine, tmp_path, **change)
    assert len(engine.asked) == 40


def num_scores(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "scores").iterdir())


def test_another_grader_grades_again_without_sampling(
    tmp_path: Path, problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(problems, FakeEngine(write), tmp_path)
    before = num_scores(tmp_path)
    samples = {path: path.read_bytes() for path in (tmp_path / "samples").iterdir()}
    monkeypatch.setattr("mathrl.evals.verifiers.grader_fingerprint", lambda: "another")
    engine = FakeEngine(write)
    run(problems, engine, tmp_path)
    assert not engine.asked
    assert {path: path.read_bytes() for path in (tmp_path / "samples").iterdir()} == samples
    assert num_scores(tmp_path) == 2 * before == 80


def test_a_corrected_gold_answer_is_graded_again(tmp_path: Path, problems: list[Problem]) -> None:
    run(problems, FakeEngine(write), tmp_path)
    corrected = [Problem(id=p.id, prompt=p.prompt, answer="99") for p in problems]
    engine = FakeEngine(write)
    assert run(corrected, engine, tmp_path).accuracy == 0.75
    assert not engine.asked


def test_a_gold_that_cannot_be_read_is_counted_and_left_out(problems: list[Problem]) -> None:
    unreadable = [*problems[1:], Problem(id="p0", prompt="?", answer=None)]
    result = run(unreadable, FakeEngine(write))
    assert (result.n_problems, result.n_samples, result.n_no_verdict) == (9, 36, 4)
    assert result.accuracy == pytest.approx(4 * 0.5 / 9, abs=1e-15)
    assert result.status["gold_unparseable"] == 0.1


def test_no_verdict_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no sample has a verdict"):
        run([Problem(id="p0", prompt="?", answer=None)], FakeEngine(write))


def test_every_sample_is_reported_as_it_exists(tmp_path: Path, problems: list[Problem]) -> None:
    run(problems[:5], FakeEngine(write), tmp_path)
    seen: list[tuple[str, bool]] = []
    run(
        problems,
        FakeEngine(write),
        tmp_path,
        on_sample=lambda problem, sample: seen.append((problem.id, sample.is_stored)),
    )
    assert [is_stored for _, is_stored in seen] == [True] * 20 + [False] * 20
    assert {problem_id for problem_id, is_stored in seen if is_stored} == {
        f"p{i}" for i in range(5)
    }


def test_recorded_samples_cover_what_they_cover(tmp_path: Path, problems: list[Problem]) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('{"id": "p1", "completion": "#### 1"}\n{"id": "p2", "completion": "#### 7"}\n')
    engine = RecordedEngine(file, problems)
    prompts = PromptBuilder(PromptConfig())
    result = evaluate(TASK, problems, engine, prompts, PARAMS, num_samples=None)
    assert (result.accuracy, result.n_problems, result.n_uncovered) == (0.5, 2, 8)


@pytest.mark.parametrize("num_samples", [0, None])
def test_a_number_of_samples_is_needed(problems: list[Problem], num_samples: int | None) -> None:
    with pytest.raises(ConfigError, match="num_samples"):
        run(problems, FakeEngine(write), num_samples=num_samples)


def test_ids_must_be_unique(problems: list[Problem]) -> None:
    with pytest.raises(DataError, match="'p3'"):
        run([*problems, problems[3]], FakeEngine(write))


def test_an_engine_that_loses_completions_is_a_fault(problems: list[Problem]) -> None:
    class Lossy(FakeEngine):
        def sample(
            self, requests: Sequence[SampleRequest], params: SamplingParams
        ) -> Iterator[tuple[int, Completion]]:
            return itertools.islice(super().sample(requests, params), 39)

    with pytest.raises(RuntimeError, match="39 completions for 40 requests"):
        run(problems, Lossy(write))
