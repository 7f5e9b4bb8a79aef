"""Every limit of the worker process is hit here, from every kind of caller."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import GradingError
from mathrl.rewards import isolate
from mathrl.rewards.isolate import call

LIMIT_S = 0.2
ENOUGH_S = 10.0
"""For calls that must succeed, on a machine that may be busy."""


def hit_every_limit() -> list[str]:
    """Run into each limit and call again after each; safe to send to any process."""
    found = []
    for function, argument in (("time:sleep", 30), ("builtins:bytearray", 1 << 33)):
        try:
            call(function, argument, timeout_s=LIMIT_S)
        except (TimeoutError, MemoryError) as error:
            found.append(type(error).__name__)
        found.append(str(call("operator:add", 1, 2, timeout_s=ENOUGH_S)))
    return found


EXPECTED = ["TimeoutError", "3", "MemoryError", "3"]


def wait_until(is_true: Callable[[], bool]) -> bool:
    """Wait some seconds for something that happens in another process."""
    deadline = time.monotonic() + ENOUGH_S
    while not (found := is_true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def descendants(pid: int) -> list[int]:
    """List the living processes under one, zombies too."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return found[1:]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs: a zombie that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def fresh_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pool with no worker yet, for tests of how one starts."""
    pool = isolate._Pool()
    monkeypatch.setattr(isolate, "_pool", pool)
    yield
    pool.close()


def test_values_come_back_as_plain_data() -> None:
    assert call("math:factorial", 5, timeout_s=ENOUGH_S) == 120
    assert call("operator:truth", [], timeout_s=ENOUGH_S) is False
    assert call("builtins:divmod", 7, 2, timeout_s=ENOUGH_S) == [3, 1]  # a tuple is a list in JSON
    assert call("builtins:print", "not a reply", timeout_s=ENOUGH_S) is None
    text = "π\n" * 100_000  # longer than any pipe holds, there and back
    assert call("builtins:str", text, timeout_s=ENOUGH_S) == text


def test_limits_hold_in_the_main_thread() -> None:
    assert hit_every_limit() == EXPECTED


def test_a_time_limit_is_kept() -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"time:sleep took more than 0\.2 s"):
        call("time:sleep", 30, timeout_s=LIMIT_S)
    assert LIMIT_S <= time.monotonic() - start < LIMIT_S + 1.0


def test_c_code_that_holds_the_interpreter_is_killed() -> None:
    with pytest.raises(TimeoutError):  # one operation: no thread or signal handler gets a turn
        call("operator:pow", 3, 10**9, timeout_s=LIMIT_S)
    assert call("operator:pow", 3, 2, timeout_s=ENOUGH_S) == 9


def test_slow_allocation_ends_at_the_memory_limit() -> None:
    with pytest.raises(MemoryError, match="1024 MiB"):
        call("operator:mul", [0], 1 << 28, timeout_s=ENOUGH_S)  # 8 bytes each: 2 GiB


def test_limits_hold_in_eight_threads_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(hit_every_limit) for _ in range(8)]
        assert [future.result() for future in futures] == [EXPECTED] * 8
    assert len(isolate._pool._workers) <= (os.cpu_count() or 1)


def test_replies_reach_the_thread_that_asked() -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = list(range(400))
        calls = threads.map(lambda n: call("operator:neg", n, timeout_s=ENOUGH_S), numbers)
        assert list(calls) == [-n for n in numbers]


def test_limits_hold_under_asyncio() -> None:
    async def both() -> list[list[str]]:
        return [hit_every_limit(), await asyncio.to_thread(hit_every_limit)]

    assert asyncio.run(both()) == [EXPECTED] * 2


@pytest.mark.parametrize(("method", "children"), [("spawn", 1), ("fork", 2)])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_limits_hold_in_pool_children(method: str, children: int) -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)  # a worker that children could share by mistake
    # its processes are daemonic: they may not have children of multiprocessing's own
    with multiprocessing.get_context(method).Pool(children) as pool:
        results = [pool.apply_async(hit_every_limit) for _ in range(children)]
        assert hit_every_limit() == EXPECTED
        assert [result.get(60) for result in results] == [EXPECTED] * children


def test_a_fork_leaves_its_parents_worker_alone() -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    worker = isolate._pool._workers[0]
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not isolate._pool._workers and worker._process.stdin.closed else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3
    assert worker in isolate._pool._workers


def test_a_function_that_raises_is_reported() -> None:
    with pytest.raises(GradingError, match="operator:truediv raised ZeroDivisionError: division"):
        call("operator:truediv", 1, 0, timeout_s=ENOUGH_S)
    with pytest.raises(GradingError, match="ModuleNotFoundError"):
        call("no_such_module:f", timeout_s=ENOUGH_S)
    with pytest.raises(GradingError, match="not JSON serializable"):
        call("builtins:object", timeout_s=ENOUGH_S)
    with pytest.raises(GradingError, match="more than 1048576 bytes"):
        call("operator:mul", "a", 2 << 20, timeout_s=ENOUGH_S)


