"""What was asked otherwise in two runs is named; what changes no question is not."""

from pathlib import Path
from typing import Any

import pytest

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.evals import evaluate_into
from mathrl.evals.report import load_report
from mathrl.evals.report.page import render_report
from mathrl.evals.run_comparison import ComparedRun, compare_runs
from mathrl.evals.runner import Verification
from mathrl.evals.spec import specify
from mathrl.evals.verifiers import Grader
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem
from tests.conftest import FakeEngine


def write(request: SampleRequest) -> str:
    return f"#### {request.problem_id[1:] if request.seed % 2 else 99}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def evaluated(name: str, problems: list[Problem], **changes: Any) -> str:
    """A run folder of problems that are asked as ``changes`` say."""
    engine = FakeEngine(write, fingerprint=changes.get("fingerprint", "weights"))
    params = SamplingParams(
        temperature=changes.get("temperature", 1.0),
        max_new_tokens=changes.get("max_new_tokens", 96),
        stop=changes.get("stop", ()),
    )
    prompts = PromptBuilder(PromptConfig(template=changes.get("template", "{prompt}")))
    seed = changes.get("seed", 0)
    facts = {"engine": changes.get("engine", "local")} | changes.get("facts", {})
    spec = specify("t", problems, engine, prompts, params, num_samples=2, seed=seed)
    evaluate_into(Path(name), spec, engine, Verification(verifier=Grader()), facts=facts)
    return name


def compared(problems: list[Problem], **changes: Any) -> ComparedRun:
    (found,) = compare_runs(
        [evaluated("a", problems), evaluated("b", changes.pop("others", problems), **changes)]
    )
    return found


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temperature": 0.3}, "temperature 0.3 instead of 1"),
        ({"max_new_tokens": 30}, "max_new_tokens 30 instead of 96"),
        ({"stop": ("Q:\n", "\x1b")}, r'stop ["Q:\n", "\u001b"] instead of none'),
        ({"template": "Q: {prompt}\n"}, "other prompts on 10 of 10 common problems"),
        ({"facts": {"preset": {"name": "qwen"}}}, 'preset "qwen" instead of none'),
        ({"engine": "api", "fingerprint": "other"}, 'engine "api" instead of "local"'),
        (
            {"seed": 5, "temperature": 0.0, "template": "{prompt} "},
            "temperature 0 instead of 1, seed 5 instead of 0, "
            "other prompts on 10 of 10 common problems",
        ),
    ],
)
def test_all_that_differs_is_named(
    problems: list[Problem], changes: dict[str, Any], named: str
) -> None:
    assert compared(problems, **changes).notices == (f"b was asked otherwise than a: {named}",)


@pytest.mark.parametrize(
    "changes", [{"fingerprint": "other"}, {"engine": "vllm"}, {"seed": 5, "fingerprint": "other"}]
)
def test_another_policy_seed_or_engine_of_the_same_policy_is_no_news(
    problems: list[Problem], changes: dict[str, Any]
) -> None:
    assert compared(problems, **changes).notices == ()


def test_prompts_are_compared_on_the_common_problems(problems: list[Problem]) -> None:
    found = compared(problems, others=problems[5:])
    assert not [notice for notice in found.notices if "asked" in notice]
    other = compare_runs(["a", evaluated("c", problems[7:], template="Q: {prompt}")])[0]
    assert other.notices[0].endswith(": other prompts on 3 of 3 common problems")


def test_json_has_the_values_and_only_of_what_differs(problems: list[Problem]) -> None:
    found = compared(problems, template="Q: {prompt}", seed=3, stop=("x",)).to_json()
    assert found["settings"] == {
        "stop": {"base": (), "run": ("x",)},
        "seed": {"base": 0, "run": 3},
        "prompts": {"changed": 10, "common": 10},
    }


def test_the_report_says_it_too(problems: list[Problem]) -> None:
    runs = [evaluated("a", problems), evaluated("b", problems, temperature=0.5)]
    notice = "b was asked otherwise than a: temperature 0.5 instead of 1"
    assert f"{notice}." in render_report(load_report(runs))
    again = [evaluated("a", problems), evaluated("c", problems, fingerprint="other")]
    assert "asked otherwise" not in render_report(load_report(again))
