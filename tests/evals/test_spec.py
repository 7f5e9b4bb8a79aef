"""A sample's key covers what the engine reads: ids where it reads ids, messages where those."""

from typing import Any

import pytest

from mathrl.engines import Capabilities, SamplingParams
from mathrl.evals.spec import EvalSpec, specify
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem
from tests.conftest import FakeEngine


class Shifted:
    """A tokenizer with a token for each character: its code point and an offset."""

    chat_template = None

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) + self.offset for letter in text]}


def spec_of(problems: list[Problem], tokenizer: Any, *, reads_ids: bool) -> EvalSpec:
    engine = FakeEngine(lambda _: "")
    engine.capabilities = Capabilities(
        token_ids=reads_ids, logprobs=False, sync=False, deterministic=True
    )
    prompts = PromptBuilder(PromptConfig(), tokenizer=tokenizer)
    return specify("t", problems, engine, prompts, SamplingParams())


@pytest.mark.parametrize("reads_ids", [True, False])
def test_a_changed_tokenizer_alone_changes_every_key_of_an_engine_that_reads_ids(
    problems: list[Problem], reads_ids: bool
) -> None:
    one, same, other = (
        spec_of(problems, Shifted(offset), reads_ids=reads_ids) for offset in (0, 0, 1)
    )
    keys = [[key.digest() for _, key in spec.samples()] for spec in (one, same, other)]
    assert [asked.prompt for asked in one.asked] == [asked.prompt for asked in other.asked]
    assert keys[0] == keys[1]
    assert all((a != b) is reads_ids for a, b in zip(keys[0], keys[2], strict=True))
