"""What both halves of ``train_step_gpu.py`` train, and the clock that both are measured by.

Imported by two environments, so it needs nothing but torch and transformers.
"""

import argparse
import json
import random
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from train_step_shape import peak_mb
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

OUT_OF_MEMORY = "out of memory"
WARM_UP_STEPS = 1
"""The first step also loads kernels, and lets the optimizer allocate its state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The sizes of a Qwen2 with tied embeddings and two key-value heads."""

    hidden: int
    layers: int
    heads: int
    mlp: int
    vocabulary: int = 151_936


SHAPES = {
    "tiny": Shape(hidden=64, layers=2, heads=4, mlp=128, vocabulary=512),
    "0.5b": Shape(hidden=896, layers=24, heads=14, mlp=4864),
    "1.5b": Shape(hidden=1536, layers=28, heads=12, mlp=8960),
}
"""The published ones of Qwen2.5, and one for trying the benchmark out."""


def save_model(shape: Shape, folder: Path) -> None:
    """A Qwen2 of this shape with random bfloat16 weights, and its tokenizer."""
    logging.disable_progress_bar()
    torch.manual_seed(0)
    Qwen2ForCausalLM(model_config(shape)).bfloat16().save_pretrained(folder)
    tokenizer(shape.vocabulary).save_pretrained(folder)


def model_config(shape: Shape) -> Qwen2Config:
    """The configuration of a Qwen2 of this shape."""
    return Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=2,
        intermediate_size=shape.mlp,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,  # the tokenizer's is taken
    )


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One token a number, and an end behind all that the model can write.

    So every completion has exactly the maximal length, and both halves do the same work.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    numbers = {str(token): token for token in range(1, vocabulary)}
    ids = {"<pad>": 0} | numbers | {"<end>": vocabulary}
    made = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<end>")


def prompts(count: int, length: int, vocabulary: int) -> list[str]:
    """Random prompts of exactly ``length`` tokens."""
    draw = random.Random(0)
    return [
        " ".join(str(draw.randrange(1, vocabulary)) for _ in range(length)) for _ in range(count)
    ]


def reward(completions: list[str], **columns: object) -> list[float]:
    """Any number in [0, 1): cheap, and never the same for a whole group."""
    return [zlib.crc32(text.encode()) / 2**32 for text in completions]


@dataclass(slots=True)
class Clock:
    """Wall seconds and tokens of each step behind the warm-up, and the peak memory of those."""

    device: str
    steps: list[dict[str, float]] = field(default_factory=list)
    num_seen: int = 0
    since: float = 0.0

    def __post_init__(self) -> None:
        """Start the first step."""
        self.since = self.now()

    def now(self) -> float:
        """The time at which all that was asked of the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def end_step(self, *, generate_s: float, tokens: float) -> None:
        """Count what has passed since the last step."""
        now = self.now()
        step = {"step_s": now - self.since, "generate_s": generate_s, "tokens": tokens}
        self.num_seen += 1
        if self.num_seen > WARM_UP_STEPS:
            self.steps.append(step)
        elif self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.since = self.now()

    def report(self) -> dict[str, float]:
        """The median step; memory is that of torch on a GPU, of the process without one."""
        is_gpu = self.device == "cuda"
        step, generate, tokens = (
            statistics.median(step[key] for step in self.steps)
            for key in ("step_s", "generate_s", "tokens")
        )
        return {
            "generate_s": generate,
            "update_s": step - generate,
            "step_s": step,
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if is_gpu else peak_mb() / 1024,
            "tokens": tokens,
        }


def versions(device: str, *modules: ModuleType) -> dict[str, str]:
    """What a half ran on."""
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return {"device": name} | {module.__name__: module.__version__ for module in modules}


def run_half(
    measure: Callable[[argparse.Namespace], dict[str, Any]], arguments: Sequence[str] | None = None
) -> None:
    """Measure what the command line asks for and print one line of JSON.

    A lack of GPU memory is a result; whatever else fails ends the process with its own message.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    for name in ("group", "rollouts", "prompt", "completion", "steps", "rows"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--weights", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--checkpointing", action="store_true")
    try:
        report = measure(parser.parse_args(arguments))
    except torch.OutOfMemoryError:
        report = {"error": OUT_OF_MEMORY}
    print(json.dumps(report))  # noqa: T201 - the driver reads it