def test_a_worker_that_dies_twice_is_reported() -> None:
    with pytest.raises(GradingError, match=r"no worker for os:_exit: twice.*exit code 3"):
        call("os:_exit", 3, timeout_s=ENOUGH_S)
    with pytest.raises(MemoryError, match="stack"):  # so C code ends that gets no memory
        call("os:abort", timeout_s=ENOUGH_S)
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3


@pytest.mark.usefixtures("fresh_pool")
def test_a_worker_killed_by_somebody_else_is_replaced() -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    keeper = isolate._pool._workers[0]._process.pid
    os.kill(descendants(keeper)[0], signal.SIGKILL)
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3
    [fork] = descendants(keeper)
    os.kill(keeper, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(keeper))
    with pytest.raises(TimeoutError):  # its fork still answers, and nobody can end it alone
        call("time:sleep", 30, timeout_s=LIMIT_S)
    assert wait_until(lambda: not is_alive(fork))
    assert call("operator:add", 3, 4, timeout_s=ENOUGH_S) == 7


@pytest.mark.usefixtures("fresh_pool")
def test_half_a_request_does_not_confuse_the_next_fork() -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    [fork] = descendants(isolate._pool._workers[0]._process.pid)
    os.kill(fork, signal.SIGSTOP)  # so that the pipe is full when it dies
    threading.Timer(0.2, os.kill, (fork, signal.SIGKILL)).start()
    assert call("builtins:len", "9" * 2_000_000, timeout_s=ENOUGH_S) == 2_000_000
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3


@pytest.mark.usefixtures("fresh_pool")
def test_no_zombie_is_left() -> None:
    with suppress(TimeoutError):
        call("time:sleep", 30, timeout_s=LIMIT_S)
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    keeper = isolate._pool._workers[0]._process.pid
    assert len(descendants(keeper)) == 1  # the killed fork was waited for
    isolate._pool.close()
    assert not Path(f"/proc/{keeper}").exists()


@pytest.mark.usefixtures("fresh_pool")
def test_a_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "_BOOT", "raise SystemExit('no sympy here')")
    with pytest.raises(GradingError, match="it said 'no sympy here'"):
        call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(GradingError, match="cannot start"):
        call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    assert not isolate._pool._workers


@pytest.mark.usefixtures("fresh_pool")
def test_what_imports_print_is_not_taken_for_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = "import os; os.write(1, b'[1]\\n7\\nnoise')\n"
    monkeypatch.setattr(isolate, "_BOOT", noise + isolate._BOOT)
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3


def test_interrupting_a_call_does_not_mix_up_replies() -> None:
    call("operator:add", 1, 2, timeout_s=ENOUGH_S)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        call("time:sleep", 30, timeout_s=ENOUGH_S)
    assert call("operator:add", 1, 2, timeout_s=ENOUGH_S) == 3


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf")])
def test_a_limit_must_be_a_number_of_seconds(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        call("operator:add", 1, 2, timeout_s=timeout_s)


CALLER = """
import sys, time
from mathrl.rewards.isolate import call
call("operator:add", 1, 2, timeout_s=60)
print("ready", flush=True)
{then}
"""


def start_caller(then: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a process that has a worker, as ``python -c`` (no file to import again)."""
    command = [sys.executable, "-c", CALLER.format(then=then)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("function", ["'time:sleep', 99", "'operator:pow', 3, 10**9"])
def test_no_worker_outlives_a_killed_caller(function: str) -> None:
    with start_caller(f"call({function}, timeout_s=99)") as caller:
        workers = descendants(caller.pid)
        assert len(workers) == 2
        time.sleep(0.1)
        caller.kill()
    assert wait_until(lambda: not any(map(is_alive, workers)))


def test_ctrl_c_in_the_terminal_prints_one_traceback() -> None:
    then = "try: time.sleep(60)\nexcept KeyboardInterrupt: sys.exit('stopped')"
    with start_caller(then, process_group=0) as caller:
        workers = descendants(caller.pid)
        time.sleep(1)  # it said "ready" before it began to wait for the interrupt
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.communicate(timeout=60)[1] == "stopped\n"
    assert wait_until(lambda: not any(map(is_alive, workers)))


def test_importing_it_starts_and_loads_nothing() -> None:
    code = (
        "import sys, threading, mathrl.rewards.isolate, mathrl.rewards.cas\n"
        "heavy = {'sympy', 'subprocess', 'multiprocessing', 'asyncio', 'concurrent.futures'}\n"
        "print(sorted(heavy & set(sys.modules)), threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"
