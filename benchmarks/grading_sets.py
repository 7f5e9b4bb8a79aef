"""The labelled cases that the grader is measured on, read from ../shared/data.

Each set is a list of ``Case``: a known answer, a text, how the text is put to the grader, and
what has to come out. ``grading.py`` runs them.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
BLIND = ROOT / "tests" / "cases" / "blind.jsonl"

Form = Literal["answer", "text", "reward", "format"]
"""``answer`` and ``text`` go to ``equivalent`` and ``grade``; the others to the two rewards."""

ADJUDICATED_FILES = ("math500_rho_1b_cot", "math500_rho_7b_interpreter", "math_qwen_rm_example_n8")
OPENAI_FILES = ("gsm8k_openai_175b_verification", "gsm8k_openai_6b_finetuning")
PUBLISHED = {
    "gsm8k_abel_13b": 66.41,
    "gsm8k_gsmplus_gpt35": 73.62,
    "gsm8k_openai_175b_verification": 56.25,
    "gsm8k_openai_6b_finetuning": 21.68,
    "gsm8k_qwen25_0p5b_instruct": 49.81,
    "gsm8k_qwen25_0p5b_kd1500": 45.34,
    "gsm8k_rho_1b_cot": 36.16,
    "gsm8k_tora_70b": 84.3,
    "gsm8k_zero_shot_cot_davinci": 40.71,
}
"""Accuracy in percent as published or recorded (../shared/data/README.md)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One check with its right outcome; ``name`` says where the row stands."""

    name: str
    gold: str
    text: str
    expected: bool
    form: Form = "answer"
    policy: Literal["eval", "reward"] = "eval"


def suites() -> list[Case]:
    """Undisputed cases of other projects' test suites and issue threads."""
    return _grading_file("suites")


def probes() -> list[Case]:
    """Notation that graders commonly misread."""
    return _grading_file("probes")


def mutations() -> list[Case]:
    """Answers of the MATH test set, rewritten (equal) or altered (different)."""
    return _grading_file("mutations")


def hostile() -> list[Case]:
    """Towers, factorials, nesting, floods and odd Unicode."""
    return _grading_file("hostile")


def exploits() -> list[Case]:
    """Reward hacks that must not be paid and honest controls that must be."""
    forms: dict[str, Form] = {"accuracy": "reward", "format": "format"}
    return [
        Case(
            name=f"{row['exploit']} {row['id']}",
            gold=row["gold"],
            text=row["completion"],
            expected=row["should_reward"],
            form=forms[row["component"]],
            policy="reward",
        )
        for row in read_rows(DATA / "grading" / "exploits.jsonl")
    ]


def adjudicated() -> list[Case]:
    """Recorded MATH completions with their labels, the wrong labels corrected."""
    corrected = {
        (row["file"], row["id"], row["sample"]): row["label"]
        for row in read_rows(DATA / "grading" / "adjudicated.jsonl")
    }
    cases = []
    for file in ADJUDICATED_FILES:
        for row in read_rows(DATA / "completions" / f"{file}.jsonl"):
            label = corrected.get((file, row["id"], row.get("sample")), row["label"])
            if label is not None:
                name = f"{file} {row['id']} {row.get('sample', '')}".rstrip()
                cases.append(Case(name, row["gold"], row["completion"], label, "text"))
    return cases


def gsm8k_openai() -> list[Case]:
    """GSM8K completions of two models of OpenAI, whose labels are exact."""
    return [case for file in OPENAI_FILES for case in completions(file)]


def math500_verbatim() -> list[Case]:
    """The known answer itself in a box."""
    rows = read_rows(DATA / "math500.jsonl")
    return [
        Case(row["id"], row["answer"], rf"\boxed{{{row['answer']}}}", True, "reward", "reward")
        for row in rows
    ]


def math500_scalars() -> list[Case]:
    """Numbers that are not the answer: another problem's, and single parts of a compound one."""
    rows = read_rows(DATA / "math500.jsonl")
    numbers = [row["answer"] for row in rows if re.fullmatch(r"-?\d+(\.\d+)?", row["answer"])]
    cases = []
    for index, row in enumerate(rows):
        parts = _parts(row["answer"])
        start = index % len(numbers)
        other = next(
            text
            for text in numbers[start:] + numbers
            if text.lstrip("-")
            not in re.findall(r"[\d.]+", re.sub(r"[,\s]|\\!", "", row["answer"]))
        )
        cases += [
            Case(row["id"], row["answer"], rf"\boxed{{{text}}}", False, "reward", "reward")
            for text in dict.fromkeys([other, *parts])
        ]
    return cases


def blind() -> list[Case]:
    """Cases written from the mathematics before the grader was."""
    cases = []
    for index, row in enumerate(read_rows(BLIND)):
        policies: tuple[Literal["eval", "reward"], ...] = ("eval", "reward")
        for policy in policies:
            if row["policy"] in (policy, "both"):
                name = f"line {index + 1} {row.get('kind', '')} ({policy})"
                form: Form = row.get("form") or "answer"
                text, expected = row["prediction"], row["expected"]
                cases.append(Case(name, row["answer"], text, expected, form, policy))
    return cases


def completions(file: str) -> list[Case]:
    """Recorded completions of one file that carry a label.

    Args:
        file: Name in ``completions/``, without its ending.
    """
    return [
        Case(f"{file} {row['id']}", row["gold"], row["completion"], bool(row["label"]), "text")
        for row in read_rows(DATA / "completions" / f"{file}.jsonl")
        if row["label"] is not None or file == "gsm8k_tora_70b"  # it has a published mean alone
    ]


SETS: dict[str, Callable[[], list[Case]]] = {
    "suites": suites,
    "probes": probes,
    "mutations": mutations,
    "adjudicated": adjudicated,
    "gsm8k_openai": gsm8k_openai,
    "exploits": exploits,
    "hostile": hostile,
    "math500_verbatim": math500_verbatim,
    "math500_scalars": math500_scalars,
    "blind": blind,
}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file of objects (their fields differ from file to file, hence Any).

    Args:
        path: The file.
    """
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _grading_file(name: str) -> list[Case]:
    return [
        Case(
            name=" ".join(
                str(row[key]) for key in ("name", "kind", "op", "source") if row.get(key)
            ),
            gold=row["gold"],
            text=row["prediction"],
            expected=row["expected"],
            form=row.get("form") or "answer",
        )
        for row in read_rows(DATA / "grading" / f"{name}.jsonl")
    ]


def _parts(answer: str) -> list[str]:
    r"""List the numbers inside an answer; none where one of them is the answer (``x=5``)."""
    bare = re.sub(r"\\(text|mbox)\s*\{[^}]*\}(\^\d)?|\^\\circ|\\\$|\\%|\\!|\s|^[a-z]=", "", answer)
    if re.fullmatch(r"-?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?(_\{?\d+\}?)?", bare):
        return []
    digits = re.sub(r"\\frac(\d)(\d)", r"\1/\2", bare)
    return [
        text for number in re.findall(r"-?\d+", digits) for text in (number, number.lstrip("-"))
    ]
