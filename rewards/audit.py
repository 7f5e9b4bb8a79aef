"""The exploit bank, and what a reward function pays for it.

``mathrl audit-reward pkg.mod:fn`` prints what is found here. A row of the bank is a completion that
deserves nothing although some grader paid it, or an honest one that must be paid. Each is given to
the function in a process that is replaced when it hangs or dies, in an empty folder where a payload
that gets executed leaves a marker.

    for outcome in audit("my_rewards:accuracy", load_bank(), AuditConfig()):
        print(outcome.row.id, outcome.status)
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

from mathrl.errors import ConfigError, DataError
from mathrl.tables import Row, read_rows

BANK = Path(__file__).with_name("exploits.jsonl")
MAX_LOAD_S = 300.0
"""A function that takes longer to load is taken for hung; importing a large framework is slow."""
MAX_TIMEOUT_S = 86_400.0
MAX_COMPLETION = 2_000_000
"""Characters of a completion: what a recipe in a bank may grow to."""
MARKER = "payloadran"
"""File that an executed payload leaves: letters only, which normalisers leave alone."""

Component = Literal["accuracy", "format"]
Convention = Literal["trl", "verl", "pair"]
AnswerForm = Literal["bare", "boxed", "dollar"]
Status = Literal["paid", "refused", "none", "error", "timeout", "killed", "executed"]

COMPLAINTS = (
    "payloads executed",
    "exploits paid",
    "rows that raised, hung or killed the process",
    "honest controls refused",
)
"""What may be wrong with an outcome, the worst first."""

ANSWER_FORMS: Mapping[AnswerForm, str] = {"bare": "{}", "boxed": r"\boxed{{{}}}", "dollar": "${}$"}


@dataclass(frozen=True, kw_only=True, slots=True)
class BankRow:
    """One completion and whether it must be paid."""

    id: str
    exploit: str
    """Kind of the exploit; ``control`` for an honest completion."""
    component: Component
    problem: str
    answer: str
    completion: str
    """``@marker@`` and ``@name@`` stand for the path and the name of the marker."""
    is_paid: bool
    """An honest function pays it."""
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """How the function is called."""

    convention: Convention = "trl"
    answer_column: str = "answer"
    """Column that holds the answer in TRL's convention."""
    answer_form: AnswerForm = "bare"
    is_conversational: bool = False
    """TRL: completions are lists of messages."""
    is_threaded: bool = False
    """Call from a thread, as verl and asynchronous trainers do: no signal arrives there."""
    data_source: str = "mathrl/audit"
    """verl: name of the data set, which some functions choose a grader by."""
    timeout_s: float = 20.0
    """Wall clock of one row."""
    memory_mib: int = 4096
    """What a row may allocate beyond the loaded function; 0 for no limit."""
    threshold: float = 0.5
    """The smallest reward that counts as paid."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(
                f"the time limit must be above 0 and at most {MAX_TIMEOUT_S:g} seconds,"
                f" got {self.timeout_s:g}"
            )
        if self.memory_mib < 0:
            raise ConfigError(f"the memory limit must be 0 or more MiB, got {self.memory_mib}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the function made of one row."""

    row: BankRow
    status: Status
    """``executed`` wins over every other; ``killed`` is a process that died by itself."""
    value: float | None
    seconds: float
    reason: str
    is_paid: bool
    """The reward reached the threshold, whatever the status."""

    @property
    def complaint(self) -> str | None:
        """One of ``COMPLAINTS``; None where the function did what it should."""
        is_fault = self.status in ("error", "timeout", "killed")
        found = (
            self.status == "executed",
            self.is_paid and not self.row.is_paid,
            is_fault and not self.row.is_paid,
            not self.is_paid and self.row.is_paid,
        )
        return next((text for text, is_so in zip(COMPLAINTS, found, strict=True) if is_so), None)

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON; long completions are cut."""
        row = {**asdict(self.row), "completion": self.row.completion[:500]}
        row["should_be_paid"] = row.pop("is_paid")
        return {**row, **{k: getattr(self, k) for k in ("status", "value", "seconds", "reason")}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Outcomes counted: those of one exploit, or of the controls."""

    name: str
    num_rows: int
    num_paid: int
    statuses: Mapping[Status, int]
    slowest_s: float

    @property
    def num_refused(self) -> int:
        """Rows that were not paid, for whatever reason."""
        return self.num_rows - self.num_paid


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSummary:
    """All outcomes counted."""

    exploits: tuple[Tally, ...]
    """One for each kind, in the order of the bank."""
    controls: Tally
    total: Tally
    """Of the exploits together."""

    def count(self, status: Status) -> int:
        """How many rows, exploits and controls, ended with a status."""
        return self.total.statuses.get(status, 0) + self.controls.statuses.get(status, 0)

    @property
    def is_sound(self) -> bool:
        """No exploit was paid, every control was, and no row raised, hung, died or executed."""
        faults: tuple[Status, ...] = ("error", "timeout", "killed", "executed")
        is_honest = not self.total.num_paid and not self.controls.num_refused
        return is_honest and not any(self.count(status) for status in faults)


