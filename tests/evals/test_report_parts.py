"""What the page is made of: charts, the map by subject and level, flips, packed samples, labels."""

import base64
import gzip
import json
import re
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import ConfigError, DataError
from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.report import load_report
from mathrl.evals.report.charts import NUM_COLORS, Point, Series, line_chart, nice_ticks
from mathrl.evals.report.figures import length_panels, length_rows, length_unit, sample_curves
from mathrl.evals.report.flips import changes, pick_flips
from mathrl.evals.report.heatmap import heat_maps
from mathrl.evals.report.maths import FormulaBook
from mathrl.evals.report.runs import _labels
from mathrl.evals.report.samples import SampleTask, pack_samples
from mathrl.evals.report.tables import axis
from mathrl.evals.stats import Interval
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Problem, Score


def sample(letter: str, index: int = 0, *, tokens: int | None = None) -> SampleOutcome:
    """``c`` correct, ``w`` wrong, ``l`` wrong and cut at the limit."""
    return SampleOutcome(
        sample_index=index,
        completion=Completion(
            text=letter * 10, finish_reason="length" if letter == "l" else "stop"
        ),
        score=Score(
            value=float(letter == "c"),
            status="correct" if letter == "c" else "wrong",
            prediction=letter,
        ),
        num_tokens=tokens,
    )


def problem(name: str, **metadata: Any) -> Problem:
    return Problem(id=name, prompt=f"{name}?", answer="1", metadata=metadata)


