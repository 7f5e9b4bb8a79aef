"""What both halves of ``train_step.py`` train: the same random model, prompts and reward.

Imported by two environments, so it needs nothing but transformers.
"""

import argparse
import random
import re
from pathlib import Path

from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

MAX_NEW_TOKENS = 64
CHARACTERS = "0123456789+-*/=?!.,:;()[]{} \nabcdefghijklmnopqrstuvwxyzAQ"
VOCABULARY = 64


def options() -> argparse.Namespace:
    """What ``train_step.py`` asks of a half."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--beta", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=6)
    return parser.parse_args()


def peak_mb() -> float:
    """The most memory this process has held, on Linux.

    Not ``ru_maxrss``, which begins at what the process that started this one held.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a character; a random model ends a completion once in 64 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    ids = {"<pad>": 0, "<bos>": 1, "<eos>": 2}
    for character in CHARACTERS:
        ids[character] = len(ids)
    while len(ids) < VOCABULARY:
        ids[f"<x{len(ids)}>"] = len(ids)
    made = Tokenizer(models.WordLevel(ids, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def save_model(folder: Path) -> None:
    """A Qwen2 of 1.6M parameters with random weights, in float32, with its tokenizer."""
    import torch

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        intermediate_size=512,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def problems(count: int, *, is_long: bool) -> list[tuple[str, str]]:
    """Additions with their sums: about 14 characters, or about 120 with solved ones before."""
    draw = random.Random(0)

    def addition() -> tuple[int, int]:
        return draw.randrange(1000), draw.randrange(1000)

    found = []
    for _ in range(count):
        shots = [addition() for _ in range(draw.choice([4, 5, 6]))] if is_long else []
        before = "".join(f"q: {a}+{b}=? a: {a + b}. " for a, b in shots)
        a, b = addition()
        found.append((f"{before}q: {a}+{b}=? a: ", str(a + b)))
    return found


ROLLOUTS: list[list[tuple[int, int, int]]] = []
"""Of each step so far: (number of the prompt, its tokens, the completion's tokens)."""


def reward(
    completions: list[str],
    answer: list[str],
    prompts: list[str],
    completion_ids: list[list[int]],
    **columns: object,
) -> list[float]:
    """The sum, or some of the credit for every digit: cheap, and never the same for a group."""
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    pairs = zip(prompts, completion_ids, strict=True)  # a character is a token
    ROLLOUTS.append([(numbers[prompt], len(prompt), len(ids)) for prompt, ids in pairs])
    values = []
    for text, wanted in zip(completions, answer, strict=True):
        found = re.search(r"-?\d+", text)
        digits = sum(character.isdigit() for character in text) / max(1, len(text))
        values.append(1.0 if found and found[0] == wanted else 0.1 * digits)
    return values
