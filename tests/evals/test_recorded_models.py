"""Published numbers, made again from the recorded completions of real models."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from mathrl.data import load_problems
from mathrl.engines import SamplingParams
from mathrl.engines.recorded import RecordedEngine
from mathrl.evals import EvalResult, compare, evaluate, get_task, maj_at_k, pass_at_k
from mathrl.evals.stats import paired_difference
from mathrl.prompts import PromptBuilder

DATA = Path(__file__).parents[3] / "shared" / "data"
GSM8K = DATA / "gsm8k_test.jsonl"
pytestmark = pytest.mark.skipif(
    not GSM8K.exists(), reason="needs the recorded completions in ../shared/data"
)


def evaluated(name: str) -> EvalResult:
    task = get_task("gsm8k")
    problems = load_problems(GSM8K)
    engine = RecordedEngine(DATA / "completions" / f"{name}.jsonl", problems)
    prompts = PromptBuilder(task.prompt_config())
    return evaluate(task, problems, engine, prompts, SamplingParams(), num_samples=None)


def labels(name: str) -> dict[str, list[bool]]:
    found = defaultdict(list)
    for line in (DATA / "completions" / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["id"]].append(row["label"])
    return found


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [
        ("gsm8k_openai_6b_finetuning", 21.68, 0.0),
        ("gsm8k_openai_175b_verification", 56.25, 0.0),
        ("gsm8k_abel_13b", 66.41, 0.5),
        ("gsm8k_rho_1b_cot", 36.16, 0.5),
    ],
)
def test_accuracy_is_what_was_published(name: str, published: float, tolerance: float) -> None:
    result = evaluated(name)
    assert (result.n_problems, result.n_uncovered) == (1319, 0)
    assert abs(round(100 * result.accuracy, 2) - published) <= tolerance


def test_before_and_after_training_is_what_was_published() -> None:
    before, after = evaluated("gsm8k_qwen25_0p5b_instruct"), evaluated("gsm8k_qwen25_0p5b_kd1500")
    assert 100 * before.accuracy == pytest.approx(49.81, abs=0.5)
    assert 100 * after.accuracy == pytest.approx(45.34, abs=0.5)
    assert compare(before, after).verdict().startswith("worse by 4.")


def test_the_paired_comparison_of_the_reference() -> None:
    # By the labels that the files record: -4.47, 132 / 191, SE 1.36, p = 0.0012.
    old, new = labels("gsm8k_qwen25_0p5b_instruct"), labels("gsm8k_qwen25_0p5b_kd1500")
    found = paired_difference(
        [float(old[problem][0]) for problem in old],
        [float(new[problem][0]) for problem in old],
        single_samples=True,
    )
    assert (found.fixed, found.broken) == (132, 191)
    assert round(100 * found.difference, 2) == -4.47
    assert round(100 * found.stderr, 2) == 1.36
    assert round(found.p_value, 4) == 0.0012
    assert round(100 * found.mde, 1) == 3.8


def test_pass_and_maj_at_8_of_the_reference() -> None:
    # By the labels that the file records: pass@1/2/4/8 = 91.0 / 93.286 / 95.1 / 96.0.
    corrects = labels("math_qwen_rm_example_n8").values()
    curve = [100 * fmean(pass_at_k(len(c), sum(c), k) for c in corrects) for k in (1, 2, 4, 8)]
    assert curve == pytest.approx([91.0, 93.286, 95.1, 96.0], abs=6e-4)
    # Without predictions a wrong sample is an answer of its own: an upper bound of the 93 recorded.
    upper = 100 * fmean(maj_at_k([str(i) for i in range(len(c))], c, 8) for c in corrects)
    assert 93.0 <= upper <= 96.0
