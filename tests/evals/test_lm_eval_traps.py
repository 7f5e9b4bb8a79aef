"""What goes wrong in lm-eval 0.4.13, and must not here; each was reproduced there.

1. Its cache has no model in the key: model B was given A's answers.
2. With do_sample its cache is not read: a sampled run starts over.
3. Its vLLM engine keeps partial work under another key than it looks up.
4. Its API client sends the same seed with all samples of a problem.
5. It cuts at 256 tokens unless a task says otherwise.
6. Its results and samples are written at the end only.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mathrl.cli import group
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.evals import TASKS, EvalResult, SampleStore, evaluate, evaluate_into, get_task
from mathrl.evals.runner import Verification
from mathrl.evals.spec import specify
from mathrl.evals.verifiers import Grader
from mathrl.policy import EMBEDDED_POLICY, load_policy
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem
from tests.conftest import FakeEngine

TASK = get_task("gsm8k")
GREEDY = SamplingParams(temperature=0.0, max_new_tokens=16)
SAMPLED = SamplingParams(temperature=1.0, max_new_tokens=16)
MODES = {"greedy": (GREEDY, 1), "sampled": (SAMPLED, 4)}


def right(request: SampleRequest) -> str:
    return f"#### {request.problem_id[1:]}"


def wrong(_: SampleRequest) -> str:
    return "#### 99"


def run(
    problems: list[Problem], engine: FakeEngine, folder: Path, mode: str = "greedy"
) -> EvalResult:
    params, num_samples = MODES[mode]
    prompts = PromptBuilder(PromptConfig())
    with SampleStore(folder) as store:
        return evaluate(
            TASK, problems, engine, prompts, params, num_samples=num_samples, store=store
        )


@pytest.mark.parametrize("mode", MODES)
def test_1_a_model_never_gets_the_answers_of_another(
    tmp_path: Path, problems: list[Problem], mode: str
) -> None:
    good = FakeEngine(right, fingerprint="A")
    bad = FakeEngine(wrong, fingerprint="B")
    assert run(problems, good, tmp_path, mode).accuracy == 1.0
    assert run(problems, bad, tmp_path, mode).accuracy == 0.0
    assert len(bad.asked) == len(good.asked)
    assert run(problems, FakeEngine(wrong, fingerprint="A"), tmp_path, mode).accuracy == 1.0


def test_1_the_fingerprint_of_a_policy_is_that_of_its_weights() -> None:
    engine = LocalEngine(load_policy(str(EMBEDDED_POLICY)))
    changed = load_policy(str(EMBEDDED_POLICY))
    assert LocalEngine(changed).fingerprint == engine.fingerprint
    next(changed.model.parameters()).data[0, 0] += 1
    assert LocalEngine(changed).fingerprint != engine.fingerprint


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_done", [0, 1, 7])
def test_2_and_3_a_killed_run_asks_for_what_is_missing_and_no_more(
    tmp_path: Path, problems: list[Problem], mode: str, num_done: int
) -> None:
    killed = FakeEngine(right, die_after=num_done)
    with pytest.raises(KeyboardInterrupt):
        run(problems, killed, tmp_path, mode)
    resumed = FakeEngine(right)
    run(problems, resumed, tmp_path, mode)
    asked = [(r.problem_id, r.sample_index) for r in (*killed.asked, *resumed.asked)]
    assert len(killed.asked) == num_done
    assert len(asked) == len(set(asked)) == len(problems) * MODES[mode][1]


@pytest.mark.parametrize("mode", MODES)
def test_3_the_rest_of_a_run_of_the_local_engine_is_what_a_whole_run_gives(
    tmp_path: Path, mode: str
) -> None:
    params, num_samples = MODES[mode]
    policy = load_policy(str(EMBEDDED_POLICY))
    prompts = PromptBuilder(PromptConfig(), tokenizer=policy.tokenizer)
    problems = [Problem(id=f"p{i}", prompt=f"{i} + {i} =\n", answer=str(2 * i)) for i in range(4)]

    def texts(folder: Path, chosen: list[Problem]) -> dict[str, list[str]]:
        with SampleStore(folder) as store:
            result = evaluate(
                TASK,
                chosen,
                LocalEngine(policy),
                prompts,
                params,
                num_samples=num_samples,
                store=store,
            )
        return {p.problem_id: [s.completion.text for s in p.samples] for p in result.problems}

    texts(tmp_path / "parts", problems[1:3])  # what a kill had left
    assert texts(tmp_path / "parts", problems) == texts(tmp_path / "whole", problems)


def test_4_no_two_samples_share_a_seed(tmp_path: Path, problems: list[Problem]) -> None:
    engine = FakeEngine(right)
    run(problems, engine, tmp_path, "sampled")
    assert len({request.seed for request in engine.asked}) == 40


def test_5_no_task_is_cut_at_256_tokens_unasked() -> None:
    # The embedded generator's completions are a few dozen tokens long; all other tasks reason.
    assert all(t.max_new_tokens >= 512 for t in TASKS.values() if t.name != "arithmetic")


def test_5_a_cut_shows_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    line = f"eval --task arithmetic --limit 4 --max-new-tokens 2 --out {tmp_path}/run"
    done = CliRunner().invoke(group, line.split(), catch_exceptions=False)
    assert "truncated" in done.stdout
    entry = json.loads((tmp_path / "run" / "results.json").read_text())["arithmetic"]
    assert entry["truncated"] == 1.0


def test_6_every_sample_and_what_it_depends_on_is_on_disk_before_the_next(
    tmp_path: Path, problems: list[Problem]
) -> None:
    found: list[int] = []

    def count(folder: Path) -> Callable[[SampleRequest], str]:
        def answer(request: SampleRequest) -> str:
            assert (folder / "manifest.json").exists()
            assert (folder / "problems" / "gsm8k.jsonl").exists()
            lines = [p.read_bytes().count(b"\n") for p in (folder / "samples").glob("*.jsonl")]
            found.append(sum(lines))
            return right(request)

        return answer

    engine = FakeEngine(count(tmp_path))
    spec = specify("gsm8k", problems, engine, PromptBuilder(PromptConfig()), GREEDY)
    evaluate_into(tmp_path, spec, engine, Verification(verifier=Grader()), facts={})
    assert found == list(range(10))
    assert (tmp_path / "results.json").exists()
