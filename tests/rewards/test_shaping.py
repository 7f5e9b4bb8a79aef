"""What all shaping rewards have in common, and the gate."""

import dataclasses
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards import accuracy_reward, combine
from mathrl.rewards.shaping import (
    CosineLengthReward,
    FormatReward,
    LengthPenalty,
    RepetitionPenalty,
    format_reward,
    gated,
    repetition_penalty,
)
from mathrl.schema import Score

gated_format = gated(format_reward, by=accuracy_reward)
GOOD = r"<think>Half of 10 is 5.</think>\boxed{5}"
BATCH: dict[str, Any] = {
    "prompts": ["Half of 10?"] * 3,
    "completions": [GOOD, r"\boxed{5}", "so so so so so"],
    "completion_ids": [[1] * 60, [1] * 90, [1] * 200],
    "answer": ["5", "5", "5"],
}
REWARDS = [
    (format_reward, "format_reward", [1.0, 0.0, 0.0]),
    (FormatReward(is_answer_tagged=True), "format_reward", [0.0, 0.0, 0.0]),
    (LengthPenalty(max_length=100, cache_length=20), "length_penalty", [0.0, -0.5, -1.0]),
    # 0.5 + 0.25 (1 + cos(0.6 pi)) = 0.75 - 0.25 * 0.309016994; cos(0.9 pi) = -0.951056516
    (
        CosineLengthReward(max_length=100),
        "cosine_length_reward",
        [0.672745751, 0.512235871, -1.0],
    ),
    # three trigrams of one kind in the last
    (repetition_penalty, "repetition_penalty", [0.0, 0.0, -2 / 3]),
    (RepetitionPenalty(ngram_size=1), "repetition_penalty", [0.0, 0.0, -4 / 5]),
    (gated_format, "gated_format_reward", [1.0, 0.0, 0.0]),
    (combine([accuracy_reward, format_reward]), "combined_reward", [2.0, 1.0, 0.0]),
]
each_reward = pytest.mark.parametrize(("reward", "name", "values"), REWARDS)


def constant(*values: float | None) -> Callable[..., Any]:
    def gate(completions: list[str], **_: Any) -> list[float | None]:
        return list(values)

    return gate


@each_reward
def test_trls_convention(reward: Any, name: str, values: list[float]) -> None:
    assert reward.__name__ == name
    extra = {"trainer_state": object(), "log_extra": print, "log_metric": print, "level": [1, 2, 3]}
    assert reward(**BATCH, **extra) == pytest.approx(values, abs=1e-9)
    assert [score.value for score in reward.scores(**BATCH)] == reward(**BATCH)
    assert all(type(value) is float for value in reward(**BATCH))
    assert reward(completions=[], prompts=[], completion_ids=[], answer=[]) == []


@each_reward
def test_conversations_are_texts(reward: Any, name: str, values: list[float]) -> None:
    conversations = [
        [{"role": "assistant", "content": "earlier"}, {"role": "assistant", "content": text}]
        for text in BATCH["completions"]
    ]
    assert reward(**{**BATCH, "completions": conversations}) == reward(**BATCH)


@each_reward
def test_rows_do_not_see_each_other(reward: Any, name: str, values: list[float]) -> None:
    backwards = {key: rows[::-1] for key, rows in BATCH.items()}
    assert reward(**backwards) == reward(**BATCH)[::-1]


@each_reward
def test_pickled_and_in_threads(reward: Any, name: str, values: list[float]) -> None:
    copied = pickle.loads(pickle.dumps(reward))
    assert copied.__name__ == name
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: copied(**BATCH), range(8)))
    assert results == [reward(**BATCH)] * 8


@pytest.mark.parametrize("reward", [reward for reward, _, _ in REWARDS])
def test_settings_are_frozen(reward: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(reward, dataclasses.fields(reward)[0].name, None)


def test_spawned_processes_give_the_same() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for reward, _, _ in REWARDS:
            assert pool.submit(reward, **BATCH).result() == reward(**BATCH)


@each_reward
def test_what_is_no_completion_is_an_error(reward: Any, name: str, values: list[float]) -> None:
    with pytest.raises(GradingError, match="a completion must be"):
        reward(completions=[5], completion_ids=[[]], answer=["5"], prompts=["?"])


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, mathrl.rewards.shaping, mathrl.rewards.combination\n"
        "assert not {'torch', 'numpy', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_gate_by_hand() -> None:
    gate = constant(1.0, 0.25, 0.0, -1.0, None)
    values = [0.5, -0.5, 0.5, -0.5, 0.5]
    assert gated(constant(*values), by=gate)(["a"] * 5) == [0.5, -0.5, 0.0, 0.0, None]
    assert gated(constant(None), by=constant(1.0))(["a"]) == [None]
    assert gated(constant(None), by=constant(0.0))(["a"]) == [0.0]


def test_format_is_paid_only_with_a_right_answer() -> None:
    completions = [GOOD, GOOD.replace("{5}", "{6}"), r"\boxed{5}", GOOD, "42"]
    right, wrong, bare, unknown, hopeless = gated_format.scores(
        completions, answer=["5", "5", "5", "", ""]
    )
    assert (right.value, right.status) == (1.0, "correct")
    assert (wrong.value, wrong.status) == (0.0, "wrong")
    assert wrong.reason.startswith("closed by accuracy_reward")
    assert (bare.value, bare.reason) == (0.0, "0 <think>, not 1")
    # an unreadable gold is nobody's doing: good form and bad form are left out alike
    assert (unknown.value, unknown.status) == (None, "gold_unparseable")
    assert (hopeless.value, hopeless.status) == (None, "gold_unparseable")


def test_a_gates_status_never_hides_a_zero() -> None:
    def slow(completions: list[str], **_: Any) -> list[float]:
        raise AssertionError

    def scores(completions: list[str], **_: Any) -> list[Score]:
        return [Score(value=0.0, status="timeout", reason="too slow")]

    slow.scores = scores  # type: ignore[attr-defined]
    (score,) = gated(format_reward, by=slow).scores([GOOD])
    assert (score.value, score.status) == (0.0, "timeout")


def test_faults_behind_a_gate_are_raised() -> None:
    def faulty(completions: list[str], **_: Any) -> list[float]:
        raise KeyError("gold")

    with pytest.raises(GradingError, match="reward faulty failed: KeyError"):
        gated(format_reward, by=faulty)([GOOD])
    with pytest.raises(GradingError, match="reward faulty failed: KeyError"):
        gated(faulty, by=constant(0.0))([GOOD])  # also where the gate is closed
    with pytest.raises(GradingError, match="accuracy_reward needs a list column 'answer'"):
        gated_format([GOOD])
    with pytest.raises(ConfigError, match="cannot be called"):
        gated(format_reward, by=1.0)  # type: ignore[arg-type]
