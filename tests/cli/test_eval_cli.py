"""mathrl eval, compare and tasks, run as commands."""

import json
import platform
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import ConfigError, DataError
from mathrl.schema import Completion

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def mathrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Run a command line in an empty folder that holds four problems and their completions."""
    monkeypatch.chdir(tmp_path)
    with open("problems.jsonl", "w") as file:
        for i in range(4):
            file.write(json.dumps({"id": f"p{i}", "problem": f"What is {i}?", "answer": f"{i}"}))
            file.write("\n")
    for name, right in (("before", (0, 1)), ("after", (0, 1, 2))):
        with open(f"{name}.jsonl", "w") as file:
            for i in range(4):
                text = f"#### {i if i in right else 99}"
                file.write(json.dumps({"id": f"p{i}", "completion": text}) + "\n")

    def run(line: str) -> Result:
        return CliRunner().invoke(group, line.split(), catch_exceptions=True)

    return run


def test_recorded_completions_are_graded_and_kept(mathrl: Callable[[str], Result]) -> None:
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions before.jsonl")
    assert done.exit_code == 0, done.output
    # 2 of 4: Wilson 0.5 ± 1.96/(1 + 0.96) sqrt(1/16 + 3.84/64) = 15.00 … 85.00.
    assert "50.00  95 % interval 15.00 … 85.00, stderr 28.87" in done.stdout
    assert "wrong" in done.stdout
    run = Path("runs/gsm8k-before")
    entry = json.loads((run / "results.json").read_text())["gsm8k"]
    assert (entry["accuracy"], entry["n_problems"], entry["n_samples"]) == (0.5, 4, 4)
    config = tomllib.loads((run / "config.toml").read_text())
    assert (config["engine"], config["seed"], config["max_new_tokens"]) == ("recorded", 0, 1024)
    manifest = json.loads((run / "manifest.json").read_text())
    facts = manifest["tasks"]["gsm8k"]
    assert {"policy_fingerprint", "prompt_hash", "data_hash", "seed", "versions"} <= set(facts)
    assert str(Path.cwd()) not in (run / "manifest.json").read_text()
    assert platform.node() not in json.dumps(facts["machine"]).split('"')
    assert len(list((run / "samples").iterdir())) == 1


def test_the_same_command_again_asks_for_nothing(mathrl: Callable[[str], Result]) -> None:
    line = "eval --task gsm8k --data problems.jsonl --completions before.jsonl --out run"
    mathrl(line)
    before = {path: path.read_bytes() for path in Path("run").rglob("*.json*")}
    again = mathrl(line)
    assert "4 samples were in the run folder already" in again.stdout
    assert {path: path.read_bytes() for path in Path("run").rglob("*.json*")} == before


def test_ctrl_c_keeps_every_sample_and_says_how_to_go_on(
    mathrl: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "eval --task gsm8k --data problems.jsonl --completions before.jsonl"
    whole = RecordedEngine.sample

    def interrupted(
        self: RecordedEngine, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        yield from whole(self, requests[:3], params)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordedEngine, "sample", interrupted)
        stopped = mathrl(line)
    assert stopped.exit_code == 130
    assert stopped.stderr == (
        "interrupted: 3 samples are kept in runs/gsm8k-before; "
        "the same command goes on from there\n"
    )
    done = mathrl(line)
    assert "3 samples were in the run folder already" in done.stdout
    assert (
        json.loads(Path("runs/gsm8k-before/results.json").read_text())["gsm8k"]["accuracy"] == 0.5
    )


def test_two_files_in_one_folder_are_two_policies(mathrl: Callable[[str], Result]) -> None:
    for name, accuracy in (("before", 0.5), ("after", 0.75)):
        mathrl(f"eval --task gsm8k --data problems.jsonl --completions {name}.jsonl --out run")
        entry = json.loads(Path("run/results.json").read_text())["gsm8k"]
        assert (entry["accuracy"], entry["n_samples"]) == (accuracy, 4)


def test_what_is_not_covered_is_said(mathrl: Callable[[str], Result]) -> None:
    lines = Path("before.jsonl").read_text().splitlines()
    Path("half.jsonl").write_text("\n".join(lines[:3]))
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions half.jsonl")
    assert "3 of 4 problems have completions" in done.stdout


def test_compare_by_hand(mathrl: Callable[[str], Result]) -> None:
    for name in ("before", "after"):
        mathrl(f"eval --task gsm8k --data problems.jsonl --completions {name}.jsonl --out {name}")
    shown = mathrl("compare before after")
    assert shown.exit_code == 0, shown.output
    # Differences 0, 0, 1, 0: mean 1/4, stderr 1/4; one fixed, none broken: p = 1.
    assert "+25.00 ± 25.00" in shown.stdout
    assert "1 / 0" in shown.stdout
    assert "B: no difference shown (exact McNemar, p = 1)" in shown.stdout
    [entry] = json.loads(mathrl("compare before after --json").stdout)
    assert (entry["base"], entry["run"], entry["task"]) == ("before", "after", "gsm8k")
    assert (entry["difference"], entry["fixed"], entry["broken"]) == (0.25, 1, 0)


def test_tasks_are_listed(mathrl: Callable[[str], Result]) -> None:
    listed = mathrl("tasks").stdout
    assert all(name in listed for name in ("arithmetic", "gsm8k", "mgsm_th", "CC BY-NC", "1319"))
    assert max(map(len, listed.splitlines())) <= 80


def test_one_task_is_shown_whole(mathrl: Callable[[str], Result]) -> None:
    shown = mathrl("tasks gsm8k").stdout
    assert "openai/gsm8k on the hub, config main, split test; or --data FILE" in shown
    assert r"put your final answer within \boxed{}." in shown
    assert "82.87 %  DeepSeekMath-7B Instruct: this prompt, greedy" in shown
    assert "mgsm_bn, mgsm_de" in mathrl("tasks mgsm").stdout
    assert "none quoted" in mathrl("tasks svamp").stdout
    Path("mine.toml").write_text('name = "mine"\ndata = "x.csv"\ntemplate = "[b]{prompt}[/b]"')
    assert "[b]{prompt}[/b]" in mathrl("tasks mine.toml").stdout
    assert "did you mean gsm8k" in str(mathrl("tasks gsm-8k").exception)


def test_a_task_of_ones_own_is_evaluated(mathrl: Callable[[str], Result]) -> None:
    Path("exam").mkdir()
    Path("exam/problems.csv").write_text("id,q,a\np0,What is 0?,0\np1,What is 1?,1\n")
    Path("exam/task.toml").write_text(
        'name = "exam"\ndata = "problems.csv"\nsize = 3\nsystem = "Be brief."\n'
        'num_few_shot = 2\nquestion_column = "q"\nanswer_column = "a"\n'
    )
    done = mathrl("eval --task exam/task.toml --completions before.jsonl")
    assert done.exit_code == 0, done.output
    assert "note: exam has 3 problems, exam/problems.csv holds 2" in done.stdout
    assert json.loads(Path("runs/exam-before/results.json").read_text())["exam"]["accuracy"] == 1.0
    config = tomllib.loads(Path("runs/exam-before/config.toml").read_text())
    assert (config["system"], config["num_few_shot"]) == ("Be brief.", 0)  # recorded: no examples
    # another file has columns of its own
    other = mathrl("eval --task exam/task.toml --data problems.jsonl --completions before.jsonl")
    assert "exam has 3 problems, problems.jsonl holds 4" in other.stdout
    limited = mathrl("eval --task exam/task.toml --completions before.jsonl --limit 1 --out one")
    assert limited.exit_code == 0 and "note:" not in limited.stdout


@pytest.mark.slow
def test_the_prompt_of_ones_own_task(
    mathrl: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mathrl.engines import local

    Path("problems.csv").write_text("id,q,a\np0,What is 0?,0\n")
    Path("shots.csv").write_text("q,a,solution\nWhat is 5?,5,It is 5.\n")
    Path("task.toml").write_text(
        'name = "exam"\ndata = "problems.csv"\nfew_shot_data = "shots.csv"\nnum_few_shot = 1\n'
        "question_column = 'q'\nanswer_column = 'a'\nchat = 'off'\nmax_new_tokens = 4\n"
        "template = '{prompt} if 1 \\neq 0'\nsystem = 'Be brief.'\n"
    )
    asked: list[str] = []
    sample = local.LocalEngine.sample

    def spy(
        self: local.LocalEngine, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        asked.extend(request.prompt for request in requests)
        return sample(self, requests, params)

    monkeypatch.setattr(local.LocalEngine, "sample", spy)
    save_untrained(Path("model"))
    done = mathrl("eval --task task.toml --model model")
    assert done.exit_code == 0, done.output
    assert asked == ["Be brief.\n\nWhat is 5? if 1 \\neq 0\nIt is 5.\n\nWhat is 0? if 1 \\neq 0"]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("eval --task gsm-8k", ConfigError, "did you mean gsm8k"),
        ("eval --task gsm8k", ConfigError, "needs --model or --completions"),
        ("eval --task gsm8k --data problems.jsonl", ConfigError, "needs --model or --completions"),
        ("eval --task gsm8k --data org/name", ConfigError, "needs --model or --completions"),
        ("eval --task gsm8k --data nowhere.jsonl", DataError, "no such file: nowhere.jsonl"),
        ("eval --task gsm8k --data .", DataError, ". is not a file ending in .jsonl"),
        (
            "eval --task gsm8k --data problems.jsonl --completions before.jsonl "
            "--reward-column text",
            DataError,
            "before.jsonl line 1: no column 'text'; it has id, completion",
        ),
        ("eval --task gsm8k --engine recorded --model m", ConfigError, "needs --completions FILE"),
        (
            "eval --task gsm8k --engine local --completions before.jsonl",
            ConfigError,
            "leave --engine local out",
        ),
        (
            "eval --task gsm8k --data problems.jsonl --completions nowhere.jsonl",
            DataError,
            "no such file: nowhere.jsonl",
        ),
        ("compare one", ConfigError, "at least two run folders"),
        ("compare one one", ConfigError, "the same run folder twice"),
        ("compare one two", DataError, "one/results.json: no such file"),
    ],
)
def test_mistakes_are_named(
    mathrl: Callable[[str], Result], line: str, error: type[Exception], message: str
) -> None:
    failed = mathrl(line)
    assert isinstance(failed.exception, error)
    assert message in str(failed.exception)
    assert not Path("runs").exists()


def test_a_template_of_the_command_line_has_line_breaks(mathrl: Callable[[str], Result]) -> None:
    mathrl(
        "eval --task gsm8k --data problems.jsonl --completions before.jsonl "
        r"--template Q:{prompt}\nA: --out run"
    )
    assert tomllib.loads(Path("run/config.toml").read_text())["template"] == "Q:{prompt}\nA:"


@pytest.mark.skipif(not DATA.exists(), reason="needs the recorded completions in ../shared/data")
def test_the_published_accuracy_is_printed(mathrl: Callable[[str], Result]) -> None:
    completions = DATA / "completions" / "gsm8k_openai_6b_finetuning.jsonl"
    done = mathrl(
        f"eval --task gsm8k --data {DATA / 'gsm8k_test.jsonl'} --completions {completions} --out r"
    )
    assert "21.68" in done.stdout


def save_untrained(folder: Path) -> None:
    pytest.importorskip("torch")
    from mathrl.policy import save_policy
    from mathrl.trainers.tiny import untrained_policy

    save_policy(untrained_policy(), folder)


@pytest.mark.slow
def test_a_local_model_is_sampled_and_goes_on(mathrl: Callable[[str], Result]) -> None:
    save_untrained(Path("model"))
    line = "eval --task arithmetic --model model --limit 2 --max-new-tokens 4 --out run"
    assert mathrl(f"{line} -n 2").exit_code == 0
    more = mathrl(f"{line} -n 3")
    assert "4 samples were in the run folder already" in more.stdout
    entry = json.loads(Path("run/results.json").read_text())["arithmetic"]
    assert (entry["n_samples"], entry["mean_length"], entry["truncated"]) == (6, 4.0, 1.0)
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert (config["temperature"], config["engine"]) == (1.0, "local")
    other = mathrl(f"{line} -n 1")  # one sample is greedy: not one of the sampled ones
    assert "run folder already" not in other.stdout


def test_verify_passes_until_a_number_is_changed(mathrl: Callable[[str], Result]) -> None:
    mathrl("eval --task gsm8k --data problems.jsonl --completions before.jsonl --out run")
    fine = mathrl("verify run --data problems.jsonl")
    assert fine.exit_code == 0, fine.output
    assert "every number is what its samples give" in fine.stdout
    path = Path("run/results.json")
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 0.75'))
    changed = mathrl("verify run")
    assert changed.exit_code == 1
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("seed = 0", "seed = 5"))
    assert "config.toml: not the options of the run" in mathrl("verify run").stdout
    config.write_text("= no toml")
    assert "config.toml: not the options of the run" in mathrl("verify run").stdout
    assert "results.json: accuracy not what the samples give" in changed.stdout


def test_rescore_counts_what_changed(mathrl: Callable[[str], Result]) -> None:
    rows = [json.loads(line) for line in Path("before.jsonl").read_text().splitlines()]
    labelled = [json.dumps({**row, "label": False}) for row in rows]
    Path("labelled.jsonl").write_text("\n".join(labelled) + "\n")
    mathrl(
        "eval --task gsm8k --data problems.jsonl --completions labelled.jsonl "
        "--verdicts recorded --out run"
    )
    done = mathrl("rescore run --list")
    assert (
        "accuracy 0.00 by recorded labels, now 50.00 (2 samples became correct, 0 wrong, of 4)"
        in done.stdout
    )
    assert "+ p0 0\n+ p1 0\n" in done.stdout
    assert mathrl("verify run").exit_code == 0


def test_shards_and_k(mathrl: Callable[[str], Result]) -> None:
    line = "eval --task arithmetic --limit 6 -n 2 -k 2 --max-new-tokens 4 --out run"
    first = mathrl(f"{line} --shard 1/2")
    assert first.exit_code == 0, first.output
    assert "part 1 of 2 alone" in first.stdout
    assert not Path("run/results.json").exists()
    half = mathrl("verify run")
    assert half.exit_code == 1 and "not finished" in half.stdout
    assert mathrl(f"{line} --shard 2/2").exit_code == 0
    entry = json.loads(Path("run/results.json").read_text())["arithmetic"]
    assert (entry["n_problems"], entry["n_samples"]) == (6, 12)
    assert list(entry["pass_at_k"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-k 8", "pass@8 needs 8 samples a problem, got -n 1"),
        ("-n 4 -k 8", "pass@8 needs 8 samples a problem, got -n 4"),
        ("--shard 3/2", "'3/2' is not I/N"),
        ("--shard x", "'x' is not I/N"),
        ("--verdicts recorded", "need --completions FILE"),
        ("--reward-column r", "need --completions FILE"),
        ("--completions before.jsonl --model foo", "leave --model out"),
        ("--completions before.jsonl --chat on", "what is recorded had its prompt"),
        ("--base-url http://h/v1 --model m --chat on", "take --endpoint"),
        ("--base-url http://h/v1 --model m --requests-per-minute 0", "x>0"),
    ],
)
def test_options_that_cannot_be_met(
    mathrl: Callable[[str], Result], options: str, message: str
) -> None:
    done = mathrl(f"eval --task arithmetic {options}")
    assert done.exit_code != 0
    assert message in str(done.exception) + done.output


def test_k_beyond_what_is_recorded(mathrl: Callable[[str], Result]) -> None:
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions before.jsonl -k 8")
    assert "pass@8 needs at least 8 samples of every problem, but one has 1" in str(done.exception)


def test_fewer_recorded_samples_than_asked_for_are_told(mathrl: Callable[[str], Result]) -> None:
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions before.jsonl -n 4")
    assert "note: -n 4: 4 problems have fewer samples recorded, 1 at least" in done.stdout


def test_a_row_with_the_id_of_another_question_is_refused(mathrl: Callable[[str], Result]) -> None:
    row = {"id": "p1", "question": "Something else?", "completion": "#### 1"}
    Path("other.jsonl").write_text(json.dumps(row) + "\n")
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions other.jsonl")
    assert "it has the id of p1, but another question: 'Something else?'" in str(done.exception)
    row = {"id": "p1", "prompt": "User: What  is 1?\nAssistant:", "completion": "#### 1"}
    Path("prompted.jsonl").write_text(json.dumps(row) + "\n")
    done = mathrl("eval --task gsm8k --data problems.jsonl --completions prompted.jsonl")
    assert done.exit_code == 0, done.output


def test_data_with_columns_of_its_own_is_verified_by_them(mathrl: Callable[[str], Result]) -> None:
    rows = [{"id": f"p{i}", "frage": f"What is {i}?", "antwort": str(i)} for i in range(4)]
    Path("fragen.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = "--question-column frage --answer-column antwort --completions before.jsonl --out run"
    assert mathrl(f"eval --task gsm8k --data fragen.jsonl {line}").exit_code == 0
    done = mathrl("verify run --data fragen.jsonl")
    assert done.exit_code == 0, done.output
