"""The page in a real browser: offline, quiet, and deaf to whatever a completion says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mathrl.evals import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.report import Report, ReportTask, write_report
from mathrl.evals.run_comparison import Side
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Problem, Score
from tests.evals.browser import Browser, find_chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no chromium on the PATH"),
]
NUM_PROBLEMS = 120
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=document.title='owned'>"
    "</script></textarea></style><svg onload=alert(2)> \u2028\u2029 \u202eRTL \0 "
    "\\(\\text{<script>alert(3)</script>}\\) \\(\\href{javascript:alert(4)}{link}\\) "
    "<iframe src='file:///etc/hostname'></iframe><link rel=stylesheet href=http://a.invalid/>"
)
LONG_LINE = "y" * 100_000


def text(index: int, *, is_correct: bool) -> str:
    special = {1: HOSTILE, 2: LONG_LINE}
    answer = index if is_correct else index + 1
    return special.get(index, f"word{index} so \\(\\frac{{{index}}}{{2}}\\).") + f" #### {answer}"


def problem(index: int) -> Problem:
    question = HOSTILE if index == 1 else f"Question {index}?"
    metadata = {"subject": "Odd" if index % 2 else "Even", "level": index % 3}
    return Problem(id=f"p{index}", prompt=question, answer=str(index), metadata=metadata)


PROBLEMS = {f"p{i}": problem(i) for i in range(NUM_PROBLEMS)}


def result(step: int) -> EvalResult:
    """Two samples a problem: the first correct where the index divides by ``step``."""
    outcomes = []
    for index in range(NUM_PROBLEMS):
        samples = []
        for sample_index in range(2):
            is_correct = index % step == 0 or sample_index == 1
            samples.append(
                SampleOutcome(
                    sample_index=sample_index,
                    completion=Completion(
                        text=text(index, is_correct=is_correct),
                        finish_reason="length" if index % 40 == 5 else "stop",
                    ),
                    score=Score(
                        value=float(is_correct),
                        status="correct" if is_correct else "wrong",
                        prediction=str(index),
                    ),
                )
            )
        outcomes.append(ProblemOutcome.from_samples(f"p{index}", samples))
    return summarise("t", outcomes, problems=PROBLEMS)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "page.html"
    sides = (Side(run="before", result=result(2)), Side(run=HOSTILE, result=result(3)))
    task = ReportTask(title="t", sides=sides, problems=PROBLEMS)
    report = Report(title=HOSTILE, runs=("before", HOSTILE), tasks=(task,), commands=(HOSTILE,))
    write_report(path, report)
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Browser:
    chromium.emulate()
    chromium.open(page)
    chromium.wait("document.getElementById('count').textContent !== ''")
    return chromium


def choose(browser: Browser, name: str, value: str) -> None:
    """Fill in a filter and wait for the list that follows."""
    browser.run(
        f"(() => {{ const field = document.getElementById('filters').elements['{name}'];"
        f"document.getElementById('count').textContent = '';"
        f"if (field.type === 'checkbox') field.checked = {value!r} === 'on';"
        f"else field.value = {value!r};"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    browser.wait("document.getElementById('count').textContent !== ''")


def count(browser: Browser) -> str:
    found: str = browser.run("document.getElementById('count').textContent")
    return found.removesuffix(f" of {NUM_PROBLEMS} problems")


def open_problem(browser: Browser, place: int) -> str:
    """The text of one problem of the list, opened."""
    row = f"document.querySelectorAll('.problem')[{place}]"
    browser.run(f"{row}.open = true")
    browser.wait(f"{row}.childElementCount === 2")
    shown: str = browser.run(f"{row}.lastElementChild.textContent")
    return shown


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.wait("document.querySelectorAll('.body').length === 50")
    requests = browser.reported("Network.requestWillBeSent")
    assert [r["request"]["url"] for r in requests] == [page.resolve().as_uri()]
    assert not browser.reported(
        "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"
    )


def test_hostile_text_is_shown_and_does_nothing(browser: Browser) -> None:
    shown = open_problem(browser, 1)
    assert "<script>alert(1)</script><img src=x onerror=" in shown
    assert "file:///etc/hostname" in shown
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.run("document.title").startswith("<script>alert(1)</script>")
    assert browser.run("document.querySelectorAll('img, iframe, link, math script').length") == 0
    assert browser.run("document.querySelectorAll('[onerror], [onload], math [href]').length") == 0
    assert not browser.reported("Page.javascriptDialogOpening")


def test_the_policy_stops_what_would_get_in(browser: Browser) -> None:
    """Were text ever taken for markup, still nothing would run or load."""
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned=1\">')"
    )
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.owned = 2'}))"
    )
    browser.wait("document.images[0].complete")
    assert browser.run("window.owned") is None
    assert "Content Security Policy" in str(browser.reported("Log.entryAdded"))


def test_formulas_are_drawn(browser: Browser) -> None:
    open_problem(browser, 4)
    top, bottom = browser.run(
        "[...document.querySelector('.body mfrac').children]"
        ".map((child) => child.getBoundingClientRect().y)"
    )
    assert bottom > top + 5  # above each other, not the letters of \frac
    choose(browser, "source", "on")
    assert "\\(\\frac{4}{2}\\)" in open_problem(browser, 4)


def test_a_long_line_is_cut_and_stays_within_the_page(browser: Browser) -> None:
    shown = open_problem(browser, 2)
    assert "yyyy" in shown and "characters left out]" in shown and len(shown) < 20_000
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_filters_find_what_they_say(browser: Browser) -> None:
    assert count(browser) == str(NUM_PROBLEMS)
    choose(browser, "query", "WORD77 ")
    assert count(browser) == "1"
    assert "Question 77?" in open_problem(browser, 0)
    choose(browser, "query", "frac{88}")
    assert count(browser) == "1"
    choose(browser, "query", "")
    # Correct before where 2 divides, after where 3 does: 20 of 120 rise, 40 fall.
    choose(browser, "change", "0 fixed")
    assert count(browser) == "20"
    choose(browser, "change", "0 broken")
    assert count(browser) == "40"
    choose(browser, "subject", "Odd")
    assert count(browser) == "0"
    choose(browser, "subject", "Even")
    choose(browser, "level", "1")
    assert count(browser) == "20"  # even, not divisible by 3, and 1 modulo 3
    choose(browser, "change", "")
    choose(browser, "subject", "")
    choose(browser, "level", "")
    choose(browser, "cut", "on")
    assert count(browser) == "3"  # 5, 45 and 85
    choose(browser, "status", "wrong")
    choose(browser, "run", "1")
    assert count(browser) == "2"  # 45 is correct after


def test_an_opened_problem_shows_the_sample_that_was_searched_for(browser: Browser) -> None:
    choose(browser, "status", "correct")
    choose(browser, "query", "word7 ")
    open_problem(browser, 0)
    pressed = browser.run(
        "[...document.querySelectorAll('.picks [aria-pressed=true]')].map((b) => b.textContent)"
    )
    assert pressed == ["2", "2"]


def test_pages_turn_and_show_fifty_problems(browser: Browser) -> None:
    rows = "document.querySelectorAll('.problem').length"
    assert browser.run(rows) == 50
    browser.run("document.getElementById('next').click()")
    browser.run("document.getElementById('next').click()")
    assert browser.run(rows) == 20
    assert browser.run("document.getElementById('page').textContent") == "3 of 3"
    assert browser.run("document.getElementById('next').disabled")


def test_the_keyboard_opens_a_problem(browser: Browser) -> None:
    browser.run("document.querySelector('#filters input[name=source]').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.parentElement.className") == "problem"
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.problem[open] .body').length === 1")


def test_the_page_follows_the_theme_and_the_button_changes_it(browser: Browser) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(background)
    browser.emulate(dark=True)
    dark = browser.run(background)
    assert (light, dark) == ("rgb(247, 246, 243)", "rgb(19, 20, 23)")
    browser.run("document.getElementById('theme').click()")
    assert browser.run(background) == light
    browser.run("document.getElementById('theme').click()")
    browser.emulate()
    assert browser.run(background) == dark


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_needs_scrolling_sideways(browser: Browser, width: int) -> None:
    browser.emulate(width=width)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.wait("document.querySelectorAll('.body').length === 50")
    assert browser.run("document.documentElement.scrollWidth") <= width
