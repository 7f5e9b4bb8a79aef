"""What ``torch.compile`` brings to the log-probs of completions and their gradient.

    python benchmarks/compiled.py

A random Qwen2 of 1.6M parameters, float32, one thread; a step scores 32 completions of 8 to 64
tokens behind 4 prompts of 14 to 120 and takes their gradient. Lengths differ from step to step, as
they do in training, so that shapes are dynamic. Process-CPU seconds, the median of six steps after
three to warm up; the wall-clock time of those three is what compiling costs.
"""

import statistics
import time

import click
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from mathrl.trainers import logprobs
from mathrl.trainers.logprobs import Row, Scoring, score_completions

WARM_UP, MEASURED = 3, 6
SIZES = {
    "vocab_size": 512,
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 576,
}


def rows_of(step: int) -> list[Row]:
    """The completions of a step."""
    generator = torch.Generator().manual_seed(step)

    def draw(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high + 1, (1,), generator=generator))
        return tuple(torch.randint(2, 500, (length,), generator=generator).tolist())

    prompts = [draw(14, 120) for _ in range(4)]
    return [(prompt, draw(8, 64)) for prompt in prompts for _ in range(8)]


def measure(what: str) -> tuple[float, float]:
    """Seconds to warm up, and CPU seconds a step after that."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False)).eval()
    if what == "whole decoder":
        model.model.compile(dynamic=True)
    if what == "each layer":
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    start, seconds = time.perf_counter(), []
    for step in range(WARM_UP + MEASURED):
        if step == WARM_UP:
            warm_up = time.perf_counter() - start
        before = time.process_time()
        for _, scores in score_completions(model, rows_of(step), Scoring(max_tokens=2048)):
            scores.logprobs_BT.sum().backward()
        model.zero_grad()
        seconds.append(time.process_time() - before)
    return warm_up, statistics.median(seconds[WARM_UP:])


def main() -> None:
    """Measure both paths, plain and compiled."""
    torch.set_num_threads(1)
    share = logprobs.can_share_prompts
    click.echo("| prompts | compiled | warm-up, s | CPU s a step |")
    click.echo("|---|---|---|---|")
    for prompts in ("shared", "with each completion"):
        logprobs.can_share_prompts = share if prompts == "shared" else lambda model: False
        for what in ("nothing", "each layer", "whole decoder"):
            warm_up, seconds = measure(what)
            click.echo(f"| {prompts} | {what} | {warm_up:.1f} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
