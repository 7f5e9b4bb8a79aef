"""The page is one file that shows what it was given, escaped, and fetches nothing."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mathrl.errors import MissingExtraError
from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome, compare
from mathrl.evals.curves import Curve, CurvePoint, learning_curve_png
from mathrl.evals.report import Report, ReportSide, pick_examples, render_report, write_report
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Problem, Score

PROBLEMS = [Problem(id=str(i), prompt=f"Is {i} < 3 & odd?", answer=str(i)) for i in range(4)]


def result(verdicts: list[str]) -> EvalResult:
    outcomes = []
    for problem, letters in zip(PROBLEMS, verdicts, strict=True):
        samples = [
            SampleOutcome(
                sample_index=index,
                completion=Completion(text=f"<script>{letter}{index}</script>"),
                score=Score(
                    value=float(letter == "c"),
                    status="correct" if letter == "c" else "wrong",
                    prediction=letter,
                ),
            )
            for index, letter in enumerate(letters)
        ]
        outcomes.append(ProblemOutcome.from_samples(problem.id, samples))
    return summarise("t", outcomes)


BEFORE = result(["ww", "cw", "cc", "cc"])
AFTER = result(["cw", "cc", "wc", "cc"])
CURVES = (
    Curve(
        label="held-out",
        points=(CurvePoint(step=0, rate=0.3, low=0.2, high=0.4), CurvePoint(step=5, rate=0.6)),
    ),
)
REPORT = Report(
    title="Before & after",
    command="mathrl demo --seed 7",
    seed=7,
    before=ReportSide(label="before", sampled=BEFORE),
    after=ReportSide(label="after", sampled=AFTER),
    comparison=compare(BEFORE, AFTER),
    examples=pick_examples(PROBLEMS, BEFORE, AFTER),
    facts=(("model", "tiny"),),
)


def test_examples_show_the_samples_that_changed() -> None:
    examples = pick_examples(PROBLEMS, BEFORE, AFTER)
    assert [(e.kind, e.answer) for e in examples] == [
        ("fixed", "0"),
        ("fixed", "1"),
        ("broken", "2"),
    ]
    for example in examples:
        right, wrong = (
            (example.after, example.before)
            if example.kind == "fixed"
            else (example.before, example.after)
        )
        assert (right.score.status, wrong.score.status) == ("correct", "wrong")
    assert len(pick_examples(PROBLEMS, BEFORE, AFTER, limit=1)) == 2


def test_results_without_samples_give_no_examples() -> None:
    read = EvalResult.from_json("t", BEFORE.to_json())
    assert pick_examples(PROBLEMS, read, AFTER) == ()


def test_the_page_shows_the_numbers_with_their_error_bars() -> None:
    page = render_report(REPORT)
    # 5 of 8 before and 6 of 8 after: +12.5 points; paired t over 4 problems.
    assert "+12.50" in page and "62.50" in page and "75.00" in page
    assert "paired t by problem, p = 0.64" in page
    assert "2 problems up, 1 down" in page
    assert "mathrl demo --seed 7" in page and "tiny" in page
    for rate in ("accuracy", "pass@2", "maj@2"):
        assert re.search(rf"<td>{rate}</td>\s*<td>[\d.]+<small>[\d.]+ … [\d.]+</small>", page)


def test_greedy_results_have_a_row_and_the_exact_test() -> None:
    old, new = result(["w", "w", "c", "c"]), result(["c", "c", "c", "c"])
    page = render_report(
        replace(
            REPORT,
            before=replace(REPORT.before, greedy=old),
            after=replace(REPORT.after, greedy=new),
            greedy_comparison=compare(old, new),
        )
    )
    assert "exact McNemar, p = 0.5" in page
    assert "2 problems fixed, 0 broken" in page
    assert re.search(r"<td>greedy</td>\s*<td>50.00<small>", page)


def test_model_text_is_escaped() -> None:
    page = render_report(REPORT)
    assert "<script" not in page
    assert "&lt;script&gt;c0&lt;/script&gt;" in page
    assert "Is 0 &lt; 3 &amp; odd?" in page


def test_nothing_is_fetched() -> None:
    page = render_report(replace(REPORT, curves=CURVES))
    assert "http" not in page
    sources = re.findall(r'(?:src|srcset|href)="([^"]{,30})', page)
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_long_completion_is_cut_and_says_so() -> None:
    long = replace(REPORT.examples[0].before, completion=Completion(text="x" * 5000))
    example = replace(REPORT.examples[0], before=long)
    page = render_report(replace(REPORT, examples=(example,)))
    assert "x" * 4000 in page and "x" * 4001 not in page
    assert "[1000 characters left out]" in page


def test_any_model_text_can_be_written(tmp_path: Path) -> None:
    odd = replace(REPORT.examples[0].before, completion=Completion(text="\ud800 lone"))
    path = tmp_path / "report.html"
    write_report(path, replace(REPORT, examples=(replace(REPORT.examples[0], before=odd),)))
    assert "? lone" in path.read_text()


def test_the_curve_is_a_png_of_the_size_that_it_says() -> None:
    png = learning_curve_png(CURVES)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert [int.from_bytes(png[i : i + 4], "big") for i in (16, 20)] == [1600, 800]
    assert learning_curve_png(CURVES) == png
    assert learning_curve_png(CURVES, dark=True) != png


def test_missing_packages_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[eval\]'"):
        learning_curve_png(CURVES)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[eval\]'"):
        render_report(REPORT)


def test_the_single_sample_that_is_compared_has_a_row_of_its_own():
    sides = {
        "before": ReportSide(label="before", sampled=BEFORE, single=BEFORE),
        "after": ReportSide(label="after", sampled=AFTER, single=AFTER),
    }
    page = render_report(replace(REPORT, **sides))
    assert "accuracy, one sample" in page and "accuracy, all samples" in page
    assert "accuracy, one sample" not in render_report(REPORT)
