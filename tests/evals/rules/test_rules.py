"""Each rule against answers worked out by hand, and against floods."""

import pytest

from mathrl.errors import ConfigError
from mathrl.evals.rules import RULES, get_rule
from mathrl.schema import Problem

SENTENCE = "Final Answer: The final answer is {}. I hope it is correct."


def is_correct(rule: str, completion: str, answer: str, question: str = "?") -> bool | None:
    problem = Problem(id="p", prompt=question, answer=answer)
    return RULES[rule].apply(completion, problem).is_correct


@pytest.mark.parametrize(
    ("rule", "completion", "answer", "expected"),
    [
        # strict: the first number after four hashes and one space, as text
        ("lm-eval-strict", "so 9.\n#### 1,800", "1800", True),
        ("lm-eval-strict", "#### 18\nno, #### 20", "20", False),
        ("lm-eval-strict", "####18", "18", False),
        ("lm-eval-strict", "#### $18", "18", False),  # a dollar is no digit: nothing is found
        ("lm-eval-strict", "#### 18.00", "18", False),
        ("lm-eval-strict", "#### 18.", "18", True),
        ("lm-eval-strict", "The answer is 18.", "18", False),
        ("lm-eval-cot-strict", "The answer is 18.", "18", True),
        ("lm-eval-cot-strict", "the answer is 18.", "18", False),
        ("lm-eval-cot-strict", "The answer is $18.", "18", False),
        # 18 needs one more character behind it; without it the pattern gives back the 8
        ("lm-eval-cot-strict", "The answer is 18", "1", True),
        # flexible: the last number, a dollar in front of it or commas in it do not matter
        ("lm-eval-flexible", "5 eggs make $1,800.", "1800", True),
        ("lm-eval-flexible", "18 dollars, on 2 days", "18", False),
        ("lm-eval-flexible", "-5", "-5", True),
        ("lm-eval-flexible", "so it is 18...", "18", False),  # one full stop is cut, not three
        ("lm-eval-flexible", "18 or more, so ,,", "18", False),  # commas alone are a number too
        # hendrycks: between the first and the last dollar, boxes or not
        ("lm-eval-hendrycks", "The answer is $\\dfrac12$", "\\frac{1}{2}", True),
        ("lm-eval-hendrycks", "With $x = 2$ it is $\\boxed{5}$.", "5", False),
        ("lm-eval-hendrycks", "\\boxed{5}", "5", False),
        # boxed: the last box as text
        ("boxed", "$x$ is $\\boxed{4}$, no, $\\boxed{\\frac{1}{2}}$.", "\\dfrac{1}{2}", True),
        ("boxed", "\\boxed{1/2}", "\\frac{1}{2}", True),
        ("boxed", "\\boxed{0.5}", "\\frac{1}{2}", True),
        ("boxed", "\\boxed{0.50}", "\\frac{1}{2}", False),
        ("boxed", "\\boxed{5\\text{ cm}}", "5", True),
        ("boxed", "\\boxed{x = 5}", "5", True),
        ("boxed", "\\boxed{90^\\circ}", "90", True),
        ("boxed", "The answer is 5", "5", False),
        # qwen: a hundredth and a hundredfold are right, 1e-4 relative is close enough
        ("qwen", "\\boxed{0.5}", "50\\%", True),
        ("qwen", "\\boxed{5000}", "50", True),
        ("qwen", "\\boxed{50.004}", "50", True),
        ("qwen", "\\boxed{50.006}", "50", False),
        ("qwen", "so the answer is 3/4.", "0.75", True),
        ("qwen", "it takes 3 days and 1,200 men", "1200", True),
        ("qwen", "\\boxed{2} is final, I said \\boxed{\\frac{x}{2}}", "0.5x", True),
        ("qwen", "The final answer is $7$. I hope it is correct.", "7", True),
        ("qwen", "\\boxed{(B)}", "B", True),
        # deepseek: within 0.001, absolutely
        ("deepseek", "\\boxed{0.0004}", "0", True),
        ("deepseek", "\\boxed{0.002}", "0", False),
        ("deepseek", "\\boxed{7} then \\boxed{8", "7", True),
        ("deepseek", "```output\n12\n```\nThat is all.", "12", True),
        ("deepseek", "so the answer is 12.", "12", True),
        ("deepseek", "it is 3 then 12", "12", True),
        ("deepseek-few-shot", "The answer is 18.\n\nQ: What is 3?", "18", True),
        ("deepseek-few-shot", "The answer is 1,800.", "1800", False),  # read as 800
        ("mathrl", "The answer is 1,800.", "1800", True),
    ],
)  # fmt: skip
def test_a_rule_decides_as_described(
    rule: str, completion: str, answer: str, expected: bool
) -> None:
    assert is_correct(rule, completion, answer) is expected


