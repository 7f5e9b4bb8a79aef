"""The process in which ``audit`` runs somebody else's reward function, one row after another.

``python -m mathrl.rewards.audit_worker FD`` reads its setup and then rows from a connection, and
answers each row. It is meant to be killed: whatever the function does (hang, crash, exit, print,
fill the memory) happens here and not in the audit. This guards against faults, not against malice:
the function is code that the user chose to run.
"""

import asyncio
import faulthandler
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards.combination import Reward, WeightedReward, load_reward

ORPHAN_GRACE_S = 5.0
"""A worker ends itself this long after the row's limit: its audit was killed and cannot end it."""

MAX_REASON = 300
"""Characters of a reason that are kept: an error may quote the whole completion."""

Setup = Mapping[str, Any]
"""What ``audit`` sends first: its ``AuditConfig`` as JSON, with the function as ``spec``."""


def serve(connection: Connection) -> None:
    """Load the function, answer ``{}`` or ``{"error"}``, then answer rows until nobody asks.

    Args:
        connection: To the audit; JSON both ways.
    """
    setup = json.loads(connection.recv_bytes())
    try:
        reward = _load(setup)
    except ConfigError as error:
        connection.send_bytes(json.dumps({"error": str(error)}).encode())
        return
    connection.send_bytes(b"{}")
    _silence_stderr()  # until here its last line told why the function cannot be loaded
    _limit_memory(setup["memory_mib"])
    pool = ThreadPoolExecutor(1) if setup["is_threaded"] else None
    while True:
        try:
            row = json.loads(connection.recv_bytes())
        except EOFError:
            return
        os.chdir(row["folder"])
        faulthandler.dump_traceback_later(setup["timeout_s"] + ORPHAN_GRACE_S, exit=True)
        reply = pool.submit(_answer, reward, row).result() if pool else _answer(reward, row)
        faulthandler.cancel_dump_traceback_later()
        connection.send_bytes(json.dumps(reply).encode())
        if reply["is_worn"]:
            return


def _load(setup: Setup) -> WeightedReward:
    found = load_reward(setup["spec"])
    function = CONVENTIONS[setup["convention"]](found.function, setup)
    return WeightedReward(name=found.name, function=function)


def _as_trl(function: Reward, setup: Setup) -> Reward:
    """TRL: ``f(completions, **columns)``, called with every keyword that its GRPOTrainer gives."""
    is_chat, column = setup["is_conversational"], setup["answer_column"]

    def call(completions: Sequence[str], problem: str, answer: str) -> Any:
        turns = [[{"role": "assistant", "content": text}] for text in completions]
        columns = {
            "prompts": [[{"role": "user", "content": problem}]] if is_chat else [problem],
            "completions": turns if is_chat else list(completions),
            # no tokenizer here: one id a byte, for functions that look at the length
            "completion_ids": [list(text.encode("utf-8", "replace")) for text in completions],
            "trainer_state": None,
            "log_extra": lambda *_: None,
            "log_metric": lambda *_: None,
            column: [answer],
        }
        return _awaited(function(**columns))

    return call


def _as_verl(function: Reward, setup: Setup) -> Reward:
    """verl: ``compute_score(data_source, solution_str, ground_truth, extra_info)``, any of them."""
    parameters = inspect.signature(function).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())

    def call(completions: Sequence[str], problem: str, answer: str) -> Any:
        arguments = {
            "data_source": setup["data_source"],
            "solution_str": completions[0],
            "ground_truth": answer,
            "extra_info": {"question": problem},
        }
        known = {name: arguments[name] for name in arguments if takes_all or name in parameters}
        result = _awaited(function(**known))
        return [result["score"] if isinstance(result, Mapping) else result]

    return call


def _as_pair(function: Reward, setup: Setup) -> Reward:
    """A plain grader: ``f(completion, answer)`` gives a number, a bool or a ``Score``."""

    def call(completions: Sequence[str], problem: str, answer: str) -> Any:
        return [_awaited(function(completions[0], answer))]

    return call


CONVENTIONS: Mapping[str, Callable[[Reward, Setup], Reward]] = {
    "trl": _as_trl,
    "verl": _as_verl,
    "pair": _as_pair,
}
"""How a function wants to be called; each is turned into ``f(completions, problem, answer)``."""


def _awaited(result: Any) -> Any:
    async def wait() -> Any:
        return await result

    return asyncio.run(wait()) if inspect.isawaitable(result) else result


def _answer(reward: WeightedReward, row: Mapping[str, str]) -> dict[str, Any]:
    reply: dict[str, Any] = {"value": None, "is_error": False, "is_worn": False}
    start = time.perf_counter()
    try:
        (score,) = reward.scores([row["completion"]], problem=row["problem"], answer=row["answer"])
        reply |= {"value": score.value, "reason": score.reason}
    except GradingError as error:
        cause = error.__cause__
        fault = f"{type(cause).__name__}: {cause}" if cause else str(error)
        reply |= {"is_error": True, "reason": fault}
        # what filled the memory may still hold it, and would spoil the rows after it
        reply["is_worn"] = isinstance(cause, MemoryError)
    reason = " ".join(reply["reason"].split())[:MAX_REASON]
    return reply | {"reason": reason, "seconds": time.perf_counter() - start}


def _silence_stderr() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


def _limit_memory(memory_mib: int) -> None:
    """Limit what the rows may allocate on top of what loading the function took.

    Address space is what the kernel can limit for one process. Where it cannot be read (no
    ``/proc``) or set, the time limit is the only one.
    """
    if not memory_mib:
        return
    with suppress(OSError, ValueError, OverflowError, ImportError):
        resource = importlib.import_module("resource")
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        limit = pages * resource.getpagesize() + memory_mib * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
