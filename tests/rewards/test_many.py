"""grade_many gives what grade gives, in order, wherever it is called and however it is spread."""

import asyncio
import importlib
import json
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest

from mathrl.errors import GradingError
from mathrl.rewards import EVAL, REWARD, grade, pool
from mathrl.rewards.many import chunks, grade_many
from mathrl.rewards.pool import WorkerPool, default_processes, spread
from mathrl.schema import Completion, Score

COMPLETIONS = [
    "#### 18",
    "#### 7",
    "no answer",
    "\\boxed{x+1}",
    "é \ud800 #### 18",
    "so 18 it is",
] * 40
ANSWERS = ["18", "7", None, "x", "$$ 1", "18"] * 40
EXPECTED = [grade(c, a, EVAL) for c, a in zip(COMPLETIONS, ANSWERS, strict=True)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers without waiting for the work to last."""
    monkeypatch.setattr(pool, "PATIENCE_S", 0.0)


def children() -> set[int]:
    """Processes started by this one, zombies included."""
    task = Path(f"/proc/{os.getpid()}/task")
    return {int(pid) for file in task.glob("*/children") for pid in file.read_text().split()}


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_scores_are_those_of_grade_in_order(at_once: None, processes: int) -> None:
    before = children()
    assert grade_many(COMPLETIONS, ANSWERS, processes=processes) == EXPECTED
    assert {score.status for score in EXPECTED} >= {"correct", "gold_unparseable"}
    assert children() == before  # no worker is left


def test_one_answer_serves_all(at_once: None) -> None:
    expected = [grade(text, "18", REWARD) for text in COMPLETIONS]
    assert grade_many(COMPLETIONS, "18", REWARD, processes=2) == expected
    assert {score.value for score in grade_many(["1", "2"], None)} == {None}


def test_completions_of_an_engine_are_taken(at_once: None) -> None:
    given = [Completion(text=text, token_ids=(1, 2)) for text in COMPLETIONS]
    assert grade_many(given, ANSWERS, processes=2) == EXPECTED


def test_nothing_is_nothing() -> None:
    assert grade_many([], []) == grade_many([], "18") == []


def test_a_small_batch_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WorkerPool", None)
    assert grade_many(COMPLETIONS, ANSWERS, processes=8) == EXPECTED


@pytest.mark.parametrize(
    ("completions", "answers", "message"),
    [(["a"], ["1", "2"], "1 completions and 2 answers"), ("18", "18", "takes a list")],
)
def test_a_mistake_of_the_caller_is_named(
    completions: list[str], answers: list[str], message: str
) -> None:
    with pytest.raises(GradingError, match=message):
        grade_many(completions, answers)


def test_rows_of_one_answer_stay_together() -> None:
    pairs = [("", answer) for answer in ["a"] * 7 + ["b"] * 3 + ["c"] * 300]
    sizes = [[answer for _, answer in chunk] for chunk in chunks(iter(pairs))]
    # Cut at 4 rows if the answer changes, at 8 if it does not: a stays whole. Then limits double.
    assert sizes[0] == ["a"] * 7
    assert sizes[1] == ["b"] * 3 + ["c"] * 13  # 16 = twice the limit of 8
    assert [*chain(*sizes)] == [answer for _, answer in pairs]
    assert max(map(len, sizes)) == 128


def test_long_completions_travel_in_small_chunks() -> None:
    pairs = [("x" * 400_000, str(n)) for n in range(6)]
    assert [len(chunk) for chunk in chunks(iter(pairs))] == [2, 2, 2]


def test_from_a_thread_and_from_asyncio(at_once: None) -> None:
    results: list[list[Score]] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(grade_many(COMPLETIONS, ANSWERS, processes=2))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def grading() -> list[Score]:
        return grade_many(COMPLETIONS, ANSWERS, processes=2)

    assert [*results, asyncio.run(grading())] == [EXPECTED] * 4


def _in_daemon(connection: "multiprocessing.connection.Connection[object, object]") -> None:
    pool.PATIENCE_S = 0.0
    statuses = [score.status for score in grade_many(COMPLETIONS, ANSWERS)]
    more = [score.status for score in grade_many(COMPLETIONS, ANSWERS, processes=2)]
    connection.send((default_processes(), statuses, more))


def test_inside_a_daemonic_worker() -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_in_daemon, args=(theirs,), daemon=True)
    worker.start()
    assert ours.poll(60)
    statuses = [score.status for score in EXPECTED]
    # Alone it does not multiply itself; asked to, it can, which multiprocessing would refuse.
    assert ours.recv() == (1, statuses, statuses)
    worker.join()


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('start')\n"
        "from mathrl.rewards import pool\n"
        "from mathrl.rewards.many import grade_many\n"
        "pool.PATIENCE_S = 0.0\n"
        "print(len(grade_many(['18'] * 200, '18', processes=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("start\n200\n", "")


def test_workers_find_modules_where_the_caller_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def double(n): return 2 * n\n")
    monkeypatch.syspath_prepend(tmp_path)
    double = importlib.import_module("mine_alone").double
    with WorkerPool(double, 1) as workers:
        assert list(workers.map([1, 2])) == [2, 4]


def test_the_cores_are_shared_between_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_num_cores", lambda: 16)
    assert default_processes() == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert default_processes() == 2


def test_slow_chunks_do_not_change_the_order(at_once: None) -> None:
    naps = [0.4, 0.0, 0.1, 0.0, 0.0, 0.2]
    commands = [f"sleep {nap}; echo {n}" for n, nap in enumerate(naps)]
    assert list(spread(subprocess.getoutput, commands, 3)) == list("012345")


def test_a_worker_that_is_killed_costs_no_row() -> None:
    with WorkerPool(time.sleep, 2) as workers:
        results = workers.map([0.5] * 6)
        threading.Timer(0.7, lambda: os.kill(workers.pids[0], signal.SIGKILL)).start()
        assert list(results) == [None] * 6


def test_what_kills_every_worker_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        WorkerPool(os._exit, 2) as workers,
        pytest.raises(GradingError, match=r"two worker processes died of 7 \(exit code 7\)"),
    ):
        list(workers.map([7]))
    with (
        WorkerPool(operator.neg, 1) as workers,
        pytest.raises(GradingError, match="died of 'text'"),
    ):
        list(workers.map([1, 2, "text"]))
    assert "TypeError" in capfd.readouterr().err


def test_without_processes_the_caller_grades(
    at_once: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert grade_many(COMPLETIONS, ANSWERS, processes=2) == EXPECTED
    assert "no worker process starts" in caplog.text


def test_results_larger_than_a_pipe_do_not_stand_still() -> None:
    items = ["x" * 3_000_000 for _ in range(8)]
    with WorkerPool(str.upper, 2) as workers:
        assert [len(result) for result in workers.map(items)] == [3_000_000] * 8


SLEEPER = """
import os, sys, time
from mathrl.rewards.pool import WorkerPool
with WorkerPool(time.sleep, 2) as workers:
    results = workers.map([0.0, 0.0] + [600.0] * 4)
    next(results)
    next(results)
    print(json.dumps(workers.pids), flush=True)
    next(results)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_kill_leave_no_process(number: signal.Signals) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", "import json" + SLEEPER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert caller.stdout is not None
    with caller.stdout:
        pids = json.loads(caller.stdout.readline())
    assert len(pids) == 2
    started = time.monotonic()
    caller.send_signal(number)
    caller.wait()
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() - started < 10
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False
