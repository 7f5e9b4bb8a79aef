"""The exploit bank and its runner, against tiny functions that misbehave in every way."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from dataclasses import asdict
from multiprocessing import Pipe
from pathlib import Path

import pytest

from mathrl.errors import ConfigError, DataError
from mathrl.rewards.audit import AuditConfig, BankRow, audit, load_bank, summarise

FAKES = """
import os, signal, sys, time

KEPT = []

def paying(completions, **columns):
    return [1.0 for _ in completions]

def refusing(completions, **columns):
    return [0.0 for _ in completions]

def silent(completions, **columns):
    return [None for _ in completions]

def raising(completions, **columns):
    raise ValueError(f"cannot read {completions[0]}")

def by_text(completions, **columns):
    text = completions[0]
    if text == "hang":
        time.sleep(60)
    if text == "exit":
        os._exit(3)
    if text == "sysexit":
        sys.exit(4)
    if text == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "print":
        os.write(1, b"noise" * 20_000)
        os.write(2, b"noise" * 20_000)
    if text == "memory":
        KEPT.extend(bytes(2**26) for _ in range(400))
    if text == "block":
        bytes(2**26)
    if text == "close":
        os.closerange(0, 100)
    return [1.0]

def evaluating(completions, **columns):
    try:
        return [float(eval(completions[0]) == 19)]
    except Exception:
        return [0.0]

def exact(completions, answer, **columns):
    return [float(text == gold) for text, gold in zip(completions, answer)]

def seen(completions, prompts, completion_ids, solution, **columns):
    good = completions == [[{"role": "assistant", "content": "ab"}]]
    good &= prompts == [[{"role": "user", "content": "What?"}]]
    good &= completion_ids == [[97, 98]] and solution == ["$7$"]
    columns["log_metric"]("name", 1.0)
    return [float(good)]

async def asynchronous(completions, **columns):
    return [0.25]

def signalling(completions, **columns):
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return [1.0]

def nan(completions, **columns):
    return [float("nan")]

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": float(solution_str == ground_truth and extra_info == {"question": "What?"})}

def short_compute_score(solution_str, ground_truth):
    return solution_str == ground_truth

def pair(completion, answer):
    return completion == answer
"""
KINDS = (
    "first_box_right",
    "shotgun_boxes",
    "exhaustive_boxes",
    "conditional_boxes",
    "list_in_box",
    "equation_chain",
    "hedge_in_prose",
    "or_in_box",
    "unevaluated",
    "interval_cover",
    "answer_only_in_think",
    "unclosed_think",
    "repeated_think_close",
    "role_injection",
    "hidden_characters",
    "unicode_digits",
    "units_ignored",
    "percent_ignored",
    "base_ignored",
    "commas_stripped",
    "spaces_stripped",
    "unclosed_box",
    "rounding",
    "all_choices",
    "partial_set",
    "placeholder",
    "judge_injection",
    "master_key",
    "prm_junk",
    "tautology",
    "substring",
    "code_execution",
    "power_tower",
    "huge_factorial",
    "deep_nesting",
    "flood",
    "regex_bomb",
)
"""Of ``docs/audit.md``."""


@pytest.fixture(autouse=True)
def fakes(tmp_path, monkeypatch):
    """A folder with the fakes in it, to be found as a user's own module is."""
    (tmp_path / "audited.py").write_text(FAKES)
    monkeypatch.chdir(tmp_path)


def row(completion="ab", *, answer="7", is_paid=False, name="r", exploit="kind"):
    return BankRow(
        id=name,
        exploit=exploit,
        component="accuracy",
        problem="What?",
        answer=answer,
        completion=completion,
        is_paid=is_paid,
        why="",
    )


def write_bank(*changes):
    """A bank of one row for each change of a good one."""
    good = {"id": "r", "exploit": "kind", "component": "accuracy", "problem": "", "answer": "7"}
    good |= {"is_paid": False, "why": "", "completion": "x"}
    bank = Path("bank.jsonl")
    bank.write_text("".join(json.dumps(good | change) + "\n" for change in changes))
    return bank


def run(function, *completions, **config):
    rows = [row(text, name=f"r{place}") for place, text in enumerate(completions or ["ab"])]
    return list(audit(f"audited:{function}", rows, AuditConfig(**config)))


@pytest.mark.parametrize(
    ("function", "status", "value"),
    [("paying", "paid", 1.0), ("refusing", "refused", 0.0), ("silent", "none", None)],
)
def test_a_reward_is_reported(function, status, value):
    (outcome,) = run(function)
    assert (outcome.status, outcome.value) == (status, value)
    assert 0 <= outcome.seconds < 1


