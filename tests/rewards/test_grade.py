"""The grader's verdicts: cases by hand, properties by search, recorded files by number."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards import EVAL, REWARD, Policy, equivalent, grade
from mathrl.schema import Completion

CASES = Path(__file__).parents[1] / "cases" / "grading.jsonl"
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "completions"
POLICIES = {"eval": [EVAL], "reward": [REWARD], "both": [EVAL, REWARD]}
VALUES = {"correct": 1.0, "gold_unparseable": None}

PIECES = [
    *(
        "\\boxed{",
        "}",
        "{",
        "$",
        "####",
        "the answer is ",
        "Answer: ",
        "\n",
        " ",
        "=",
        "%",
        "-",
        ".",
    ),
    *(
        "1",
        "23",
        "1,234",
        "1/2",
        "\\frac",
        "\\text{",
        "x",
        "e5",
        "and",
        "½",
        "²",
        "−",
        "\u200b",
        ",",
    ),
    *("10^", "\\times", "<think>", "</think>", "\\", "(", ")", "\ud800", "٣"),
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", read_rows(CASES), ids=lambda case: case["source"])
def test_case(case: dict[str, Any]) -> None:
    for policy in POLICIES[case["policy"]]:
        score = grade(case["completion"], case["answer"], policy)
        assert score.status == case["expected"], (policy.name, score)
        assert score.value == VALUES.get(score.status, 0.0)
        assert score.reason and "\n" not in score.reason


def test_the_prediction_is_canonical() -> None:
    equal = ["18", "18.00", "$18", "36/2", r"\frac{36}{2}", "1.8e1", "x = 18", r"18\text{ eggs}"]
    assert {equivalent(text, "18").prediction for text in equal} == {"18"}
    assert equivalent("0.50", "7").prediction == "1/2"
    assert equivalent(r"\left( 1 , 2 \right)", "7").prediction == "(1,2)"


def test_the_tier_says_what_decided() -> None:
    assert equivalent("18", "18").tier == 0
    assert equivalent("18.0", "18").tier == 1
    assert equivalent("19", "18").tier == 1
    assert equivalent("x+1", "x + 1").tier == 0
    assert equivalent("x+1", "1+x").tier == 2
    assert equivalent("x+1", "x+2").tier == 2
    assert equivalent(r"\cos 2x", r"1-2\sin^2 x").tier == 3
    assert equivalent(r"\sum_{k=1}^n k", r"\frac{n(n+1)}{2}").tier == 4


def test_a_completion_object_is_graded_by_its_text() -> None:
    assert grade(Completion(text="#### 5"), "5").status == "correct"


def test_the_reason_names_the_cue() -> None:
    assert grade("#### 5", "6").reason == "from hashes: 5 is not 6"


def test_equivalent_needs_no_cue() -> None:
    assert equivalent("5", "5.0", REWARD).status == "correct"
    assert equivalent(r"\boxed{5}", "$5$").status == "correct"
    assert equivalent("  ", "5").status == "no_answer"
    assert equivalent("5", "50%").status == "wrong"
    assert equivalent("1" * 10_000, "5").status == "limit"


def test_an_absurdly_long_gold_is_no_gold() -> None:
    assert grade("#### 1", "1" * 10_000).status == "gold_unparseable"
    assert grade("#### 1", "1" * 500_000).status == "gold_unparseable"


def test_a_gold_of_another_type_is_no_gold() -> None:
    assert grade("#### 1", ["1"]).status == "gold_unparseable"  # type: ignore[arg-type]
    assert grade("#### 1", True).status == "gold_unparseable"  # type: ignore[arg-type]


def test_a_column_of_numbers_holds_known_answers() -> None:
    assert grade("#### 1", 1).status == "correct"
    assert grade("#### 2.50", 2.5).status == "correct"
    assert grade("#### 3", 2.5).status == "wrong"
    assert equivalent("18", 18).status == "correct"


def test_threads_agree_with_the_main_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda number: grade(f"#### {number}", "7"), range(20)))
    assert [number for number, score in enumerate(scores) if score.value] == [7]


def test_a_policy_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(REWARD)) == REWARD


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from([EVAL, REWARD]))
def test_no_text_raises(completion: str, answer: str, policy: Policy) -> None:
    for score in (grade(completion, answer, policy), equivalent(completion, answer, policy)):
        assert (score.value is None) == (score.status == "gold_unparseable")
        assert (score.value == 1.0) == (score.status == "correct")


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_comparing_is_symmetric(first: str, second: str) -> None:
    forth, back = equivalent(first, second), equivalent(second, first)
    if forth.value is not None and back.value is not None:
        assert forth.value == back.value


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([EVAL, REWARD]))
def test_every_answer_equals_itself(answer: str, policy: Policy) -> None:
    assert equivalent(answer, answer, policy).value in (1.0, None)


@settings(deadline=None)
@given(st.fractions(), st.fractions())
def test_numbers_are_equal_exactly_when_the_fractions_are(
    first: Fraction, second: Fraction
) -> None:
    assert (equivalent(str(first), str(second)).value == 1.0) == (first == second)
    halves = rf"\frac{{{first.numerator * 2}}}{{{first.denominator * 2}}}"
    assert equivalent(halves, str(first)).value == 1.0


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [
        ("openai_6b_finetuning", 21.68, 0.005),
        ("openai_175b_verification", 56.25, 0.005),
        ("abel_13b", 66.41, 0.5),
        ("rho_1b_cot", 36.16, 0.5),
        ("qwen25_0p5b_instruct", 49.81, 0.5),
        ("qwen25_0p5b_kd1500", 45.34, 0.5),
    ],
)
def test_recorded_completions_give_the_published_accuracy(
    name: str, published: float, tolerance: float
) -> None:
    path = RECORDED / f"gsm8k_{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the recorded completions are not beside this checkout ({path})")
    rows = read_rows(path)
    right = sum(grade(row["completion"], row["gold"]).value == 1.0 for row in rows)
    assert 100 * right / len(rows) == pytest.approx(published, abs=tolerance)


def test_importing_the_rewards_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'sympy', 'transformers', 'datasets', 'pyarrow', 'click', 'rich'}"
    program = f"import sys, mathrl.rewards; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("completion", "cue"),
    [
        (r"so \boxed{4}", "box"),
        ("#### 4", "hashes"),
        ("The answer is 4.", "phrase"),
        ("so I get 5 and then 4", "last_value"),
        ("no idea", None),
        (r"\boxed{1} and \boxed{2}", "box"),
    ],
)
def test_a_score_says_by_which_cue_the_answer_was_found(completion: str, cue: str | None) -> None:
    assert grade(completion, "4").cue == cue
