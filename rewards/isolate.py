"""Call a function in another process that can be killed: limits on time and memory that hold.

A signal handler works in the main thread alone, a thread cannot be stopped, and a library's C code
hears neither; a process can be killed whatever it does, from any thread. So a worker is a Python
process of its own (never a fork of the caller, which may hold CUDA or locks) with two parts: a
keeper, which has imported everything and waits, and its fork, which serves calls. The fork is
killed past its time and the keeper forks the next one in milliseconds. Both end when the caller's
process does, however it dies. Nothing listens on a socket, and no reply is ever unpickled.

    >>> call("math:factorial", 5, timeout_s=1.0)
    120
"""

import atexit
import importlib
import json
import math
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, NoReturn

from mathrl.errors import GradingError

MEMORY_BYTES = 1 << 30
"""Address space of a call, above what the worker has after its imports."""
MAX_GROWTH_BYTES = 256 << 20
"""A fork whose caches have grown by this much makes room for a fresh one."""
MAX_REPLY_BYTES = 1 << 20
START_S = 60.0
"""A cold start imports sympy, perhaps from a slow network disk; it never counts as the call's."""
MAX_WAIT_S = 300.0
"""How long a thread queues for a free worker before the machine is called too busy."""

_PREPARE = "mathrl.rewards.cas:prepare"
"""Called once in every keeper, so that no call pays for imports and cold caches."""
_BOOT = (
    "import sys; requests, *sys.path = sys.argv[1:];"
    "from mathrl.rewards.isolate import keep; keep(int(requests))"
)
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # sympy iterates over sets: one verdict for one pair, always
    # gmpy2 and flint abort the process where Python's own integers raise MemoryError
    "SYMPY_GROUND_TYPES": "python",
    "MPMATH_NOGMPY": "1",
}
_OUT_OF_MEMORY = frozenset({-6, -7, -11})
"""SIGABRT, SIGBUS, SIGSEGV: how C code ends that gets no memory or no stack."""


def call(function: str, *arguments: Any, timeout_s: float) -> Any:
    """Call a function in a worker process, from any thread or process; it blocks the caller.

    Args:
        function: Where it is, as ``package.module:name``.
        arguments: What it takes; anything that pickles.
        timeout_s: Wall time of the call, seconds, from a worker that is ready.

    Returns:
        What the function returned: None, a boolean, a number, a string, or lists and dicts of them.

    Raises:
        TimeoutError: If the call took longer; it was killed.
        MemoryError: If the call needed more than ``MEMORY_BYTES``, or more stack than there is.
        GradingError: If the function raised, no worker starts, or two died of something else.
    """
    import pickle

    if not 0 < timeout_s < 1e6:
        raise ValueError(f"timeout_s must be a number of seconds, got {timeout_s}")
    request = pickle.dumps((function, arguments))
    try:
        message = _ask_twice(request, timeout_s)
    except TimeoutError:
        raise TimeoutError(f"{function} took more than {timeout_s:g} s") from None
    except _WorkerDied as death:
        raise death.as_error(function) from None
    if "memory" in message:
        raise MemoryError(f"{function} needed more than {MEMORY_BYTES >> 20} MiB")
    if "fault" in message:
        raise GradingError(f"{function} raised {message['fault']}")
    return message["value"]


def _ask_twice(request: bytes, timeout_s: float) -> dict[str, Any]:
    """Ask another worker where one died: somebody else may have killed it."""
    with suppress(_WorkerDied), _pool.worker() as worker:
        return worker.ask(request, timeout_s)
    with _pool.worker() as worker:
        return worker.ask(request, timeout_s)


class _WorkerDied(Exception):
    """A worker ended without an answer; what is known of its end."""

    def __init__(self, reason: str, exit_code: int | None = None) -> None:
        super().__init__(reason)
        self.exit_code = exit_code

    def as_error(self, function: str) -> MemoryError | GradingError:
        """Say it in the caller's terms."""
        if self.exit_code in _OUT_OF_MEMORY:
            return MemoryError(f"{function} ran out of memory or stack: {self}")
        return GradingError(f"no worker for {function}: twice, {self}")