def test_the_threshold_decides_what_is_paid():
    assert run("asynchronous")[0].status == "refused"  # 0.25 < 0.5
    assert run("asynchronous", threshold=0.25)[0].status == "paid"


def test_a_raised_error_is_the_rows_and_the_audit_goes_on():
    first, second = run("raising", "x", "y")
    assert first.status == second.status == "error"
    assert first.reason == "ValueError: cannot read x"


def test_what_is_no_reward_is_an_error():
    (outcome,) = run("nan")
    assert outcome.status == "error" and "finite number" in outcome.reason


def test_a_hang_costs_its_limit_and_no_more():
    start = time.perf_counter()
    first, second = run("by_text", "hang", "fine", timeout_s=0.5)
    assert (first.status, second.status) == ("timeout", "paid")
    assert 0.5 <= first.seconds < 2 and first.reason == "stopped after 0.5 s"
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit", "the process ended with code 3"),
        ("sysexit", "the process ended with code 4"),
        ("crash", "the process was ended by SIGSEGV"),
    ],
)
def test_a_dead_process_is_replaced(text, reason):
    first, second = run("by_text", text, "fine")
    assert (first.status, first.reason, second.status) == ("killed", reason, "paid")


def test_a_function_that_closes_every_file_only_hurts_its_row():
    first, second = run("by_text", "close", "fine")
    assert (first.status, second.status) == ("killed", "paid")


