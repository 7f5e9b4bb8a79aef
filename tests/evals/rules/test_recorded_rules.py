"""The rules on the completions of real models: published lines, and lm-eval itself row by row.

The second half needs lm-eval with its maths parsers (``pip install 'lm-eval[math]==0.4.13'``).
"""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from mathrl.evals.matrix import compare_matrices, grader_matrix
from mathrl.evals.rules import RULES, get_rule
from mathrl.schema import Problem

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="needs the recorded completions in ../shared/data"
)
MATH_FILES = ("math500_rho_1b_cot", "math500_rho_7b_interpreter", "math_qwen_rm_example_n8")
GSM8K_FILES = (
    "gsm8k_abel_13b",
    "gsm8k_gsmplus_gpt35",
    "gsm8k_qwen25_0p5b_instruct",
    "gsm8k_rho_1b_cot",
    "gsm8k_tora_70b",
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recorded(name: str) -> list[tuple[str, Problem]]:
    return [
        (row["completion"], Problem(id=row["id"], prompt=row["problem"], answer=row["gold"]))
        for row in rows_of(DATA / "completions" / f"{name}.jsonl")
    ]


def gold_solutions() -> list[tuple[str, Problem]]:
    """The reference solutions of MATH-500, each ended as the few-shot examples of Minerva are."""
    return [
        (
            f"{row['solution']}\nFinal Answer: The final answer is ${row['answer']}$. "
            "I hope it is correct.",
            Problem(id=row["id"], prompt=row["problem"], answer=row["answer"]),
        )
        for row in rows_of(DATA / "math500.jsonl")
    ]


def percent(rule: str, samples: list[tuple[str, Problem]]) -> float:
    apply = RULES[rule].apply
    return 100 * fmean(bool(apply(text, problem).is_correct) for text, problem in samples)


@pytest.mark.parametrize(
    ("name", "minerva", "hendrycks", "boxed", "qwen"),
    [
        # measured with lm-eval 0.4.13 and Qwen2.5-Math's own code; qwen is to agree within a point
        ("gold", 100.0, 2.4, 100.0, 99.2),
        ("math500_rho_1b_cot", 12.0, 0.0, 7.2, 15.8),
        ("math500_rho_7b_interpreter", 0.0, 0.0, 47.2, 51.8),
        ("math_qwen_rm_example_n8", 0.0, 0.0, 88.5, 91.0),
    ],
)
def test_the_lines_of_other_harnesses_on_math(
    name: str, minerva: float, hendrycks: float, boxed: float, qwen: float
) -> None:
    samples = gold_solutions() if name == "gold" else recorded(name)
    assert percent("lm-eval-minerva", samples) == pytest.approx(minerva, abs=1e-9)
    assert percent("lm-eval-hendrycks", samples) == pytest.approx(hendrycks, abs=1e-9)
    assert percent("boxed", samples) == pytest.approx(boxed, abs=1e-9)
    assert percent("qwen", samples) == pytest.approx(qwen, abs=1.0)


@pytest.mark.parametrize(
    ("name", "strict", "cot_strict", "flexible"),
    [  # measured with lm-eval 0.4.13
        ("gsm8k_abel_13b", 66.49, 0.0, 66.49),
        ("gsm8k_gsmplus_gpt35", 64.97, 0.0, 68.46),
        ("gsm8k_qwen25_0p5b_instruct", 0.0, 0.08, 47.46),
        ("gsm8k_rho_1b_cot", 0.0, 35.25, 36.16),
        ("gsm8k_tora_70b", 0.0, 0.0, 59.51),
    ],
)
def test_the_lines_of_lm_eval_on_gsm8k(
    name: str, strict: float, cot_strict: float, flexible: float
) -> None:
    samples = recorded(name)
    assert round(percent("lm-eval-strict", samples), 2) == strict
    assert round(percent("lm-eval-cot-strict", samples), 2) == cot_strict
    assert round(percent("lm-eval-flexible", samples), 2) == flexible


def test_published_accuracies_under_the_rules_that_published_them() -> None:
    assert percent("deepseek", recorded("gsm8k_tora_70b")) == pytest.approx(84.3, abs=0.05)
    assert percent("qwen", recorded("gsm8k_rho_1b_cot")) == pytest.approx(36.2, abs=0.2)


def test_which_of_two_real_models_is_better_depends_on_the_rule() -> None:
    matrices = []
    for name in ("gsm8k_gsmplus_gpt35", "gsm8k_tora_70b"):
        samples = recorded(name)
        problems = {problem.id: problem for _, problem in samples}
        texts = {problem.id: [text] for text, problem in samples}
        rules = [get_rule("mathrl"), get_rule("lm-eval-flexible")]
        matrices.append(grader_matrix(problems, texts, rules))
    comparison = compare_matrices(*matrices)
    own, flexible = (row.paired.difference for row in comparison.rows)
    assert 100 * own == pytest.approx(9.8, abs=1.5)  # the grader reads more units as it grows
    assert 100 * flexible == pytest.approx(-8.95, abs=0.01)
    assert comparison.dependence == "strong"


# lm-eval itself


@pytest.mark.parametrize("name", MATH_FILES)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_math_rules_agree_with_lm_eval(name: str) -> None:
    minerva, hendrycks, aime = math_of_lm_eval()
    solutions = {row["id"]: row["solution"] for row in rows_of(DATA / "math_test.jsonl")}

    def theirs(text: str, problem: Problem) -> dict[str, bool]:
        gold = minerva.normalize_final_answer(problem.answer)
        stated = minerva.normalize_final_answer(minerva.get_unnormalized_answer(text))
        document = {"solution": solutions[problem.id], "answer": problem.answer}
        return {
            "lm-eval-minerva": minerva.is_equiv(stated, gold),
            "lm-eval-hendrycks": bool(hendrycks.process_results(document, [text])["exact_match"]),
            "boxed": bool(aime.process_results(document, [text])["exact_match"]),
        }

    assert agreement(recorded(name), theirs) == 1.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_answers_rewritten_and_altered_agree_with_lm_eval() -> None:
    # The four that differ are matrices of one column, which sympy's parser reads only as bmatrix.
    minerva, _, aime = math_of_lm_eval()
    pairs = rows_of(DATA / "grading" / "mutations.jsonl")
    samples = [
        (
            f"It is \\boxed{{{row['prediction']}}}.\n"
            f"Final Answer: The final answer is ${row['prediction']}$. I hope it is correct.",
            Problem(id=str(number), prompt="?", answer=row["gold"]),
        )
        for number, row in enumerate(pairs)
    ]

    def theirs(text: str, problem: Problem) -> dict[str, bool]:
        gold = minerva.normalize_final_answer(problem.answer)
        stated = minerva.normalize_final_answer(minerva.get_unnormalized_answer(text))
        boxed = aime.process_results({"answer": problem.answer}, [text])["exact_match"]
        return {"lm-eval-minerva": minerva.is_equiv(stated, gold), "boxed": bool(boxed)}

    assert agreement(samples, theirs) >= 0.995


@pytest.mark.parametrize("name", GSM8K_FILES)
@pytest.mark.filterwarnings("ignore")
def test_gsm8k_rules_agree_with_lm_eval(name: str) -> None:
    pytest.importorskip("lm_eval", reason="compares with lm-eval itself")
    import yaml
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter
    from lm_eval.tasks import __file__ as tasks_file

    folder = Path(tasks_file).parent / "gsm8k"
    options, filters = {}, {}
    for file, rules in (
        ("gsm8k.yaml", ("lm-eval-strict", "lm-eval-flexible")),
        ("gsm8k-cot.yaml", ("lm-eval-cot-strict", "")),
    ):
        task = yaml.safe_load((folder / file).read_text())
        options = {**task["metric_list"][0]}
        for rule, entry in zip(rules, task["filter_list"], strict=True):
            arguments = dict(entry["filter"][0])
            assert arguments.pop("function") == "regex"
            filters[rule] = RegexFilter(**arguments)
    kept = ("ignore_case", "ignore_punctuation", "regexes_to_ignore")
    options = {key: options[key] for key in kept}

    def theirs(text: str, problem: Problem) -> dict[str, bool]:
        found = {}
        for rule in ("lm-eval-strict", "lm-eval-cot-strict", "lm-eval-flexible"):
            extracted = next(iter(filters[rule].apply([[text]], [{}])))[0]
            score = exact_match_hf_evaluate([extracted], [problem.answer], **options)
            found[rule] = bool(score["exact_match"])
        return found

    assert agreement(recorded(name), theirs) == 1.0


def math_of_lm_eval() -> tuple[Any, Any, Any]:
    pytest.importorskip("lm_eval", reason="compares with lm-eval itself")
    pytest.importorskip("antlr4", reason="lm-eval's minerva_math needs lm-eval[math]")
    from lm_eval.tasks.aime import utils as aime
    from lm_eval.tasks.hendrycks_math import utils as hendrycks
    from lm_eval.tasks.minerva_math import utils as minerva

    return minerva, hendrycks, aime


def agreement(
    samples: list[tuple[str, Problem]], theirs: Callable[[str, Problem], dict[str, bool]]
) -> float:
    """Share of the verdicts of lm-eval that the rules share, the smallest over the rules."""
    shares: dict[str, list[bool]] = {}
    for text, problem in samples:
        for rule, is_correct in theirs(text, problem).items():
            ours = RULES[rule].apply(text, problem).is_correct
            shares.setdefault(rule, []).append(ours is is_correct)
    return min(fmean(shared) for shared in shares.values())