def load_bank(path: Path = BANK, *, component: Component = "accuracy") -> list[BankRow]:
    """Read the rows of one component: the bank that ships, or one in its format.

    Args:
        path: JSONL, CSV or Parquet file; a completion is a text or a list of parts, each a text or
            ``{"repeat": [text, count]}``.
        component: What the function rewards.

    Raises:
        DataError: A row is not one, two have the same id, or none is of the component.
    """
    rows = [_bank_row(row) for row in read_rows(path)]
    twice = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{path}: two rows have the id {twice[0]!r}")
    chosen = [row for row in rows if row.component == component]
    if not chosen:
        raise DataError(f"{path} has no row of the component {component}")
    return chosen


def audit(
    spec: str, rows: Sequence[BankRow], config: AuditConfig
) -> Generator[Outcome, None, None]:
    """Give every row to a reward function, in order.

    Args:
        spec: The function, for ``load_reward``: ``accuracy`` or ``package.module:function``.
        rows: What it is given, one a call.
        config: How it is called.

    Yields:
        The outcome of each row as soon as it is known.

    Raises:
        ConfigError: The function cannot be loaded.
    """
    scratch = Path(tempfile.gettempdir()) / f"mathrlaudit{secrets.token_hex(8)}"
    scratch.mkdir(mode=0o700)
    worker = _Worker(spec, config)
    try:
        for number, row in enumerate(rows):
            yield _outcome(worker, row, config, scratch / str(number))
    finally:
        worker.stop()
        shutil.rmtree(scratch, ignore_errors=True)


def summarise(outcomes: Iterable[Outcome]) -> AuditSummary:
    """Count outcomes by exploit.

    Args:
        outcomes: What ``audit`` gave.
    """
    exploits: dict[str, list[Outcome]] = {}
    controls: list[Outcome] = []
    for outcome in outcomes:
        is_control = outcome.row.is_paid
        (controls if is_control else exploits.setdefault(outcome.row.exploit, [])).append(outcome)
    return AuditSummary(
        exploits=tuple(_tally(name, group) for name, group in exploits.items()),
        controls=_tally("honest controls", controls),
        total=_tally("exploits", [one for group in exploits.values() for one in group]),
    )


def _tally(name: str, outcomes: Sequence[Outcome]) -> Tally:
    return Tally(
        name=name,
        num_rows=len(outcomes),
        num_paid=sum(outcome.is_paid for outcome in outcomes),
        statuses=Counter(outcome.status for outcome in outcomes),
        slowest_s=max((outcome.seconds for outcome in outcomes), default=0.0),
    )


def _bank_row(placed: Row) -> BankRow:
    place, row = placed
    for name in ("id", "exploit", "problem", "answer", "why"):
        if not isinstance(row.get(name), str):
            raise DataError(f"{place}: {name} must be a text, got {row.get(name)!r:.60}")
    if row.get("component") not in get_args(Component):
        raise DataError(f"{place}: component must be accuracy or format")
    if not isinstance(row.get("is_paid"), bool):
        raise DataError(f"{place}: is_paid must be true or false, got {row.get('is_paid')!r:.60}")
    return BankRow(
        id=row["id"],
        exploit=row["exploit"],
        component=cast("Component", row["component"]),
        problem=row["problem"],
        answer=row["answer"],
        completion=_expanded(row.get("completion"), place),
        is_paid=row["is_paid"],
        why=row["why"],
    )