class _Worker:
    """A keeper and its fork, seen from the caller's process; one thread at a time uses it."""

    def __init__(self) -> None:
        """Start it; imports go on while the caller does something else."""
        import subprocess

        reader, self._requests = os.pipe()
        os.set_blocking(self._requests, False)  # a hung worker must not hang who writes to it
        python = sys.executable or "python3"
        command = [python, "-P", "-c", _BOOT, str(reader), *map(str, sys.path)]
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # why a start failed is read where replies are
                env=os.environ | _ENVIRONMENT,
                pass_fds=(reader,),
                start_new_session=True,  # Ctrl-C in the terminal is for the caller alone
            )
        except OSError:
            os.close(self._requests)
            raise
        finally:
            os.close(reader)
        self.is_ready = False
        self.is_broken = False
        self._generation = 0  # the fork that serves, or the first one that may serve next
        self._received = b""
        self._noise = b""

    def ask(self, request: bytes, timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its reply; past its time, kill the fork."""
        self._wait_until_ready()
        deadline = time.monotonic() + timeout_s
        is_answered = False
        try:
            self._send(request, deadline)
            message = self._receive(deadline)
            is_answered = True
        finally:  # also after Ctrl-C: a late reply must not answer the next request
            if not is_answered:
                self._kill_fork()
        if "ready" in message:  # another fork speaks: ours is gone
            self._generation = message["ready"]
            self._kill_fork()  # it may have read the end of our request as the start of one
            raise _WorkerDied(f"it ended with exit code {message['died']}", message["died"])
        if message["is_last"]:
            self._expect_next()
        return message

    def close(self) -> None:
        """End the keeper and its fork, and forget them."""
        import signal
        import subprocess

        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: not worth a hang
            self._process.wait(5.0)
        self._close_pipes()

    def abandon(self) -> None:
        """Let go of a worker that belongs to the process this one was forked from."""
        self._process.returncode = 0  # not ours to wait for
        self._close_pipes()

    def _close_pipes(self) -> None:
        os.close(self._requests)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait_until_ready(self) -> None:
        """Wait for the first word of a fork that was not killed."""
        deadline = time.monotonic() + START_S
        while not self.is_ready:
            try:
                message = self._receive(deadline)
            except TimeoutError:
                self.is_broken = True
                raise _WorkerDied(f"it did not start in {START_S:g} s{self._said()}") from None
            if message.get("ready", -1) >= self._generation:
                self._generation = message["ready"]
                self.is_ready = True

    def _expect_next(self) -> None:
        self.is_ready = False
        self._generation += 1

    def _kill_fork(self) -> None:
        """Have the keeper kill its fork: only a parent knows that the id is still that process."""
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), bytes([self._generation % 256]))
        except BrokenPipeError:
            self.is_broken = True
        self._expect_next()

    def _send(self, request: bytes, deadline: float) -> None:
        rest = memoryview(len(request).to_bytes(8) + request)
        while rest:
            _wait_for(self._requests, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._requests, rest) :]
            except BlockingIOError:  # less room than one atomic write needs
                time.sleep(0.001)
            except BrokenPipeError:
                self._break()

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Read the next message, past whatever imports printed and what a killed fork left."""
        assert self._process.stdout is not None
        replies = self._process.stdout.fileno()
        while True:
            line, newline, rest = self._received.partition(b"\n")
            if newline:
                self._received = rest
                if message := _read_message(line):
                    return message
                self._noise = (self._noise + line + newline)[-1000:]
                continue
            _wait_for(replies, select.POLLIN, deadline)
            chunk = os.read(replies, 1 << 16)
            self._received += chunk
            if not chunk or len(self._received) > 2 * MAX_REPLY_BYTES:
                self._break()

    def _break(self) -> NoReturn:
        self.is_broken = True
        raise _WorkerDied(f"the process is gone{self._said()}")

    def _said(self) -> str:
        lines = (self._noise + self._received[-1000:]).decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()]
        return f"; it said {said[-1]!r}" if said else ""


def _read_message(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _wait_for(descriptor: int, event: int, deadline: float) -> None:
    """Block until a pipe can be read or written; ``select`` would refuse descriptors over 1023."""
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0, math.ceil((deadline - time.monotonic()) * 1000))):
        raise TimeoutError


class _Pool:
    """The workers of this process, started when they are first needed."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []  # ready ones last, where they are taken from
        self._is_closed = False

    @contextmanager
    def worker(self) -> Iterator[_Worker]:
        """Lend a worker to one thread."""
        worker = self._take()
        try:
            yield worker
        finally:
            self._give_back(worker)

    def _take(self) -> _Worker:
        deadline = time.monotonic() + MAX_WAIT_S
        with self.changed:
            while not self._idle:
                if self._is_closed:
                    raise GradingError("the interpreter is ending: no worker starts any more")
                if len(self._workers) < (os.cpu_count() or 1):
                    return self._start()
                if not self.changed.wait(deadline - time.monotonic()):
                    raise GradingError(f"no worker free for {MAX_WAIT_S:g} s: use fewer threads")
            return self._idle.pop()

    def _start(self) -> _Worker:
        try:
            worker = _Worker()
        except OSError as error:
            raise GradingError(f"a worker process cannot start: {error}") from error
        self._workers.append(worker)
        return worker

    def _give_back(self, worker: _Worker) -> None:
        with self.changed:
            if self._is_closed:
                return
            if worker.is_broken:
                self._workers.remove(worker)
            else:
                self._idle.insert(len(self._idle) if worker.is_ready else 0, worker)
            self.changed.notify()
        if worker.is_broken:
            worker.close()

    def close(self) -> None:
        """End every worker, also those at work."""
        with self.changed:
            self._is_closed = True
            while self._workers:
                self._workers.pop().close()
            self._idle.clear()
            self.changed.notify_all()

    def abandon(self) -> None:
        """Let go of all workers, in a fork of the process that they belong to."""
        for worker in self._workers:
            worker.abandon()


_pool = _Pool()


def _after_fork() -> None:
    """Give a forked child workers of its own; on its parent's pipes both would read replies."""
    global _pool
    _pool.abandon()
    _pool = _Pool()


