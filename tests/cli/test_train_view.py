"""The live table: what stands in it, and that nothing is cut at 80 columns."""

import io

import pytest
from rich.console import Console

from mathrl.cli.train_view import EVALUATIONS, LINES, TrainView


def train_record(step, **metrics):
    return {
        "kind": "train",
        "step": step,
        "reward/mean": 0.6125,
        "reward/zero_spread": 0.25,
        "reward/status/correct": 0.61,
        "reward/status/no_answer": 0.39,
        "reward/part/accuracy": 0.61,
        "loss/kl": 0.01234,
        "loss/entropy": 1.5,
        "loss/clip_frac_low": 0.001,
        "loss/clip_frac_high": 0.002,
        "loss/grad_norm": 0.25,
        "loss/sampler_gap": 3.1e-7,
        "loss/skipped_updates": 0,
        "length/mean": 812.4,
        "length/truncated": 0.125,
        "time/sample_s": 12.34,
        "time/step_s": 15.0,
        "tokens_per_s/step": 12345.6,
        "memory/peak_gib": 71.25,
        **metrics,
    }


def eval_record(step, **metrics):
    record = {"kind": "eval", "step": step, "accuracy": 0.615, "pass_at_1": 0.615}
    if step:
        record |= {
            "difference/accuracy": 0.08,
            "difference/accuracy/ci95_low": 0.049,
            "difference/accuracy/ci95_high": 0.111,
        }
    return record | metrics


def picture(records, *, width=80):
    """What a terminal shows, line by line."""
    view = TrainView("grpo", max_steps=40)
    for record in records:
        view.recall(record)
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(view)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_step_at_80_columns():
    lines = picture([train_record(7)])
    heading, row = lines[1].split(), lines[2].split()
    assert " ".join(heading) == "step reward no spread KL entropy clipped length cut tokens/s"
    assert " ".join(row) == "7 0.613 25 % 0.0123 1.500 0.30 % 812.4 12 % 12,346"
    assert lines[4:6] == [
        "verdicts  correct 61 %, no_answer 39 %",
        "seconds   sample 12.3, step 15.0",
    ]


def test_a_kl_that_is_zero_but_for_rounding_has_no_sign():
    (_, _, row, *_) = picture([train_record(1, **{"loss/kl": -1e-9})])
    assert row.split()[4] == "0.0000"


def test_a_wide_terminal_shows_more():
    lines = picture([train_record(7)], width=120)
    assert lines[1].endswith("grad norm  sampler gap   GiB")
    assert lines[2].endswith("0.25      3.1e-07  71.2")


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_or_wrapped(width):
    several = {"pass_at_16": 0.95, "maj_at_16": 0.71}
    several |= {f"difference/{name}_at_16": -0.105 for name in ("pass", "maj")}
    for name in ("pass", "maj"):
        several |= {f"difference/{name}_at_16/ci95_{end}": 0.2 for end in ("low", "high")}
    big = train_record(99999, **{"tokens_per_s/step": 123456.0, "length/mean": 16384.0})
    lines = picture([big, eval_record(0, **several), eval_record(99999, **several)], width=width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert len(lines) == 10  # bar, two tables of heading and rows, two details, two gaps


def test_an_evaluation_with_what_was_won_and_its_error_bar():
    lines = picture([eval_record(0), eval_record(10)])
    assert lines[-2:] == ["  step 0  61.5 %", " step 10  61.5 % (+8.0 ± 3.1)"]


def test_pass_and_majority_of_all_samples_where_there_are_several():
    several = {"pass_at_2": 0.8, "maj_at_2": 0.615, "pass_at_4": 0.9, "maj_at_4": 0.7}
    heading, row = picture([eval_record(0, **several)])[-2:]
    assert heading.split() == ["held", "out", "accuracy", "pass@4", "maj@4"]
    assert " ".join(row.split()) == "step 0 61.5 % 90.0 % 70.0 %"


def test_parts_of_the_reward_are_told_where_there_are_several():
    assert not any("rewards" in line for line in picture([train_record(1)]))
    lines = picture([train_record(1, **{"reward/part/format": 0.9})])
    assert "rewards   accuracy 0.610, format 0.900" in lines


def test_skipped_updates_are_counted_over_the_run_and_shown_until_the_end():
    skipping = train_record(2, **{"loss/skipped_updates": 2})
    assert not any("skipped" in line for line in picture([train_record(1)]))
    lines = picture([train_record(1), skipping, train_record(3)])
    assert "skipped   updates so far whose gradient was not finite: 2" in lines


def test_the_newest_stay_on_the_screen():
    steps = [train_record(step) for step in range(1, 31)]
    evaluations = [eval_record(step) for step in range(0, 31, 3)]
    lines = picture([*steps, *evaluations])
    shown = [int(line.split()[0]) for line in lines if line.strip()[:1].isdigit()]
    assert shown == list(range(31 - LINES, 31))
    assert sum("step " in line and "61.5 %" in line for line in lines) == EVALUATIONS


def test_steps_that_a_resumed_run_does_again_are_shown_once():
    lines = picture([*map(train_record, (1, 2, 3, 4)), train_record(3, **{"loss/kl": 0.5})])
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[-1][4] == "0.5000"


def test_lines_where_there_is_no_terminal():
    view = TrainView("grpo", max_steps=40)
    view.console = Console(file=io.StringIO(), width=40)
    skipping = train_record(2, **{"loss/skipped_updates": 1})
    for record in (eval_record(0), train_record(1), skipping, train_record(3), eval_record(3)):
        view(record)
    assert view.console.file.getvalue().splitlines() == [
        "held out, step 0: accuracy 61.5 %",
        "step 1  reward 0.613  no spread 25 %  KL 0.0123  entropy 1.500  clipped 0.30 %  "
        "length 812.4  cut 12 %  tokens/s 12,346",
        "step 2: updates so far whose gradient was not finite: 1",
        "step 3  reward 0.613  no spread 25 %  KL 0.0123  entropy 1.500  clipped 0.30 %  "
        "length 812.4  cut 12 %  tokens/s 12,346",
        "held out, step 3: accuracy 61.5 % (+8.0 ± 3.1)",
    ]
