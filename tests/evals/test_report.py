"""The page is one file that shows what it was given, escaped, and fetches nothing."""

import base64
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import DataError, MissingExtraError
from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.attribution import Attribution, Part
from mathrl.evals.curves import Curve, CurvePoint
from mathrl.evals.report import Fact, Report, ReportTask, render_report, write_report
from mathrl.evals.run_comparison import Side, compare_sides
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


UNRECORDED = dict.fromkeys("cwut")
RECORDED = {**dict.fromkeys("cwu", "stop"), "t": "length"}
LETTERS: dict[str, Any] = {"c": "correct", "w": "wrong", "u": "no_answer", "t": "wrong"}


def result(
    verdicts: list[str], text: str = "<script>{}{}</script>", ends: Mapping[str, Any] = UNRECORDED
) -> EvalResult:
    """Of a letter a sample: correct, wrong, unreadable, or wrong and cut at the token limit."""
    outcomes = []
    for problem, letters in zip(PROBLEMS, verdicts, strict=True):
        samples = [
            SampleOutcome(
                sample_index=index,
                completion=Completion(text=text.format(letter, index), finish_reason=ends[letter]),
                score=Score(
                    value=float(letter == "c"),
                    status=LETTERS[letter],
                    prediction=None if letter == "u" else letter,
                    cue="box",
                ),
            )
            for index, letter in enumerate(letters)
        ]
        outcomes.append(ProblemOutcome.from_samples(problem.id, samples))
    return summarise("t", outcomes, problems=BY_ID)


def sides(*results: EvalResult | None) -> tuple[Side | None, ...]:
    labels = ("before", "after", "later")
    return tuple(
        Side(run=label, result=found) if found else None
        for label, found in zip(labels, results, strict=False)
    )


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
    tasks=(ReportTask(title="t", sides=sides(BEFORE, AFTER), problems=BY_ID),),
    commands=("mathrl verify before",),
    facts=(Fact(name="model", values=("tiny", "small")), Fact(name="seed", values=("7", "7"))),
)
ONE_RUN = replace(REPORT, runs=("before",), tasks=(replace(REPORT.tasks[0], sides=sides(BEFORE)),))


def with_results(*results: EvalResult | None) -> Report:
    return replace(REPORT, tasks=(replace(REPORT.tasks[0], sides=sides(*results)),))


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
    assert "mde" not in page and "of which" not in page and "Fixed and broken" not in page


def test_a_task_that_one_run_lacks_is_not_compared() -> None:
    only = ReportTask(title="other", sides=sides(None, AFTER), problems=BY_ID)
    page = visible(render_report(replace(REPORT, tasks=(*REPORT.tasks, only))))
    assert page.count("+12.50") == 3  # headline, table and the part that is reasoning
    assert "Verdicts and cues, other" in page


def test_runs_without_a_common_task_say_so() -> None:
    apart = replace(REPORT.tasks[0], sides=sides(BEFORE, None))
    other = replace(REPORT.tasks[0], title="other", sides=sides(None, AFTER))
    with pytest.raises(DataError, match="before shares no task with the other runs: it has t, "):
        render_report(replace(REPORT, tasks=(apart, other)))


def test_a_run_is_compared_with_the_first_and_with_no_other() -> None:
    only = replace(REPORT.tasks[0], title="other", sides=sides(None, BEFORE, AFTER))
    both = replace(REPORT.tasks[0], sides=sides(BEFORE, AFTER, None))
    page = visible(
        render_report(replace(REPORT, runs=("before", "after", "later"), tasks=(only, both)))
    )
    assert "points on t, 95 % interval" in page
    assert page.count("+12.50") == 3  # as above; "other" has no first run


def test_several_tests_are_decided_by_holm_as_compare_does() -> None:
    first, better = result(["w"] * 4), result(["c"] * 4)
    report = replace(
        REPORT,
        runs=("before", "after", "later"),
        tasks=(replace(REPORT.tasks[0], sides=sides(first, better, result(["c", "c", "c", "w"]))),),
    )
    page = visible(render_report(report))
    # McNemar with 4 and 3 fixed: 2 / 2^4 and 2 / 2^3; Holm: twice the smaller, once the larger.
    assert "0.12 0.25 4 0" in page and "0.25 0.25 3 0" in page
    names = ("before", "after", "later")
    done = zip(names, report.tasks[0].done, strict=True)
    for run in compare_sides({name: {"t": side} for name, side in done}):
        assert run.verdict() in page and "after Holm" in run.verdict()
    assert "p, Holm is adjusted for the 2 tests of this page" in page
    assert "Holm" not in render_report(REPORT)


def test_a_headline_has_a_colour_only_where_holm_leaves_it_significant() -> None:
    def all_of(letter: str) -> EvalResult:
        one = result([letter] * 4).problems[0]
        return summarise("t", [replace(one, problem_id=str(i)) for i in range(6)])

    def page(*results: EvalResult) -> str:
        task = ReportTask(title="t", sides=sides(*results), is_detailed=False)
        runs = ("before", "after", "later")[: len(results)]
        return render_report(replace(REPORT, runs=runs, tasks=(task,)))

    wrong, right = all_of("w"), all_of("c")
    assert '<strong class="up">+100.00' in page(wrong, right)  # McNemar: 2 / 2^6 = 0.03
    assert '<strong class="down">−100.00' in page(right, wrong)
    assert '<strong class="">+100.00' in page(wrong, right, right)  # 0.06 after Holm


def test_a_difference_is_split_into_its_parts_with_their_intervals() -> None:
    before, after = (result(list(letters), ends=RECORDED) for letters in ("tuwc", "cccc"))
    page = visible(render_report(with_results(before, after)))
    # One problem of four each: +25 points of the +75.
    for name in ("truncation", "format", "reasoning"):
        assert re.search(rf"of which {name} \+25\.00 \S+ … \+\d", page)
    assert "is not recorded" not in page
    unrecorded = visible(render_report(with_results(result(["u", "w", "w", "c"]), AFTER)))
    assert "of which truncation" not in unrecorded
    assert "after: how completions ended is not recorded: truncation is in the" in unrecorded


def test_a_part_without_an_interval_has_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(difference=0.0, stderr=0.0, ci95=None)
    split = Attribution(truncation=None, format=part, reasoning=part, before={}, after={})
    monkeypatch.setattr("mathrl.evals.run_comparison.attribute", lambda before, after: split)
    assert "of which format +0.00 –" in visible(render_report(REPORT))


def test_cut_off_is_explained_only_where_it_is_known() -> None:
    assert "token limit, and not correct" not in render_report(ONE_RUN)
    cut = result(["tw", "cw", "cc", "cc"], ends=RECORDED)
    assert "Cut off: ended by the token limit, and not correct" in render_report(
        with_results(cut, cut)
    )


def test_what_must_be_known_before_a_difference_is_trusted_is_said() -> None:
    fewer = summarise("t", AFTER.problems[:3])
    page = visible(render_report(with_results(BEFORE, fewer)))
    assert "after: 1 problems with a verdict in before only are left out: 3." in page


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
    task = ReportTask(
        title=hostile,
        sides=(Side(run=hostile, result=summarise("t", outcomes)),),
        problems={evil.id: evil},
    )
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
