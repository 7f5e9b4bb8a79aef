"""TRL's half of ``train_step_gpu.py``: its trainer with transformers' ``generate``, in bfloat16."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from train_step_gpu_shape import WARM_UP_STEPS, Clock, prompts, reward, run_half, versions
from transformers import AutoTokenizer, PrinterCallback, Qwen2ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Timed(GRPOTrainer):
    """Counts the seconds and the tokens of sampling; changes nothing."""

    clock: Clock
    generate_s = 0.0
    tokens = 0

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        start = self.clock.now()
        found = super()._generate_single_turn(*args, **kwargs)
        self.generate_s += self.clock.now() - start
        self.tokens += sum(map(len, found[0]))
        return found


class EndOfStep(TrainerCallback):
    """Tells the clock about each step."""

    trainer: Timed

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """End a step."""
        trainer = self.trainer
        trainer.clock.end_step(generate_s=trainer.generate_s, tokens=trainer.tokens)
        trainer.generate_s, trainer.tokens = 0.0, 0


def config(arguments: argparse.Namespace, folder: Path) -> GRPOConfig:
    """The paper's objective without a reference; ``rows`` completions in a backward pass."""
    return GRPOConfig(
        output_dir=str(folder),
        use_cpu=arguments.device == "cpu",
        bf16=True,
        gradient_checkpointing=arguments.checkpointing,
        report_to=[],
        save_strategy="no",
        per_device_train_batch_size=arguments.rows,
        gradient_accumulation_steps=arguments.rollouts // arguments.rows,
        num_generations=arguments.group,
        max_completion_length=arguments.completion,
        temperature=1.0,
        beta=0.0,
        loss_type="grpo",
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        max_steps=WARM_UP_STEPS + arguments.steps,
        disable_dropout=True,
        disable_tqdm=True,
    )


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train some steps, measure each."""
    dtype = getattr(torch, arguments.weights)
    model = Qwen2ForCausalLM.from_pretrained(arguments.model, dtype=dtype)
    rows = [{"prompt": p} for p in prompts(512, arguments.prompt, model.config.vocab_size)]
    callback = EndOfStep()
    with tempfile.TemporaryDirectory() as folder:
        trainer = callback.trainer = Timed(
            model=model,
            reward_funcs=reward,
            args=config(arguments, Path(folder)),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(arguments.model),
            callbacks=[callback],
        )
        trainer.clock = Clock(arguments.device)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    is_mixed = arguments.weights == "float32"
    precision = "float32, bfloat16 autocast" if is_mixed else "bfloat16"
    found = versions(arguments.device, torch, transformers, trl)
    return {**trainer.clock.report(), "precision": precision, "versions": found}


if __name__ == "__main__":
    run_half(measure)