atexit.register(lambda: _pool.close())
if hasattr(os, "register_at_fork"):
    # no fork while another thread starts a worker: the child would keep its pipes open unknowingly
    os.register_at_fork(
        before=lambda: _pool.changed.acquire(),
        after_in_parent=lambda: _pool.changed.release(),
        after_in_child=_after_fork,
    )


# ---- the rest runs in the worker ----


def keep(requests: int) -> NoReturn:
    """Be the keeper: import, then fork a server whenever there is none, until the caller ends.

    Its standard input says what to kill: each byte is the generation of a fork.

    Args:
        requests: Descriptor of the pipe that the forks read requests from.
    """
    import gc
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an ignored one is inherited, and breaks waitpid
    _find(_PREPARE)()
    gc.freeze()  # a fork then shares these pages instead of copying them when it collects
    _set_limits()
    control, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    generation, exit_code = 0, None
    while True:
        alive, held_by_fork = os.pipe()
        fork = os.fork()
        if fork == 0:
            os.close(control)
            os.close(alive)
            _serve(requests, replies, {"ready": generation, "died": exit_code})
        os.close(held_by_fork)
        is_over = _watch(control, alive, generation)
        os.kill(fork, signal.SIGKILL)  # no harm where it is dead: it waits to be waited for
        exit_code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        os.close(alive)
        if is_over:
            os._exit(0)
        generation += 1


def _watch(control: int, alive: int, generation: int) -> bool:
    """Wait until the fork has died or must die; True where the caller's process has ended."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(alive, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if control in ready:
            orders = os.read(control, 1)
            if not orders or orders[0] == generation % 256:
                return not orders
        elif alive in ready:
            return False


def _serve(requests: int, replies: int, greeting: dict[str, Any]) -> NoReturn:
    """Be the fork: answer requests until there are no more."""
    try:
        _drain(requests)
        _write(replies, greeting)
        baseline = _address_space()
        is_last = False
        while not is_last and (request := _read_request(requests)):
            message = _answer(request)
            grown = _address_space() - baseline
            is_last = "memory" in message or grown > MAX_GROWTH_BYTES
            _write(replies, message | {"is_last": is_last})
    finally:
        os._exit(0)


def _answer(request: bytes) -> dict[str, Any]:
    import pickle

    try:
        function, arguments = pickle.loads(request)
        value = _find(function)(*arguments)
        if len(json.dumps(value)) > MAX_REPLY_BYTES:
            return {"fault": f"nothing, but returned more than {MAX_REPLY_BYTES} bytes"}
        return {"value": value}
    except MemoryError:
        return {"memory": True}
    except Exception as error:  # noqa: BLE001 - the border of the process: call() raises it there
        return {"fault": f"{type(error).__name__}: {error}"[:500]}


def _find(function: str) -> Any:  # whatever the module has there
    module, _, name = function.partition(":")
    return attrgetter(name)(importlib.import_module(module))


def _read_request(requests: int) -> bytes | None:
    header = _read_exactly(requests, 8)
    return _read_exactly(requests, int.from_bytes(header)) if header else None


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        chunk = os.read(descriptor, min(size - len(parts), 1 << 20))
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)


def _drain(requests: int) -> None:
    """Throw away what the fork before did not read of its last request."""
    os.set_blocking(requests, False)
    with suppress(BlockingIOError):
        while os.read(requests, 1 << 20):
            pass
    os.set_blocking(requests, True)


def _write(replies: int, message: dict[str, Any]) -> None:
    """Write a message as one line; a line end before it closes what a killed fork left open."""
    rest = memoryview(b"\n" + json.dumps(message).encode() + b"\n")
    while rest:
        rest = rest[os.write(replies, rest) :]


def _set_limits() -> None:
    """Limit what every fork inherits: memory, and no core dumps or files."""
    import resource  # not on Windows, where this module only has to be importable

    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    if baseline := _address_space():
        _lower(resource.RLIMIT_AS, baseline + MEMORY_BYTES)


def _lower(limit: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def _address_space() -> int:
    """Bytes of address space in use, or 0 where the system does not say (only Linux does)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0