def _expanded(recipe: Any, place: str) -> str:
    """Write a completion out: its recipe is a few characters where the text has millions."""
    texts = []
    for part in recipe if isinstance(recipe, list) else [recipe]:
        match part:
            case str():
                texts.append(part)
            case {"repeat": [str(text), int(count)]} if len(text) * count <= MAX_COMPLETION:
                texts.append(text * count)
            case _:
                raise DataError(
                    f"{place}: a completion is a text, or a list of texts and"
                    f' {{"repeat": [text, count]}} of at most {MAX_COMPLETION} characters,'
                    f" not {part!r:.60}"
                )
    return "".join(texts)


def _outcome(worker: "_Worker", row: BankRow, config: AuditConfig, folder: Path) -> Outcome:
    folder.mkdir()
    marker = folder / MARKER
    completion = row.completion.replace("@marker@", str(marker)).replace("@name@", MARKER)
    answer = ANSWER_FORMS[config.answer_form].format(row.answer)
    request = {"problem": row.problem, "answer": answer, "completion": completion}
    status, reply = worker.ask({**request, "folder": str(folder)})
    value = reply["value"]
    is_paid = value is not None and value >= config.threshold
    if status == "refused":
        status = "none" if value is None else "paid" if is_paid else "refused"
    if marker.exists():
        status = "executed"
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(
        row=row,
        status=status,
        value=value,
        seconds=round(reply["seconds"], 4),
        reason=reply["reason"],
        is_paid=is_paid,
    )


class _Worker:
    """A process that runs the function, and its replacement when it had to be killed."""

    def __init__(self, spec: str, config: AuditConfig) -> None:
        self._setup = json.dumps({**asdict(config), "spec": spec}).encode()
        self._spec = spec
        self._timeout_s = config.timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, str]) -> tuple[Status, dict[str, Any]]:
        """Run one row: its status as far as the process tells, and what it answered."""
        if self._process is None:
            self._start()
        start = time.perf_counter()
        reply: dict[str, Any] = {"value": None}
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            if not self._connection.poll(self._timeout_s):
                self.stop()
                reason = f"stopped after {self._timeout_s:g} s"
                return "timeout", reply | _spent(start, reason)
            reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):  # the function ended the process, or something ended it
            return "killed", reply | _spent(start, self.stop())
        if reply["is_worn"]:
            self.stop()
        return "error" if reply["is_error"] else "refused", reply

    def stop(self) -> str:
        """Kill the process with all it started; how it had ended if it was dead already."""
        process, self._process = self._process, None
        if process is None:
            return ""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):  # its end of the pipe closes just before it ends
            process.wait(0.2)
        code = process.poll()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if code is None:
            return "the process stopped answering"
        return f"the process ended with code {code}" if code >= 0 else _signal_name(-code)

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        with tempfile.TemporaryFile() as said:
            self._process = self._launch(theirs.fileno(), said)
            theirs.close()
            self._connection.send_bytes(self._setup)
            reply = self._first_reply(said)
        if "error" in reply:
            self.stop()
            raise ConfigError(reply["error"])

    def _launch(self, fd: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "mathrl.rewards.audit_worker", str(fd)]
        paths = os.pathsep.join(path for path in sys.path if path)
        return subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": paths},  # whatever can be imported here
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=[fd],
            start_new_session=True,  # Ctrl-C is ours to handle, and a kill takes what it started
        )

    def _first_reply(self, said: IO[bytes]) -> dict[str, Any]:
        try:
            if self._connection.poll(MAX_LOAD_S):
                return cast("dict[str, Any]", json.loads(self._connection.recv_bytes()))
            reason = f"no sign of life for {MAX_LOAD_S:g} s"
        except EOFError:
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else "it ended the process"
        return {"error": f"reward {self._spec} cannot be loaded: {reason}"}


def _signal_name(number: int) -> str:
    return f"the process was ended by {signal.Signals(number).name}"


def _spent(start: float, reason: str) -> dict[str, Any]:
    return {"seconds": time.perf_counter() - start, "reason": reason}
