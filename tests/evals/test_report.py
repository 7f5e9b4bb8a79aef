"""The page is one file that shows what it was given, escaped, and fetches nothing."""

import base64
import gzip
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import DataError, MissingExtraError
from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.curves import Curve, CurvePoint
from mathrl.evals.report import Fact, Report, ReportTask, render_report, write_report
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Problem, Score

PROBLEMS = [
    Problem(
        id=str(i),
        prompt=f"Is {i} < 3 & odd?",
        answer=str(i),
        metadata={"subject": "Odd", "level": 1 + i % 2},
    )
    for i in range(4)
]
BY_ID = {problem.id: problem for problem in PROBLEMS}


def result(verdicts: list[str], text: str = "<script>{}{}</script>") -> EvalResult:
    outcomes = []
    for problem, letters in zip(PROBLEMS, verdicts, strict=True):
        samples = [
            SampleOutcome(
                sample_index=index,
                completion=Completion(text=text.format(letter, index)),
                score=Score(
                    value=float(letter == "c"),
                    status="correct" if letter == "c" else "wrong",
                    prediction=letter,
                    cue="box",
                ),
            )
            for index, letter in enumerate(letters)
        ]
        outcomes.append(ProblemOutcome.from_samples(problem.id, samples))
    return summarise("t", outcomes, problems=BY_ID)


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
    runs=("before", "after"),
    tasks=(ReportTask(title="t", results=(BEFORE, AFTER), problems=BY_ID),),
    commands=("mathrl verify before",),
    facts=(Fact(name="model", values=("tiny", "small")), Fact(name="seed", values=("7", "7"))),
)
ONE_RUN = replace(REPORT, runs=("before",), tasks=(replace(REPORT.tasks[0], results=(BEFORE,)),))


def with_results(*results: EvalResult | None) -> Report:
    return replace(REPORT, tasks=(replace(REPORT.tasks[0], results=results),))


def visible(page: str) -> str:
    """The text of a page, without its style, script and data."""
    without = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", without).split())


def data_of(page: str) -> dict[str, Any]:
    packed = re.search(r'id="data">([A-Za-z0-9+/=]+)</script>', page)
    assert packed is not None
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return data


def test_the_page_shows_the_difference_with_its_error_bar() -> None:
    page = visible(render_report(REPORT))
    # 5 of 8 before and 6 of 8 after: +12.5 points; paired t over 4 problems.
    assert "+12.50" in page and "62.50" in page and "75.00" in page
    assert "paired t by problem, p = 0.64" in page
    assert "2 problems rose, 1 fell" in page
    assert "mathrl verify before" in page and "tiny" in page and "small" in page
    for rate in ("pass@2", "maj@2"):
        assert re.search(rf"{rate} [\d.]+ [\d.]+ … [\d.]+ [\d.]+ [\d.]+ … [\d.]+", page)


def test_one_sample_a_problem_takes_the_exact_test() -> None:
    page = render_report(with_results(result(["w", "w", "c", "c"]), result(["c", "c", "c", "c"])))
    assert "exact McNemar, p = 0.5" in page
    assert "2 problems fixed, 0 broken" in page
    assert "pass@" not in visible(page).partition("What the figures")[0]


def test_axes_of_intervals_stay_within_what_rates_can_be() -> None:
    low, high = result(["w"] * 3 + ["c"]), result(["c"] * 4)
    page = visible(render_report(with_results(low, high)))
    ends = re.search(r"95 % interval ([\d.−-]+) ([\d.]+) problems", page)
    assert ends is not None and float(ends[1]) >= 0 and ends[2] == "100.00"
    fell = visible(render_report(with_results(high, result(["w"] * 4))))
    assert "95 % interval 0.00 100.00 problems" in fell
    assert "95 % interval −100.00 " in fell


def test_one_run_has_no_difference() -> None:
    page = visible(render_report(ONE_RUN))
    assert "62.50 percent correct" in page
    assert "detectable" not in page and "Fixed and broken" not in page


def test_a_task_that_one_run_lacks_is_not_compared() -> None:
    only = ReportTask(title="other", results=(None, AFTER), problems=BY_ID)
    page = visible(render_report(replace(REPORT, tasks=(*REPORT.tasks, only))))
    assert page.count("+12.50") == 2  # headline and table
    assert "Verdicts and cues, other" in page


def test_runs_without_a_common_problem_say_so() -> None:
    other = summarise("t", [replace(o, problem_id=f"x{o.problem_id}") for o in AFTER.problems])
    with pytest.raises(DataError, match="share no problem id"):
        render_report(with_results(BEFORE, other))


def test_results_without_samples_still_have_their_figures() -> None:
    page = render_report(with_results(EvalResult.from_json("t", BEFORE.to_json()), AFTER))
    assert "+12.50" in page
    assert "Fixed and broken" not in page


def test_a_row_of_the_table_only_has_no_sections() -> None:
    task = replace(REPORT.tasks[0], is_detailed=False)
    page = visible(render_report(replace(REPORT, tasks=(task,))))
    assert "+12.50" in page
    assert "Verdicts" not in page and "Samples" not in page


def test_the_learning_curve_is_drawn() -> None:
    page = render_report(replace(REPORT, curves=CURVES))
    assert "held-out, step 0: 30.00 (95 % interval 20.00 … 40.00)" in page
    assert "held-out, step 5: 60.00<" in page


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_is_fetched_and_model_text_is_no_markup() -> None:
    hostile = "</script><script>a{}{}</script><img src=x onerror=a()><a href=//b>\u2028\u202e"
    evil = Problem(id="<b onclick=a()>", prompt=hostile, answer=hostile)
    outcomes = [replace(o, problem_id=evil.id) for o in result(["cw"] * 4, hostile).problems[:1]]
    task = ReportTask(title=hostile, results=(summarise("t", outcomes),), problems={evil.id: evil})
    page = render_report(
        replace(ONE_RUN, title=hostile, runs=(hostile,), tasks=(task,), curves=CURVES)
    )
    parser = _Elements()
    parser.feed(page)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 2 and tags.count("style") == 1
    assert not {"img", "iframe", "link", "object", "base"} & set(tags)
    for tag, attributes in parser.found:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style")
        ]
        assert tag != "a" or attributes == {"href": "#samples"}
    sample = data_of(page)["tasks"][0]["problems"][0]["runs"][0]["samples"][1]
    assert sample["text"] == [hostile.format("w", 1)]


def test_the_policy_allows_the_one_style_and_the_one_script_by_their_hash() -> None:
    page = render_report(REPORT)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and policy[1].startswith("default-src 'none';")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1] and "http" not in policy[1]


def test_a_long_completion_is_cut_and_says_so() -> None:
    page = render_report(with_results(BEFORE, result(["cw", "cc", "wc", "cc"], "x" * 5000)))
    assert "x" * 4000 in page and "x" * 4001 not in page
    assert "[1000 characters left out]" in page
    text = data_of(page)["tasks"][0]["problems"][0]["runs"][1]["samples"][0]["text"]
    assert text == ["x" * 4000 + "\n[1000 characters left out]"]


def test_any_model_text_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, with_results(BEFORE, result(["cw", "cc", "wc", "cc"], "\ud800 lone \0")))
    page = path.read_text("utf-8")
    assert "? lone" in page
    text = data_of(page)["tasks"][0]["problems"][0]["runs"][1]["samples"][0]["text"]
    assert text == ["\ud800 lone \0"]


def test_the_same_report_is_the_same_file() -> None:
    assert render_report(REPORT) == render_report(REPORT)


def test_a_missing_template_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[eval\]'"):
        render_report(REPORT)
