"""TRL's half of ``train_step.py``: prints process-CPU seconds a step and the peak memory as JSON.

Runs in the peer's own environment, with the options that make its objective the paper's.
"""

import json
import time
from typing import Any

import torch
from datasets import Dataset
from train_step_shape import MAX_NEW_TOKENS, ROLLOUTS, options, peak_mb, problems, reward, tokenizer
from transformers import PrinterCallback, Qwen2ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

ROWS: list[dict[str, float]] = []


class Timed(GRPOTrainer):
    """Counts the CPU seconds of sampling; changes nothing."""

    sampling_s = 0.0

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        found = super()._generate_single_turn(*args, **kwargs)
        self.sampling_s += time.process_time() - start
        return found


class Clock(TrainerCallback):
    """Reads the CPU clock around each step."""

    def __init__(self) -> None:
        self.trainer: Timed | None = None

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start a step."""
        assert self.trainer is not None
        self.cpu, self.sampling = time.process_time(), self.trainer.sampling_s

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """End it."""
        assert self.trainer is not None
        generate = self.trainer.sampling_s - self.sampling
        ROWS.append({"step": time.process_time() - self.cpu, "generate": generate})


def main() -> None:
    """Train some steps, measure each."""
    arguments = options()
    torch.set_num_threads(1)
    imported = peak_mb()
    config = GRPOConfig(
        output_dir="runs/train-step-peer",
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        per_device_train_batch_size=64,
        num_generations=arguments.group,
        max_completion_length=MAX_NEW_TOKENS,
        temperature=1.0,
        beta=arguments.beta,
        use_bias_correction_kl=False,
        loss_type="grpo",
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        max_steps=arguments.steps + 2,
        gradient_checkpointing=False,
        disable_dropout=True,
        disable_tqdm=True,
    )
    rows = [{"prompt": p, "answer": a} for p, a in problems(512, is_long=arguments.long)]
    clock = Clock()
    clock.trainer = Timed(
        model=Qwen2ForCausalLM.from_pretrained(arguments.model, dtype=torch.float32),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
        callbacks=[clock],
    )
    clock.trainer.remove_callback(PrinterCallback)
    clock.trainer.train()
    report = {"rows": ROWS[2:], "rollouts": ROLLOUTS[2:], "memory_mb": peak_mb() - imported}
    print(json.dumps(report))  # noqa: T201 - the driver reads it


if __name__ == "__main__":
    main()
