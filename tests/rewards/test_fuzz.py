r"""What must hold of any two texts: no exception, one meaning of None, symmetry, policies in order.

Texts are token soup, any Unicode, and well-formed answers of every kind that are built from few
numbers and letters, so that two of them are often equal.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathrl.rewards import EVAL, REWARD, Policy, equivalent, extract, grade
from mathrl.schema import Score

WRITTEN = r"""
\boxed{ \fbox{ \boxed } { [ ] ( ) \{ \} \left( \right) \left[ \right] \left. | \langle \rangle
\frac \dfrac \frac12 \sqrt \sqrt[3] \binom ^ _ ^{ _{ ^2 _2 ^\circ ! \pm \mp + - * / \cdot \times
\div : , ; . ... \ldots = < > \le \ge \ne \neq \approx \in \notin \cup \cap \setminus \infty
\emptyset \mathbb{R} \pi \theta e i x y n f(x) 0 1 2 3 10 12 1,234 1{,}234 0.5 .5 5. 1e5 1/2 3/4
0.\overline{3} \sin \cos \log_2 \ln \sum_{k=1}^n \int_0^1 \lim_{x\to0} dx \begin{pmatrix}
\end{pmatrix} \begin{cases} \end{cases} & \\ \text{ \text{cm} \mathrm{ \% % $ $$ \$ \( \) \[ \] **
#### <answer> </answer> <think> </think> and or yes no A B) cm m/s dollars am pm : 12:30 101_2 ½ ²
√ − π ≤ ∞ × ٣ 三 \operatorname{ \pmod{5} \equiv \mod 7 \hat{i} \lfloor \rfloor \to \quad ' "
"""
FRAGMENTS = WRITTEN.split()
SAID = ["the answer is ", "Answer: ", "\n", " ", "\n#### ", "wait, ", "\u200b", "\ud800", "\0"]
SOUP = st.lists(st.sampled_from(FRAGMENTS + SAID), max_size=14).map("".join)
SPACED_SOUP = st.lists(st.sampled_from(FRAGMENTS + SAID), max_size=14).map(" ".join)

COUNTS = "0 1 2 3 -1 -2 1/2 0.5 0.50 2.0 10 1,000 1000 50 1e3 .5 3/6 00"
NUMBERS = st.sampled_from(COUNTS.split())
LETTERS = st.sampled_from(["x", "y", "n", r"\pi", "i", "e", r"\theta", "a_1", r"\infty"])
JOINED = st.sampled_from(["+", "-", r" \cdot ", "", "*", "/", "^", r"\times "])


def _deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write a formula around formulas."""
    return st.one_of(
        st.tuples(inner, JOINED, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: f"{{{pair[0]}}}^{{{pair[1]}}}"),
        inner.map(r"\sqrt{{{}}}".format),
        inner.map("({})".format),
        inner.map("-{}".format),
        inner.map("|{}|".format),
        inner.map("{}!".format),
        st.tuples(st.sampled_from([r"\sin", r"\ln", r"\log_2", r"\cos", "f"]), inner).map(
            lambda pair: f"{pair[0]}({pair[1]})"
        ),
    )


FORMULAS = st.recursive(st.one_of(NUMBERS, LETTERS), _deeper, max_leaves=5)
PARTS = st.one_of(NUMBERS, NUMBERS, FORMULAS)
ROWS = st.lists(PARTS, min_size=1, max_size=3)
SUFFIXES = ["%", r"\%", r"\text{ cm}", " m", r"^\circ", " dollars", "_2", ":2", " pm", " or 1", "."]
RELATIONS = ["=", "<", r"\le", ">", r"\ne", r"\in", r"\pm", r"\approx"]


def _answers() -> st.SearchStrategy[str]:
    """Write answers of every kind."""
    lists = st.tuples(ROWS, st.sampled_from([", ", ";", r"\text{ and }", " or "])).map(
        lambda pair: pair[1].join(pair[0])
    )
    opening = st.sampled_from(["(", "[", r"\{", r"\left(", r"\langle "])
    closing = st.sampled_from([")", "]", r"\}", r"\right)", r"\rangle"])
    rounded = st.tuples(opening, lists, closing).map("".join)
    matrices = st.tuples(st.lists(ROWS, min_size=1, max_size=2), st.sampled_from("pbv")).map(
        lambda pair: (
            rf"\begin{{{pair[1]}matrix}}"
            + r" \\ ".join(" & ".join(row) for row in pair[0])
            + rf"\end{{{pair[1]}matrix}}"
        )
    )
    relations = st.tuples(PARTS, st.sampled_from(RELATIONS), PARTS).map("".join)
    chains = st.tuples(relations, st.sampled_from(RELATIONS), PARTS).map("".join)
    measured = st.tuples(PARTS, st.sampled_from(SUFFIXES)).map("".join)
    unions = st.tuples(rounded, st.sampled_from([r"\cup", r"\cap", r"\setminus"]), rounded).map(
        "".join
    )
    return st.one_of(PARTS, FORMULAS, lists, rounded, matrices, relations, chains, measured, unions)


ANSWERS = _answers()
TEXTS = st.one_of(st.text(max_size=40), SOUP, SPACED_SOUP, ANSWERS, ANSWERS)
COMPLETIONS = st.one_of(
    TEXTS,
    st.tuples(TEXTS, ANSWERS, TEXTS).map(
        lambda parts: rf"{parts[0]}\boxed{{{parts[1]}}}{parts[2]}"
    ),
    st.tuples(TEXTS, ANSWERS).map("\n#### ".join),
    st.lists(TEXTS, max_size=3).map(r"} so \boxed{".join),
)
POLICIES = st.sampled_from([EVAL, REWARD])

fuzz = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(score: Score) -> None:
    """Check what holds of every score."""
    assert (score.value is None) == (score.status == "gold_unparseable")
    assert (score.value == 1.0) == (score.status == "correct")
    assert score.value in (0.0, 1.0, None)
    assert score.reason


@fuzz
@given(COMPLETIONS, TEXTS, POLICIES)
def test_no_text_raises(completion: str, answer: str, policy: Policy) -> None:
    check(grade(completion, answer, policy))
    check(equivalent(completion, answer, policy))
    found = extract(completion, policy)
    assert (found.text is None) == (found.status is not None)


@fuzz
@given(TEXTS, POLICIES)
def test_every_text_equals_itself(text: str, policy: Policy) -> None:
    score = equivalent(text, text, policy)
    assert score.value in (1.0, None)


@fuzz
@given(TEXTS, TEXTS)
def test_a_verdict_is_the_same_both_ways(first: str, second: str) -> None:
    forth, back = equivalent(first, second, EVAL), equivalent(second, first, EVAL)
    if forth.value is not None and back.value is not None:
        assert forth.value == back.value


@fuzz
@given(ANSWERS, ANSWERS)
def test_the_strict_policy_pays_only_what_the_lenient_one_pays(first: str, second: str) -> None:
    if equivalent(first, second, REWARD).value:
        assert equivalent(first, second, EVAL).value


@fuzz
@given(TEXTS, ANSWERS, ANSWERS, POLICIES)
def test_the_prediction_does_not_depend_on_the_gold(
    text: str, first: str, second: str, policy: Policy
) -> None:
    one, other = equivalent(text, first, policy), equivalent(text, second, policy)
    if None not in (one.prediction, other.prediction):
        assert one.prediction == other.prediction