@pytest.mark.parametrize(
    ("stated", "answer", "expected"),
    [
        ("$\\frac12$", "\\frac{1}{2}", True),
        ("$0.5$", "\\frac{1}{2}", True),
        ("5 cm", "5", True),
        ("$x = 5$", "5", True),
        ("$1,800$", "1800", True),
        ("\n5", "5", False),  # the sentence is read on one line
        # a list is compared by its first member, an interval as text alone
        ("$1$", "1,-2", True),
        ("$(0.5,2)$", "(\\frac{1}{2},2)", False),
        ("$(\\frac12,2)$", "(\\frac{1}{2},2)", True),
    ],
)
def test_minerva_reads_one_sentence(stated: str, answer: str, expected: bool) -> None:
    assert is_correct("lm-eval-minerva", SENTENCE.format(stated), answer) is expected


def test_minerva_reads_nothing_but_the_sentence() -> None:
    assert is_correct("lm-eval-minerva", "The answer is $\\boxed{5}$.", "5") is False
    # a text that was cut before the closing words is given them
    assert is_correct("lm-eval-minerva", "Final Answer: The final answer is $5$. ", "5") is True


def test_deepseek_compares_lists_without_order_where_the_question_asks_for_one() -> None:
    question = "Enter all roots, separated by commas."
    assert is_correct("deepseek", "\\boxed{2, 1}", "1,2", question)
    assert not is_correct("deepseek", "\\boxed{2, 1, 3}", "1,2", question)
    assert not is_correct("deepseek", "\\boxed{2}", "1,2", question)


def test_what_was_read_is_told() -> None:
    problem = Problem(id="p", prompt="?", answer="18")
    assert RULES["lm-eval-strict"].apply("#### 1,8", problem).prediction == "1,8"
    assert RULES["lm-eval-strict"].apply("18", problem).prediction is None
    assert RULES["lm-eval-flexible"].apply("none", problem).prediction is None


@pytest.mark.parametrize("rule", RULES)
def test_a_problem_without_an_answer_has_no_verdict(rule: str) -> None:
    problem = Problem(id="p", prompt="?", answer=None)
    assert RULES[rule].apply("#### 5", problem).is_correct is None


FLOODS = {
    "boxes": "\\boxed{" * 40_000,
    "words": "Final Answer: The final answer is " * 8_000,
    "closings": " I hope it is correct." * 10_000,
    "digits": "9" * 200_000,
    "box of digits": "\\boxed{" + "9" * 200_000 + "}",
    "commas": "1," * 100_000,
    "dollars": "$" * 200_000,
    "minus": "-" * 200_000,
    "stated braces": SENTENCE.format("\\text{" * 30_000),
    "roots": "\\boxed{" + "\\sqrt[" * 30_000 + "}",
    "answers": "the answer is " * 15_000,
    "newlines": "\\boxed{" + "\n" * 100_000 + " " * 100_000 + "}",
    "slashes": "\\boxed{" + "9" * 900 + "/" + "9" * 900 + "}",
    "power": "\\boxed{9^{9^{9^{9^{9}}}}}",
}  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("rule", RULES)
def test_a_flood_neither_raises_nor_is_right(rule: str, flood: str) -> None:
    assert is_correct(rule, FLOODS[flood], "18") is False


def test_an_unknown_rule_names_the_nearest() -> None:
    assert get_rule("boxed").name == "boxed"
    with pytest.raises(ConfigError, match="did you mean lm-eval-strict"):
        get_rule("lm-eval-stric")
    with pytest.raises(ConfigError, match="there are mathrl, "):
        get_rule("zzz")