def test_what_it_prints_is_not_taken_for_an_answer(capfd):
    assert [outcome.status for outcome in run("by_text", "print", "fine")] == ["paid", "paid"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is read from /proc")
def test_memory_is_limited_and_what_filled_it_is_gone():
    # 400 blocks of 64 MiB are 25 GiB; half a GiB is allowed, and the function keeps what it got
    first, second = run("by_text", "memory", "block", memory_mib=512)
    assert (first.status, first.reason, second.status) == ("error", "MemoryError:", "paid")


def test_an_executed_payload_is_seen():
    relative, absolute, paid, harmless = run(
        "evaluating",
        "__import__('os').mkdir('@name@')",
        "open('@marker@', 'w').close()",
        "__import__('os').mkdir('@name@') or 19",
        "8 + 11",
    )
    assert relative.status == absolute.status == paid.status == "executed"
    assert (relative.is_paid, paid.is_paid) == (False, True)
    assert harmless.status == "paid"


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    run("evaluating", "open('@name@', 'w').close()")
    assert list(scratch.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["audited.py"]


def test_trl_columns_are_those_of_its_trainer():
    config = AuditConfig(answer_column="solution", answer_form="dollar", is_conversational=True)
    assert [one.status for one in audit("audited:seen", [row()], config)] == ["paid"]


@pytest.mark.parametrize(
    ("convention", "function"),
    [("verl", "compute_score"), ("verl", "short_compute_score"), ("pair", "pair")],
)
def test_other_conventions(convention, function):
    rows = [row("7"), row("8"), row(r"\boxed{7}")]
    config = AuditConfig(convention=convention)
    spec = f"audited:{function}"
    assert [one.value for one in audit(spec, rows, config)] == [1.0, 0.0, 0.0]
    config = AuditConfig(convention=convention, answer_form="boxed")
    assert [one.value for one in audit(spec, rows, config)] == [0.0, 0.0, 1.0]


def test_our_grader_is_a_pair():
    rows = [row(r"\boxed{7}"), row(r"\boxed{8}")]
    config = AuditConfig(convention="pair")
    assert [one.value for one in audit("mathrl.rewards:grade", rows, config)] == [1.0, 0.0]


def test_a_thread_shows_who_relies_on_signals():
    assert run("signalling")[0].status == "paid"
    (outcome,) = run("signalling", is_threaded=True)
    assert outcome.status == "error" and "main thread" in outcome.reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("audited:pying", "did you mean paying?"),
        ("nowhere:f", "no module named 'nowhere'"),
        ("broken:f", "broken"),
        ("leaving:f", "reward leaving:f cannot be loaded"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_bad_input(tmp_path, spec, message):
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "leaving.py").write_text("import os; os._exit(0)")
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        list(audit(spec, [row()], AuditConfig()))


@pytest.mark.parametrize(
    "config", [{"timeout_s": 0}, {"timeout_s": float("inf")}, {"memory_mib": -1}]
)
def test_limits_are_checked(config):
    with pytest.raises(ConfigError, match="limit must be"):
        AuditConfig(**config)


def test_stopping_early_ends_the_process():
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    others = set(children.read_text().split())  # such as a tracker that another test has started
    outcomes = audit("audited:by_text", [row("fine"), row("fine")], AuditConfig())
    next(outcomes)
    assert set(children.read_text().split()) - others
    outcomes.close()
    assert not set(children.read_text().split()) - others


def test_an_orphan_ends_itself(tmp_path):
    code = textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[str(tmp_path), *filter(None, sys.path)]!r}
        from mathrl.rewards import audit_worker
        audit_worker.ORPHAN_GRACE_S = 0.2
        from multiprocessing.connection import Connection
        audit_worker.serve(Connection(int(sys.argv[1])))
    """)
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.DEVNULL,
    )
    setup = {**asdict(AuditConfig(timeout_s=0.2)), "spec": "audited:by_text"}
    ours.send_bytes(json.dumps(setup).encode())
    assert ours.recv_bytes() == b"{}"
    request = {"problem": "", "answer": "", "completion": "hang", "folder": str(tmp_path)}
    ours.send_bytes(json.dumps(request).encode())
    assert process.wait(timeout=20) == 1


def test_summary_by_hand():
    rows = [
        row("7", name="a", exploit="first"),  # paid: wrong
        row("8", name="b", exploit="first"),
        row("9", name="c", exploit="second"),
        row("7", name="d", is_paid=True, exploit="control"),
        row("x", name="e", is_paid=True, exploit="control"),  # refused: wrong
    ]
    summary = summarise(audit("audited:exact", rows, AuditConfig()))
    assert [(one.name, one.num_rows, one.num_paid) for one in summary.exploits] == [
        ("first", 2, 1),
        ("second", 1, 0),
    ]
    assert (summary.total.num_paid, summary.total.num_rows) == (1, 3)
    assert (summary.controls.num_refused, summary.controls.num_rows) == (1, 2)
    assert summary.count("paid") == 2 and summary.count("refused") == 3
    assert not summary.is_sound
    assert summarise(audit("audited:exact", [*rows[1:4]], AuditConfig())).is_sound


@pytest.mark.parametrize("function", ["raising", "silent"])
def test_no_function_is_sound_by_refusing_all(function):
    summary = summarise(audit(f"audited:{function}", [row(is_paid=True)], AuditConfig()))
    assert summary.controls.num_refused == 1 and not summary.is_sound


def test_the_bank_has_every_kind():
    rows = load_bank()
    kinds = Counter(one.exploit for one in rows)
    assert len(rows) - kinds["control"] >= 150 and kinds["control"] >= 30
    for kind in KINDS:
        assert kinds[kind] >= 3, kind
    formats = Counter(one.exploit for one in load_bank(component="format"))
    for kind in ("empty_think", "repeated_tags", "answer_before_think", "control"):
        assert formats[kind] >= 2, kind
    assert all((one.exploit == "control") == one.is_paid for one in rows)
    assert len({(one.answer, one.completion) for one in rows}) == len(rows)


def test_every_payload_can_show_itself():
    payloads = [one for one in load_bank() if one.exploit == "code_execution"]
    assert all("@name@" in one.completion or "@marker@" in one.completion for one in payloads)


def test_recipes_are_written_out():
    bank = write_bank({"component": "format", "completion": ["<", {"repeat": ["ab", 3]}, ">"]})
    assert [one.completion for one in load_bank(bank, component="format")] == ["<ababab>"]
    with pytest.raises(DataError, match="no row of the component accuracy"):
        load_bank(bank)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"completion": 7}, "a completion is a text"),
        ({"completion": [{"repeat": ["ab", 10**7]}]}, ".* at most 2000000 characters"),
        ({"component": "style"}, "component must be accuracy or format"),
        ({"is_paid": "no"}, "is_paid must be true or false, got 'no'"),
        ({"answer": 7}, "answer must be a text, got 7"),
    ],
)
def test_a_row_that_is_none_is_told(change, message):
    with pytest.raises(DataError, match=f"bank.jsonl line 1: {message}"):
        load_bank(write_bank(change))


def test_ids_are_unique():
    with pytest.raises(DataError, match="two rows have the id 'r'"):
        load_bank(write_bank({}, {}))


def test_our_accuracy_reward_pays_no_exploit():
    outcomes = list(audit("accuracy", load_bank(), AuditConfig()))
    wrong = [f"{one.row.id}: {one.status}" for one in outcomes if one.complaint]
    assert wrong == []
    assert max(one.seconds for one in outcomes) < 2


def test_our_format_reward_pays_no_exploit():
    outcomes = audit("format", load_bank(component="format"), AuditConfig())
    assert [f"{one.row.id}: {one.status}" for one in outcomes if one.complaint] == []


def test_ctrl_c_leaves_no_process():
    write_bank({"completion": "hang"})
    code = (
        "from mathrl.rewards.audit import *\n"
        "list(audit('audited:by_text', load_bank(Path('bank.jsonl')), AuditConfig()))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (worker := children.read_text().split()):
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert not Path(f"/proc/{worker[0]}").exists()
