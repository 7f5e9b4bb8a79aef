"""Worker processes that apply one function to a stream of chunks and give results in order.

Workers are fresh interpreters (``subprocess``), neither forked nor spawned by multiprocessing:
a fork of a process that has threads (torch, a tokenizer, asyncio) may hang on a lock that some
thread held, and multiprocessing imports ``__main__`` again (a script without a guard runs twice)
and refuses to work in daemonic processes. Each worker leads a session of its own, so Ctrl-C does
not reach it and closing ends it with everything that it started.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from mathrl.errors import GradingError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE_S = 0.2
"""Work done in the caller before workers start: what starting one costs (0.2 s of processor time
for its imports). Whatever comes, this is at most twice as slow as having known how much comes."""

DEPTH = 2
"""Chunks a worker holds: one at work, one to go on with."""

WINDOW = 8
"""Chunks a worker that may be done ahead of the oldest one: a slow chunk holds nobody up at once,
and memory stays bounded."""

MAX_ATTEMPTS = 2
"""A worker may die of something else than its chunk (out of memory, an administrator): once more
in a fresh one. Never in the caller: what kills a worker would kill a training run."""


def default_processes() -> int:
    """Cores of this process: shared between the ranks of a node, 1 inside a pool's worker."""
    if multiprocessing.current_process().daemon:
        return 1  # somebody has spread the work already
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "1")  # set by torchrun
    return max(1, _num_cores() // (int(ranks) if ranks.isdecimal() and int(ranks) else 1))


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int | None = None
) -> Generator[Result, None, None]:
    """Apply a function to each item, in order: in the caller first, in workers if it lasts.

    Args:
        function: Importable by its module and name, with its data (``functools.partial`` is).
        items: Drawn as they are needed, a few ahead.
        processes: Most workers; ``default_processes()`` by default, 1 for none.

    Raises:
        GradingError: Two workers died of the same item.
    """
    source = iter(items)
    limit = default_processes() if processes is None else processes
    deadline = time.perf_counter() + PATIENCE_S if limit > 1 else float("inf")
    while time.perf_counter() < deadline:
        for item in source:
            yield function(item)
            break
        else:
            return
    first = next(source, _END)
    if first is _END:
        return
    try:
        pool = WorkerPool(function, limit)
    except OSError as error:
        logger.warning("no worker process starts (%s): graded in one process", error)
        yield from map(function, _chain(first, source))
        return
    with pool:
        yield from pool.map(_chain(first, source))


class WorkerPool(Generic[Item, Result]):
    """Processes that apply ``function``; use it in a ``with`` block."""

    def __init__(self, function: Callable[[Item], Result], processes: int) -> None:
        """Start one worker; the others start when there is work for them.

        Args:
            function: Importable by its module and name, with its data.
            processes: Most workers.

        Raises:
            OSError: The system starts no process.
        """
        self._function = function
        self._max_workers = processes
        self._workers = [_Worker(function)]

    def __enter__(self) -> "WorkerPool[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The processes at work."""
        return [worker.process.pid for worker in self._workers]

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` of each item, in order.

        Args:
            items: Drawn as workers have room.

        Raises:
            GradingError: Two workers died of the same item.
        """
        source = iter(items)
        jobs: deque[_Job] = deque()
        is_drawn = False
        while jobs or not is_drawn:
            while not is_drawn and len(jobs) < WINDOW * self._max_workers:
                worker = self._with_room()
                if worker is None:
                    break
                item = next(source, _END)
                if item is _END:
                    is_drawn = True
                else:
                    jobs.append(_Job(item))
                    self._give(worker, jobs[-1])
            while jobs and jobs[0].is_done:
                yield jobs.popleft().result
            if jobs:
                self._collect()

    def close(self) -> None:
        """End every worker at once; they hold nothing that is worth saving."""
        while self._workers:
            self._workers.pop().kill()

    def _with_room(self) -> "_Worker | None":
        """An idle worker, else a new one, else the least busy one, else None."""
        worker = min(self._workers, key=lambda worker: len(worker.jobs))
        if worker.jobs and len(self._workers) < self._max_workers:
            try:
                self._workers.append(_Worker(self._function))
            except OSError as error:
                self._max_workers = len(self._workers)
                logger.warning("%d workers, no more start (%s)", self._max_workers, error)
            else:
                return self._workers[-1]
        return worker if len(worker.jobs) < DEPTH else None

    def _give(self, worker: "_Worker", job: "_Job") -> None:
        worker.jobs.append(job)
        with suppress(OSError):  # it has died: found and made good when its reply is read
            worker.connection.send(job.item)

    def _collect(self) -> None:
        """Wait for a reply and take all that are there."""
        busy = {worker.connection: worker for worker in self._workers if worker.jobs}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]  # only connections were given
            try:
                result = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            job = worker.jobs.popleft()
            job.result, job.is_done = result, True

    def _replace(self, worker: "_Worker") -> None:
        """Give the chunks of a dead worker to a fresh one."""
        worker.kill()
        self._workers.remove(worker)
        worker.jobs[0].attempts += 1
        ended = f"exit code {worker.process.returncode}"
        if worker.jobs[0].attempts >= MAX_ATTEMPTS:
            raise GradingError(
                f"two worker processes died of {worker.jobs[0].item!r:.60} ({ended}); what they"
                " printed stands above"
            )
        logger.warning("a worker process died (%s): its work is done again", ended)
        self._workers.append(_Worker(self._function))
        for job in worker.jobs:
            self._give(self._workers[-1], job)


@dataclass(slots=True, eq=False)
class _Job:
    item: Any  # whatever the function takes; items and results are typed where they enter
    result: Any = None
    is_done: bool = False
    attempts: int = 0


class _Worker:
    """A process, the connection to it, and the jobs that it holds, oldest first."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not sys.executable:
            raise OSError("this interpreter does not know its own path")
        self.jobs: deque[_Job] = deque()
        self.connection, theirs = multiprocessing.Pipe()
        # The same search path as here: a checkout, a zip or a folder that a script has added.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            "from mathrl.rewards.pool import serve; serve()"
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        with suppress(OSError):
            self.connection.send(function)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # nobody of its session is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()


def serve() -> None:
    """Be a worker: take a function and then items from stdin, a socket, until it is closed."""
    connection: Connection[Any, Any] = Connection(sys.stdin.fileno())
    function = connection.recv()
    items: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, items), daemon=True).start()
    while True:
        result = function(items.get())
        with suppress(OSError):  # nobody is there: the other thread ends this process
            connection.send(result)


def _receive(connection: "Connection[Any, Any]", items: "SimpleQueue[Any]") -> None:
    """Take items as they come; end this process and its children once nobody is there."""
    while True:
        try:
            items.put(connection.recv())
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)


def _num_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


_END: Any = object()


def _chain(first: Item, rest: Iterable[Item]) -> Iterator[Item]:
    yield first
    yield from rest
