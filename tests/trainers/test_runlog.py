"""The log of a run survives being cut anywhere."""

import json

from mathrl.trainers.runlog import RunLog, read_records


def filled(folder, *, last):
    log = RunLog(folder, last_step=0)
    for step in range(1, last + 1):
        log.write("eval", step - 1, {"accuracy": 0.5})
        log.write("train", step, {"reward/mean": step / 10})
    log.close()
    return folder / "metrics.jsonl"


def steps(path):
    return [(record["kind"], record["step"]) for record in read_records(path)]


def test_records_come_back_as_they_were_written(tmp_path):
    path = filled(tmp_path, last=2)
    assert read_records(path)[1] == {"kind": "train", "step": 1, "reward/mean": 0.1}


def test_what_is_not_a_number_is_left_out_of_the_file(tmp_path):
    log = RunLog(tmp_path, last_step=0)
    nan, inf = float("nan"), float("inf")
    log.write("train", 1, {"loss/grad_norm": nan, "loss/kl": inf, "lr": 0.1})
    log.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text) == {"kind": "train", "step": 1, "lr": 0.1}


def test_opened_again_it_drops_what_is_behind_the_checkpoint(tmp_path):
    path = filled(tmp_path, last=5)
    RunLog(tmp_path, last_step=3).close()
    assert steps(path) == [
        ("eval", 0),
        ("train", 1),
        ("eval", 1),
        ("train", 2),
        ("eval", 2),
        ("train", 3),
    ]


def test_a_torn_last_line_is_left_out_and_not_glued_to_the_next(tmp_path):
    path = filled(tmp_path, last=2)
    with path.open("a") as file:
        file.write('{"kind": "train", "st')
    assert len(read_records(path)) == 4
    log = RunLog(tmp_path, last_step=2)
    log.write("train", 3, {})
    log.close()
    assert steps(path)[-2:] == [("train", 2), ("train", 3)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_no_file_no_records(tmp_path):
    assert read_records(tmp_path / "absent.jsonl") == []


def test_tensorboard_has_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    filled(tmp_path, last=3)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    values = [(event.step, round(event.value, 6)) for event in events.Scalars("train/reward/mean")]
    assert values == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_tensorboard_forgets_what_the_resumed_run_logs_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    filled(tmp_path, last=3)
    log = RunLog(tmp_path, last_step=1)
    log.write("train", 2, {"reward/mean": 9.0})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    values = [(event.step, round(event.value, 6)) for event in events.Scalars("train/reward/mean")]
    assert values == [(1, 0.1), (2, 9.0)]