def evaluated(verdicts: dict[str, str], tokens: int | None = None) -> EvalResult:
    outcomes = [
        ProblemOutcome.from_samples(
            name, [sample(letter, i, tokens=tokens) for i, letter in enumerate(letters)]
        )
        for name, letters in verdicts.items()
    ]
    return summarise("t", outcomes)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (86.4, 99.4, [85, 90, 95, 100]),
        (3, 3, [3, 4]),
        (0, 0, [0, 0.2]),
        (-0.5, 1, [-0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, ticks: list[float]) -> None:
    found = nice_ticks(low, high)
    assert found[0] <= low and found[-1] >= high and len(found) <= 8
    assert found[: len(ticks)] == pytest.approx(ticks)


def test_the_axis_of_intervals_has_room_and_ends_where_rates_end() -> None:
    inside = axis([Interval(low=0.2, high=0.5), Interval(low=0.4, high=0.7)])
    assert (inside.low, inside.high) == pytest.approx((0.17, 0.73), abs=1e-15)  # 6 % of 0.5
    assert axis([Interval(low=0.004, high=0.997)]) == Interval(low=0.0, high=1.0)
    difference = axis([Interval(low=-0.99, high=0.0)], lowest=-1.0)
    assert (difference.low, difference.high) == pytest.approx((-1.0, 0.0594), abs=1e-15)


def test_a_log_axis_gives_each_doubling_the_same_room() -> None:
    points = tuple(Point(x=k, y=k, low=k - 1, high=k + 1) for k in (1, 2, 4, 8))
    svg = line_chart(
        [Series(label="a<b", points=points)], title="t", x_label="k", y_label="%", log_x=True
    )
    (path,) = re.findall(r'class="line c0" points="([^"]*)"', svg)
    xs = [float(pair.split(",")[0]) for pair in path.split()]
    gaps = [b - a for a, b in pairwise(xs)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.11)
    ys = [float(pair.split(",")[1]) for pair in path.split()]
    assert ys == sorted(ys, reverse=True), "up is up"
    assert "a&lt;b, k 4: 4.00 (95 % interval 3.00 … 5.00)" in svg


def test_lines_in_one_place_all_show() -> None:
    """A later line has a shorter dash of the same period, and smaller markers."""
    points = (Point(x=1, y=1), Point(x=2, y=2))
    lines = [Series(label=str(i), points=points) for i in range(NUM_COLORS)]
    svg = line_chart(lines, title="t", x_label="k", y_label="%")
    radii = [
        {float(r) for r in re.findall(rf'class="dot c{color}" [^>]*r="([\d.]+)"', svg)}
        for color in range(NUM_COLORS)
    ]
    assert all(len(same) == 1 for same in radii)
    sizes = [min(same) for same in radii]
    assert all(old - new > 0.5 for old, new in pairwise(sizes))
    style = (resources.files("mathrl.evals") / "templates" / "report.css").read_text()
    found = re.findall(r"\.line\.c(\d) { stroke-dasharray: (\d+) (\d+); }", style)
    dashes = [(int(dash), int(dash) + int(gap)) for _, dash, gap in found]
    assert [int(color) for color, _, _ in found] == list(range(1, NUM_COLORS))
    assert len({period for _, period in dashes}) == 1
    assert all(old > new for (old, _), (new, _) in pairwise(dashes))


def test_curves_of_one_run_share_a_chart_and_of_two_have_a_chart_a_figure() -> None:
    old, new = evaluated({"a": "cw", "b": "ww"}), evaluated({"a": "cc", "b": "cw"})
    (panel,) = sample_curves([("old", old)])
    assert panel.legend == ("pass@k", "maj@k")
    panels = sample_curves([("old", old), ("new", new)])
    assert [p.title for p in panels] == ["pass@k", "maj@k"]
    assert panels[0].legend == ("old", "new")
    assert sample_curves([("one", evaluated({"a": "c"}))]) == []


def test_lengths_are_counted_by_outcome() -> None:
    result = evaluated({"a": "ccw", "b": "wwl"}, tokens=7)
    assert [(r.outcome, r.num_samples, r.median) for r in length_rows([("r", result)])] == [
        ("correct", 2, 7),
        ("not correct", 3, 7),
        ("cut off", 1, 7),
    ]
    (panel,) = length_panels([("r", result)])
    for part, count in (("correct", 2), ("not correct", 3), ("cut off", 1)):
        assert f"<title>{part}: {count} of " in panel.svg


def test_runs_with_and_without_tokens_are_compared_in_characters() -> None:
    results = [("a", evaluated({"a": "c"}, tokens=3)), ("b", evaluated({"a": "w"}))]
    assert length_unit(results) == "characters"
    assert [row.median for row in length_rows(results)] == [10, 10]


def test_the_map_has_a_cell_for_each_subject_and_level_and_their_totals() -> None:
    problems = {
        "a": problem("a", subject="X", level=1),
        "b": problem("b", subject="X", level=2),
        "c": problem("c", subject="Y", level=2),
    }
    old, new = evaluated({"a": "c", "b": "w", "c": "c"}), evaluated({"a": "w", "b": "c", "c": "c"})
    base, difference = heat_maps([("old", old), ("new", new)], problems)
    assert base.columns == ("all", "1", "2")
    table = {
        subject: [cell and (round(cell.rate, 3), cell.n) for cell in cells]
        for subject, cells in base.rows
    }
    assert table == {
        "X": [(0.5, 2), (1.0, 1), (0.0, 1)],
        "Y": [(1.0, 1), None, (1.0, 1)],
        "all": [(0.667, 3), (1.0, 1), (0.5, 2)],
    }
    cells = dict(difference.rows)["X"]
    assert [cell and (cell.rate, cell.shade) for cell in cells] == [
        (0.0, "s0"),
        (-1.0, "s10 down"),
        (1.0, "s10 up"),
    ]


def test_a_map_needs_a_subject_or_a_level() -> None:
    result = evaluated({"a": "c"})
    assert heat_maps([("r", result)], {"a": problem("a")}) == []
    (only_level,) = heat_maps([("r", result)], {"a": problem("a", level=3)})
    assert [subject for subject, _ in only_level.rows] == ["all"]
    (only_subject,) = heat_maps([("r", result)], {"a": problem("a", subject="X", level=None)})
    assert only_subject.columns == ("all",)


def test_flips_show_the_samples_that_changed() -> None:
    problems = {name: problem(name) for name in "abcd"}
    before = evaluated({"a": "ww", "b": "cw", "c": "cc", "d": "cc"})
    after = evaluated({"a": "cw", "b": "cc", "c": "wc", "d": "cc"})
    assert changes(before, after) == {"a": "fixed", "b": "fixed", "c": "broken", "d": "same"}
    flips = pick_flips(problems, before, after)
    assert [(f.kind, f.problem.id) for f in flips] == [
        ("fixed", "a"),
        ("fixed", "b"),
        ("broken", "c"),
    ]
    for flip in flips:
        right, wrong = (
            (flip.after, flip.before) if flip.kind == "fixed" else (flip.before, flip.after)
        )
        assert (right.score.status, wrong.score.status) == ("correct", "wrong")
    assert len(pick_flips(problems, before, after, limit=1)) == 2
    read = EvalResult.from_json("t", before.to_json())
    assert pick_flips(problems, read, after) == ()


def unpacked(task: SampleTask, **options: Any) -> tuple[dict[str, Any], int, int]:
    packed = pack_samples(("r", "s")[: len(task.results)], [task], FormulaBook(), **options)
    data = json.loads(gzip.decompress(base64.b64decode(packed.data)))
    return data, packed.num_samples, packed.num_given


def test_packed_samples_hold_what_the_browser_of_samples_shows() -> None:
    problems = {"a": problem("a", subject="X", level=0)}
    task = SampleTask(
        title="t",
        problems=problems,
        results=(evaluated({"a": "wc"}, tokens=0), evaluated({"a": "cl"})),
    )
    data, _, _ = unpacked(task)
    (row,) = data["tasks"][0]["problems"]
    assert (row["subject"], row["level"], row["changes"]) == ("X", "0", ["same"])
    first, second = row["runs"]
    assert (first["n"], first["c"]) == (2, 1)
    # Zero is a value: sample 0, no tokens.
    assert first["samples"][0] == {
        "index": 0,
        "status": "wrong",
        "read": ["w"],
        "tokens": 0,
        "text": ["w" * 10],
    }
    assert second["samples"][1]["cut"] is True


@pytest.mark.parametrize("cap", [0, 1, 2, 3, 4, 5, 6])
def test_a_capped_page_holds_first_samples_first(cap: int) -> None:
    problems = {"a": problem("a"), "b": problem("b")}
    task = SampleTask(title="t", problems=problems, results=(evaluated({"a": "ccc", "b": "ww"}),))
    data, num_samples, num_given = unpacked(task, max_samples=cap)
    held = [
        (row["id"], sample["index"])
        for row in data["tasks"][0]["problems"]
        for sample in row["runs"][0]["samples"]
    ]
    order = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    assert set(held) == set(order[:cap])
    assert (num_samples, num_given) == (min(cap, 5), 5)


def test_a_problem_that_one_run_lacks_is_shown_for_the_other() -> None:
    task = SampleTask(
        title="t",
        problems={"a": problem("a"), "b": problem("b")},
        results=(evaluated({"a": "c"}), evaluated({"a": "c", "b": "w"})),
    )
    data, _, _ = unpacked(task)
    rows = data["tasks"][0]["problems"]
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[1]["runs"][0] is None and rows[1]["changes"] == [None]


def test_labels_are_names_and_never_places(tmp_path: Path) -> None:
    assert _labels([tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "z"]) == (
        "run",
        "run (2)",
        "z",
    )
    with pytest.raises(ConfigError, match="twice"):
        _labels([tmp_path, f"{tmp_path}/."])


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        load_report([tmp_path])
