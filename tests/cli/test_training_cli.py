"""``train-grpo`` and ``demo`` end to end, small."""

import json
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file

from mathrl.cli import demo, main
from mathrl.cli.training import split_problems
from mathrl.data import load_problems
from mathrl.trainers import load_recipe
from mathrl.trainers.runlog import read_records

SHARED = Path(__file__).parents[3] / "shared" / "data"
SMALL = (
    "--set rollout.num_problems=2 --set rollout.group_size=4 --set eval.num_problems=4 "
    "--set data.limit=200"
)

RECIPE = """
method = "grpo"
max_steps = 3
[data]
limit = 200
[prompt]
template = "{prompt}\\n"
[rollout]
num_problems = 4
group_size = 4
max_new_tokens = 48
[optimizer]
lr = 1e-3
[eval]
every = 1
num_problems = 8
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return stopped.value.code


def trained_steps(folder):
    records = read_records(folder / "metrics.jsonl")
    return [record["step"] for record in records if record["kind"] == "train"]


def same_weights(first, second):
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, second))
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_train_grpo_leaves_a_run_that_eval_reads(here, capsys):
    assert run("train-grpo", "--max-steps", "2", "--out", "run", *SMALL.split()) == 0
    assert "policy: run/policy" in capsys.readouterr().out
    records = read_records(here / "run" / "metrics.jsonl")
    assert [(r["kind"], r["step"]) for r in records] == [
        ("eval", 0),
        ("train", 1),
        ("train", 2),
        ("eval", 2),
    ]
    assert list((here / "run" / "tensorboard").glob("events.*"))
    manifest = json.loads((here / "run" / "manifest.json").read_text())
    assert manifest["model"] == "embedded" and manifest["versions"]["torch"]
    options = ["--model", "run/policy", "--limit", "4", "--out", "measured"]
    assert run("eval", "--task", "arithmetic", *options) == 0
    assert json.loads((here / "measured" / "results.json").read_text())["arithmetic"]


def test_a_finished_run_is_not_overwritten(here, capsys):
    arguments = ["train-grpo", "--max-steps", "1", "--out", "run", *SMALL.split()]
    assert run(*arguments) == 0
    assert run(*arguments) == 2
    assert "go on with --resume run" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on_and_going_on_works(here, capsys, monkeypatch):
    from mathrl.cli.train_view import TrainView

    def press_ctrl_c(view, record):
        if record["step"] == 2:
            raise KeyboardInterrupt

    arguments = ["train-grpo", "--max-steps", "3", "--out", "run", *SMALL.split()]
    with monkeypatch.context() as patch:
        patch.setattr(TrainView, "__call__", press_ctrl_c)
        assert run(*arguments) == 130
    assert "stopped after step 2; go on with: mathrl train-grpo --resume run" in (
        capsys.readouterr().err
    )
    assert run("train-grpo", "--resume", "run") == 0
    assert trained_steps(here / "run") == [1, 2, 3]
    assert run("train-grpo", "--max-steps", "3", "--out", "whole", *SMALL.split()) == 0
    assert same_weights(here / "run" / "policy", here / "whole" / "policy")


def test_a_run_with_adapters_goes_on_and_its_adapter_can_be_measured(here, monkeypatch):
    from mathrl.cli.train_view import TrainView

    def press_ctrl_c(view, record):
        if record["step"] == 1:
            raise KeyboardInterrupt

    settings = [*SMALL.split(), "--set", "lora.rank=2"]
    with monkeypatch.context() as patch:
        patch.setattr(TrainView, "__call__", press_ctrl_c)
        assert run("train-grpo", "--max-steps", "2", "--out", "run", *settings) == 130
    assert run("train-grpo", "--resume", "run") == 0
    assert trained_steps(here / "run") == [1, 2]
    options = ["--model", "run/adapter", "--limit", "4", "--out", "measured"]
    assert run("eval", "--task", "arithmetic", *options) == 0


def eval_records(folder):
    return [r for r in read_records(folder / "metrics.jsonl") if r["kind"] == "eval"]


def test_evaluations_are_paired_with_the_one_before_training(here, capsys, monkeypatch):
    """Also after a resume, and `mathrl compare` finds the same difference in the files."""
    from mathrl.cli.train_view import TrainView

    def press_ctrl_c(view, record):
        if record["step"] == 1:
            raise KeyboardInterrupt

    words = SMALL.replace("eval.num_problems=4", "eval.num_problems=12").split()
    options = ["--max-steps", "2", "--set", "eval.every=1", "--set", "eval.num_samples=2"]
    options += ["--set", "optimizer.lr=0.003", *words]
    assert run("train-grpo", *options, "--out", "whole") == 0
    start, *others = eval_records(here / "whole")
    assert not any(key.startswith("difference") for key in start)
    for record in others:
        for figure in ("accuracy", "pass_at_2", "maj_at_2"):
            difference = record[f"difference/{figure}"]
            assert difference == pytest.approx(record[figure] - start[figure])
            low, high = (record[f"difference/{figure}/ci95_{end}"] for end in ("low", "high"))
            assert low < difference < high
    with monkeypatch.context() as patch:
        patch.setattr(TrainView, "__call__", press_ctrl_c)
        assert run("train-grpo", *options, "--out", "cut") == 130
    assert run("train-grpo", "--resume", "cut") == 0
    assert eval_records(here / "cut") == [start, *others]
    capsys.readouterr()
    ends = [f"whole/evals/step-00000{step}" for step in (0, 2)]
    assert run("compare", *ends, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    last = others[-1]
    assert row["difference"] == last["difference/accuracy"]
    assert row["ci95"] == [last[f"difference/accuracy/ci95_{end}"] for end in ("low", "high")]
    assert row["p_value"] == last.get("difference/accuracy/p_value")


@pytest.mark.parametrize("left", [None, "{ torn"])
def test_a_resume_that_lost_the_evaluation_before_training_goes_on_without(
    here, caplog, monkeypatch, left
):
    from mathrl.cli.train_view import TrainView

    def press_ctrl_c(view, record):
        if record["step"] == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainView, "__call__", press_ctrl_c)
        assert run("train-grpo", "--max-steps", "2", "--out", "run", *SMALL.split()) == 130
    manifest = here / "run" / "evals" / "step-000000" / "manifest.json"
    manifest.unlink() if left is None else manifest.write_text(left)
    assert run("train-grpo", "--resume", "run") == 0
    last = eval_records(here / "run")[-1]
    assert last["step"] == 2 and 0 <= last["accuracy"] <= 1
    assert not any(key.startswith("difference") for key in last)
    (told,) = (each.getMessage() for each in caplog.records if each.name == "mathrl.cli.training")
    assert told.startswith("held out, step 2: no difference to the start: run/evals/step-000000")


def test_a_run_that_stops_early_names_the_best_policy(here, capsys):
    options = ["--set", "eval.every=1", "--set", "eval.patience=1", "--set", "optimizer.lr=1e-9"]
    assert run("train-grpo", *options, "--out", "run", *SMALL.split()) == 0
    assert trained_steps(here / "run") == [1]  # nothing is learnt, so no evaluation is better
    assert capsys.readouterr().out.splitlines() == [
        "policy: run/policy",
        "best: run/best (step 0)",
    ]


def test_held_out_problems_are_not_trained_on_even_where_they_come_twice(here):
    rows = [{"question": f"{i}+1?", "answer": str(i + 1)} for i in range(12)] * 2
    (here / "twice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load_recipe("demo", ["data.name=twice.jsonl", "eval.num_problems=4"])
    problems = split_problems(recipe)
    assert len(problems.held_out) == 4
    trained = {problem.prompt for problem in problems.training}
    assert not trained & {problem.prompt for problem in problems.held_out}
    assert len(trained) >= 8


def test_few_shot_examples_are_never_held_out(here):
    recipe = load_recipe("demo", ["prompt.num_few_shot=5", "data.limit=20", "eval.num_problems=14"])
    problems = split_problems(recipe)
    first = load_problems("arithmetic", split="train", limit=5)
    assert problems.training[:5] == first


def test_characters_beyond_the_basic_plane_reach_the_prompt(here):
    options = ["--system", "Be kind 😀, use 𝑥", "--max-steps", "1", "--out", "run"]
    assert run("train-grpo", *options, *SMALL.split()) == 0
    assert load_recipe(here / "run" / "config.toml").prompt.system == "Be kind 😀, use 𝑥"


def test_other_methods_are_refused(here, capsys):
    assert run("train-grpo", "tiny", "--out", "run") == 2
    assert "method sft, not grpo" in capsys.readouterr().err


def test_rewards_plug_in_by_name(here):
    (here / "my_rewards.py").write_text(
        "def brevity(completions, **columns):\n    return [1 / (1 + len(c)) for c in completions]\n"
    )
    rewards = ["--reward", "accuracy", "--reward", "my_rewards:brevity=0.5"]
    assert run("train-grpo", "--max-steps", "1", "--out", "run", *rewards, *SMALL.split()) == 0
    path = here / "run" / "rollouts" / "step-000001.parquet"
    (row, *_) = parquet.read_table(path).to_pylist(maps_as_pydicts="strict")
    brevity = 1 / (1 + len(row["completion"]))
    accuracy = row["parts"]["accuracy"]
    assert row["parts"]["my_rewards:brevity"] == pytest.approx(brevity)
    assert row["reward"] == pytest.approx(accuracy + 0.5 * brevity)


def test_prompt_options_reach_the_policy(here):
    options = ["--template", r"Q: {prompt}\nA: ", "--system", "Think.", "--num-few-shot", "1"]
    assert run("train-grpo", "--max-steps", "1", "--out", "run", *options, *SMALL.split()) == 0
    config = (here / "run" / "config.toml").read_text()
    assert r'template = "Q: {prompt}\nA: "' in config
    assert 'system = "Think."' in config and "num_few_shot = 1" in config


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the benchmark data in ../shared/data")
def test_real_gsm8k_problems(here):
    options = ["--data", str(SHARED / "gsm8k_train.jsonl"), "--out", "run", *SMALL.split()]
    assert run("train-grpo", "--max-steps", "3", *options) == 0
    assert trained_steps(here / "run") == [1, 2, 3]


@pytest.fixture
def small_demo(here, monkeypatch):
    (here / "small.toml").write_text(RECIPE)
    monkeypatch.setattr(demo, "RECIPE", "small.toml")
    monkeypatch.setattr(demo, "NUM_PROBLEMS", 30)
    monkeypatch.setattr(demo, "NUM_SAMPLES", 2)
    return here / "runs" / "demo"


@pytest.mark.slow
def test_an_interrupted_demo_goes_on_to_the_same_figures(small_demo, monkeypatch):
    from mathrl.cli.train_view import TrainView

    def press_ctrl_c(view, record):
        if record["step"] == 2:
            raise KeyboardInterrupt

    assert run("demo", "--out", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(TrainView, "__call__", press_ctrl_c)
        assert run("demo") == 130
    assert run("demo") == 0
    results = [json.loads(Path(f, "results.json").read_text()) for f in ("whole", small_demo)]
    for key in ("before", "after", "difference", "ci95"):
        assert results[0][key] == results[1][key]
    assert same_weights(Path("whole/train/policy"), small_demo / "train" / "policy")


def test_the_demo_leaves_folders_of_others_alone(small_demo, capsys):
    (small_demo / "train").mkdir(parents=True)
    (small_demo / "train" / "thesis.txt").write_text("years of work")
    (small_demo / "results.json").write_text("{}")
    assert run("demo") == 2
    assert "holds files of something else" in capsys.readouterr().err
    assert (small_demo / "train" / "thesis.txt").exists()


def test_demo(small_demo, capsys):
    assert run("demo") == 0
    table = capsys.readouterr().out
    assert "accuracy, one sample" in table and "exact McNemar p" in table
    folder = small_demo
    results = json.loads((folder / "results.json").read_text())
    gain = results["after"]["accuracy"] - results["before"]["accuracy"]
    assert results["difference"] == pytest.approx(gain)
    assert results["ci95"][0] <= results["difference"] <= results["ci95"][1]
    assert 0 <= results["p_value"] <= 1 and results["wall_s"] > results["train_s"] > 0
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (folder / "report.html").read_text()
    assert run("demo") == 0  # a finished demo is made anew, to the same figures
    again = json.loads((folder / "results.json").read_text())
    assert again["after"] == results["after"]
