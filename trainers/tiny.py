"""Make the tiny arithmetic policy: what ``mathrl`` runs on where no model is given.

    python -m mathrl.trainers.tiny OUT

An ordinary Qwen2 of 0.7M parameters with a tokenizer of its own, fine-tuned by our SFT (recipe
``tiny``) on demonstrations of which many have a mistake in them: it has learnt to reason and to
err, which is what GRPO can mend. ``mathrl/embedded_policy`` is its output, in bfloat16.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from mathrl import arithmetic
from mathrl.policy import Policy, save_policy
from mathrl.trainers.loop import train
from mathrl.trainers.recipe import load_recipe
from mathrl.trainers.runlog import OnRecord, Record

NUM_DEMONSTRATIONS = 40_000
MISTAKE_RATE = 0.6
"""Share of wrong demonstrations: high, so that sampled accuracy starts low, while the right step
stays by far the likeliest, because mistakes are spread over all other results."""
PAD, END = "<|pad|>", "<|endoftext|>"
VOCABULARY = 512
"""At most: all bytes, and every word of the problems as one token."""


def train_tiny_policy(out: Path, on_record: OnRecord | None = None) -> Policy:
    """Make the tiny policy from nothing: tokenizer, random weights, SFT into ``out``."""
    problems = arithmetic.generate_problems("train", count=NUM_DEMONSTRATIONS)
    demonstrations = arithmetic.demonstrations(problems, mistake_rate=MISTAKE_RATE, seed=0)
    policy = untrained_policy()
    return train(
        load_recipe("tiny"), policy=policy, problems=demonstrations, out=out, on_record=on_record
    ).policy


def untrained_policy(*, hidden_size: int = 128, num_layers: int = 3, seed: int = 0) -> Policy:
    """The tiny architecture with random weights."""
    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=hidden_size // 32,  # vLLM's kernels want heads of 32 or more
        num_key_value_heads=hidden_size // 64,
        intermediate_size=3 * hidden_size,
        max_position_embeddings=4096,
        tie_word_embeddings=False,  # vLLM's CPU backend does not refresh a tied output head
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config).eval()
    return Policy(model=model, tokenizer=tokenizer, name="tiny")


def build_tokenizer() -> Qwen2Tokenizer:
    """Byte-level BPE over the words of the problems, digits one by one; encodes any text."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    problems = arithmetic.generate_problems("train", count=2_000)
    texts = [f"{problem.prompt}\n{problem.metadata['solution']}" for problem in problems]
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    merges: Any = [tuple(merge) for merge in learnt["merges"]]  # annotated as text, read as pairs
    # a Qwen2 folder is read with this class, whatever class wrote it: be that class from the start
    return Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=merges,
        pad_token=PAD,
        eos_token=END,
    )


def _show(record: Record) -> None:
    if int(record["step"]) % 100 == 0:
        sys.stderr.write(f"step {record['step']}: mean log-prob {record['loss/logprob']:.3f}\n")


if __name__ == "__main__":
    made = train_tiny_policy(Path(sys.argv[1]), _show)
    made.model.bfloat16()  # half the bytes in the repository; loading makes it float32 again
    save_policy(made, Path(sys.argv[1]) / "bfloat16")
