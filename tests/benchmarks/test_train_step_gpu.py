"""``benchmarks/train_step_gpu.py``: our half on the CPU, and what the driver makes of a report."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import Qwen2ForCausalLM

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def shape():
    return importlib.import_module("train_step_gpu_shape")


@pytest.fixture
def driver():
    return importlib.import_module("train_step_gpu")


def test_our_half_samples_completions_of_the_maximal_length(shape, tmp_path, capsys):
    ours = importlib.import_module("train_step_gpu_ours")
    # of 15 tokens and an end, no 192 in a row would miss the end if it could be written
    shape.save_model(replace(shape.SHAPES["tiny"], vocabulary=16), tmp_path)
    command = (
        f"--model {tmp_path} --device cpu --group 4 --rollouts 8 --prompt 8 --completion 24 "
        "--steps 2 --rows 4"
    )
    shape.run_half(ours.measure, command.split())
    report = json.loads(capsys.readouterr().out)
    assert report["tokens"] == 8 * 24
    assert report["step_s"] == report["generate_s"] + report["update_s"]
    assert min(report["generate_s"], report["update_s"], report["peak_gib"]) > 0


def test_the_median_step_is_of_those_behind_the_warm_up(shape, monkeypatch):
    # the clock reads before and after what it does at the end of a step
    times = iter([0.0, 90.0, 91.0, 93.0, 94.0, 98.0, 99.0])
    monkeypatch.setattr(shape, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    clock = shape.Clock("cpu")
    for generate_s in (50.0, 1.0, 2.0):
        clock.end_step(generate_s=generate_s, tokens=8)
    report = clock.report()
    assert len(clock.steps) == 2
    assert report["step_s"] == 3.0  # of 93 - 91 and 98 - 94
    assert report["generate_s"] == report["update_s"] == 1.5
    assert report["tokens"] == 8


def test_a_lack_of_memory_is_a_result_and_other_faults_are_not(shape, capsys):
    command = "--model m --group 4 --rollouts 8 --prompt 8 --completion 8 --steps 2 --rows 4"

    def fail(error):
        def measure(arguments):
            raise error

        shape.run_half(measure, command.split())

    fail(torch.OutOfMemoryError())
    assert json.loads(capsys.readouterr().out) == {"error": "out of memory"}
    with pytest.raises(RuntimeError):
        fail(RuntimeError())


@pytest.mark.parametrize(("size", "published"), [("0.5b", 494_032_768), ("1.5b", 1_543_714_304)])
def test_the_models_have_the_published_number_of_parameters(shape, size, published):
    with torch.device("meta"):
        model = Qwen2ForCausalLM(shape.model_config(shape.SHAPES[size]))
    assert model.num_parameters() == published


def test_prompts_have_the_length_that_is_asked_for(shape):
    tokenizer = shape.tokenizer(512)
    lengths = [len(ids) for ids in tokenizer(shape.prompts(3, 256, 512))["input_ids"]]
    assert lengths == [256] * 3
    assert tokenizer.eos_token_id == 512  # behind all that the model can write


def test_rows_are_halved_until_they_fit(driver):
    tried = []

    def measure(rows):
        tried.append(rows)
        return {"step_s": 1.0} if rows <= 6 else {"error": "out of memory"}

    assert driver.fitting(measure, 24) == {"step_s": 1.0, "rows": 6}
    assert tried == [24, 12, 6]


def test_rows_are_not_halved_beyond_one_nor_for_another_fault(driver):
    full, broken = {"error": "out of memory"}, {"error": "no module named trl"}
    assert driver.fitting(lambda rows: full, 4) == {**full, "rows": 1}
    assert driver.fitting(lambda rows: broken, 4) == {**broken, "rows": 4}


def test_a_half_that_fails_is_told_by_its_last_line(driver):
    code = "import sys; sys.exit('first\\nlast')"
    assert driver.report_of([sys.executable, "-c", code]) == {"error": "last"}


def test_table_rows(driver):
    ours = {"generate_s": 1.0, "update_s": 2.0, "step_s": 3.0, "peak_gib": 10.0, "precision": "p"}
    peer = {"generate_s": 2.0, "update_s": 4.0, "step_s": 6.0, "peak_gib": 40.0, "precision": "p"}
    place = {"size": "0.5b", "group": 16, "completion": 512, "trainer": "TRL", "rows": 64}
    shares = driver.ratios(ours, peer)
    assert shares == {"step_s_ratio": 0.5, "peak_gib_ratio": 0.25}
    assert driver.table_row({**place, **peer, **shares}) == (
        "| 0.5b | 16 | 512 | TRL | p | 64 | 2.00 | 4.00 | 6.00 | 40.00 | 0.50 | 0.25 |"
    )
    missing = {"error": "no module named trl"}
    assert driver.ratios(ours, missing) == driver.ratios(missing, peer) == {}
    row = driver.table_row({**place, **missing})
    assert row == "| 0.5b | 16 | 512 | TRL | – | 64 | – | – | – | – | no module named trl | – |"
    assert row.count("|") == driver.HEAD.count("|")
