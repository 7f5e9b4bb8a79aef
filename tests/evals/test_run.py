"""Run folders: shards, what a changed spec leaves, and reading back what was evaluated."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.errors import ConfigError, DataError
from mathrl.evals import EvalResult, SampleStore, evaluate_into, load_results, load_run
from mathrl.evals.folder import read_entries
from mathrl.evals.run import Shard
from mathrl.evals.runner import Verification
from mathrl.evals.spec import EvalSpec, specify
from mathrl.evals.verifiers import Grader
from mathrl.files import only_process_in
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem
from tests.conftest import FakeEngine

PARAMS = SamplingParams(temperature=1.0, max_new_tokens=16, stop=("Q:",))


def write(request: SampleRequest) -> str:
    """Problem i is right in its first i samples."""
    number = int(request.problem_id[1:])
    return f"#### {number if request.sample_index < number else 99}"


def spec_of(problems: list[Problem], engine: FakeEngine, num_samples: int = 4) -> EvalSpec:
    prompts = PromptBuilder(PromptConfig(template="Q: {prompt}"))
    return specify("a/b", problems, engine, prompts, PARAMS, num_samples=num_samples)


def run(
    folder: Path,
    problems: list[Problem],
    engine: FakeEngine | None = None,
    *,
    num_samples: int = 4,
    shard: Shard | None = None,
) -> EvalResult:
    engine = engine or FakeEngine(write)
    return evaluate_into(
        folder,
        spec_of(problems, engine, num_samples),
        engine,
        Verification(verifier=Grader()),
        facts={"engine": "fake"},
        shard=shard,
    )


def test_what_is_read_back_is_what_was_found(tmp_path: Path, problems: list[Problem]) -> None:
    labelled = [
        Problem(id=p.id, prompt=p.prompt, answer=p.answer, metadata={"level": i % 2})
        for i, p in enumerate(problems)
    ]
    result = run(tmp_path, labelled)
    found = load_run(tmp_path)["a/b"]
    assert found.result == result
    assert found.problems == {p.id: p for p in labelled}
    assert found.spec.params == PARAMS
    assert found.facts["engine"] == "fake"
    # levels 0 and 1: problems 0, 2, 4, 6, 8 and 1, 3, ...; min(i, 4) of 4 samples are right
    assert result.slices["level"]["0"].accuracy == (0 + 2 + 4 + 4 + 4) / 20
    assert result.slices["level"]["1"].accuracy == (1 + 3 + 4 + 4 + 4) / 20
    assert load_results(tmp_path)["a/b"].to_json() == result.to_json()


def test_shards_give_the_figures_of_one_process(tmp_path: Path, problems: list[Problem]) -> None:
    whole = run(tmp_path / "one", problems)
    engines = [FakeEngine(write) for _ in range(3)]
    for index, engine in enumerate(engines):
        assert not (tmp_path / "many" / "results.json").exists()
        last = run(tmp_path / "many", problems, engine, shard=Shard(index=index, count=3))
    assert [len(engine.asked) for engine in engines] == [16, 12, 12]
    assert last == whole == load_run(tmp_path / "many")["a/b"].result
    assert len(list((tmp_path / "many" / "samples").iterdir())) == 3


def _run_shard(folder: Path, problems: list[Problem], index: int) -> None:
    run(folder, problems, shard=Shard(index=index, count=2))


def test_shards_write_side_by_side(tmp_path: Path, problems: list[Problem]) -> None:
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=_run_shard, args=(tmp_path, problems, i)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert load_run(tmp_path)["a/b"].result == run(tmp_path / "one", problems)


def _run_task(folder: Path, problems: list[Problem], task: str, index: int) -> None:
    engine = FakeEngine(write)
    spec = replace(spec_of(problems, engine), task=task)
    shard = Shard(index=index, count=2)
    verification = Verification(verifier=Grader())
    evaluate_into(folder, spec, engine, verification, facts={}, shard=shard)


def test_two_tasks_side_by_side_both_stay(tmp_path: Path, problems: list[Problem]) -> None:
    spawn = multiprocessing.get_context("spawn")
    for _ in range(2):
        workers = [
            spawn.Process(target=_run_task, args=(tmp_path, problems, task, index))
            for index, task in enumerate(("s", "t"))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
        assert set(read_entries(tmp_path)) == {"s", "t"}


def test_folders_of_two_machines_are_merged_by_copying(
    tmp_path: Path, problems: list[Problem]
) -> None:
    for index in range(2):
        run(tmp_path / str(index), problems, shard=Shard(index=index, count=2))
    with pytest.raises(DataError, match="not finished"):
        load_run(tmp_path / "0")
    for log in ("samples", "scores"):
        for path in (tmp_path / "1" / log).iterdir():
            (tmp_path / "0" / log / path.name).write_bytes(path.read_bytes())
    engine = FakeEngine(write)
    merged = run(tmp_path / "0", problems, engine)
    assert not engine.asked
    assert merged == run(tmp_path / "one", problems)


def test_two_processes_on_the_same_part_are_refused(
    tmp_path: Path, problems: list[Problem]
) -> None:
    with only_process_in(tmp_path, share="1-of-2"):
        run(tmp_path, problems, shard=Shard(index=1, count=2))  # another part is welcome
        for shard in (Shard(index=0, count=2), None):
            with pytest.raises(ConfigError, match="another process is at work"):
                run(tmp_path, problems, shard=shard)


def test_figures_of_another_spec_are_taken_away_first(
    tmp_path: Path, problems: list[Problem]
) -> None:
    run(tmp_path, problems, num_samples=1)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, problems, FakeEngine(write, die_after=3))
    assert load_results(tmp_path) == {}
    with pytest.raises(DataError, match=r"not finished \(27 of 40 samples"):
        load_run(tmp_path)
    engine = FakeEngine(write)
    run(tmp_path, problems, engine)
    assert len(engine.asked) == 27
    with SampleStore(tmp_path) as store:
        assert len(store) == 40


def test_an_interrupted_rerun_keeps_its_own_figures(
    tmp_path: Path, problems: list[Problem]
) -> None:
    result = run(tmp_path, problems)
    run(tmp_path, problems, FakeEngine(write, die_after=0))
    assert load_run(tmp_path)["a/b"].result == result


def _as_format_1(manifest: dict[str, object]) -> dict[str, object]:
    return {"policy_fingerprint": "x", "seed": 0}


def _as_format_3(manifest: dict[str, object]) -> dict[str, object]:
    return {**manifest, "format": 3}


@pytest.mark.parametrize(("change", "found"), [(_as_format_1, "1"), (_as_format_3, "3")])
def test_a_folder_of_another_format_is_refused_and_kept(
    tmp_path: Path,
    problems: list[Problem],
    change: Callable[[dict[str, object]], dict[str, object]],
    found: str,
) -> None:
    run(tmp_path, problems)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.json*")}
    for work in (lambda: run(tmp_path, problems), lambda: load_run(tmp_path)):
        with pytest.raises(DataError, match=f"format {found}, this mathrl reads format 2"):
            work()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.json*")} == before


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        load_run(tmp_path)


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none_is_refused(index: int, count: int) -> None:
    with pytest.raises(ConfigError, match="a shard of"):
        Shard(index=index, count=count)


def test_more_shards_than_problems_leave_some_without_work(
    tmp_path: Path, problems: list[Problem]
) -> None:
    with pytest.raises(ConfigError, match="there are 10 problems"):
        run(tmp_path, problems, shard=Shard(index=10, count=11))
