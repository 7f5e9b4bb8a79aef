"""What `mathrl eval` asks and how it is put to a model: a task of ours, or one of lm-eval's."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from mathrl.cli.eval_preset import preset_facts, with_preset
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mathrl.cli.eval import EvalOptions
    from mathrl.evals import EvalResult, Task
    from mathrl.evals.harness.theirs import OwnMetric
    from mathrl.prompts import PromptBuilder
    from mathrl.schema import Problem

LM_EVAL = "lm-eval"
HARNESS_PREFIX = f"{LM_EVAL}:"
"""Before the name of a task of lm-eval's."""


class EvalSource(Protocol):
    """Where problems and prompts come from."""

    @property
    def task(self) -> "Task":
        """Its defaults stand where the command line says nothing."""

    @property
    def num_samples(self) -> int:
        """Samples a problem unless the command line says otherwise."""

    @property
    def temperature(self) -> float | None:
        """Temperature of the task; None leaves it to the number of samples."""

    def problems(self, config: "EvalOptions") -> "Sequence[Problem]":
        """What to ask."""

    def prompts(
        self, config: "EvalOptions", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> "PromptBuilder":
        """How it is asked; without a tokenizer, in text that no chat template has touched."""

    def facts(self, config: "EvalOptions") -> dict[str, Any]:
        """What the manifest is to tell of it."""

    def finish(self, config: "EvalOptions", result: "EvalResult") -> None:
        """Show and keep what else there is to tell of the samples."""


def open_source(config: "EvalOptions") -> EvalSource:
    """The task that a command line names."""
    if config.is_harness:
        return _HarnessSource(config)
    return _OwnSource(config)


class _OwnSource:
    """A task of ours."""

    num_samples = 1
    temperature = None

    def __init__(self, config: "EvalOptions") -> None:
        from mathrl.evals import get_task

        if config.include_path is not None:
            raise ConfigError("--include-path is for --engine lm-eval")
        self.task = with_preset(get_task(config.task), config)

    def problems(self, config: "EvalOptions") -> "Sequence[Problem]":
        from mathrl.evals.problems import load_task

        return load_task(
            self.task,
            data=config.data,
            question_column=config.question_column,
            answer_column=config.answer_column,
            limit=config.limit,
        )

    def prompts(
        self, config: "EvalOptions", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> "PromptBuilder":
        from mathrl.evals.problems import load_examples
        from mathrl.prompts import PromptBuilder, PromptConfig

        prompt = PromptConfig(
            template=config.template or self.task.template,
            system=config.system,
            num_few_shot=config.num_few_shot or 0,
            # an API has a chat template of its own: which endpoint is asked decides
            chat="auto" if tokenizer is None else config.chat or self.task.chat,
        )
        examples = load_examples(self.task, config.few_shot_data) if config.num_few_shot else []
        return PromptBuilder(prompt, tokenizer=tokenizer, examples=examples)

    def facts(self, config: "EvalOptions") -> dict[str, Any]:
        return preset_facts(config.preset, self.task)

    def finish(self, config: "EvalOptions", result: "EvalResult") -> None:
        pass


class _HarnessSource:
    """A task of lm-eval's."""

    def __init__(self, config: "EvalOptions") -> None:
        from mathrl.evals.harness.theirs import HarnessTask

        given = {
            "--as": config.preset,
            "--data": config.data,
            "--question-column": config.question_column,
            "--answer-column": config.answer_column,
            "--template": config.template,
            "--few-shot-data": config.few_shot_data,
        }
        named = ", ".join(name for name, value in given.items() if value is not None)
        if named:
            raise ConfigError(f"an lm-eval task brings its data and its prompt: leave {named} out")
        self._harness: HarnessTask = HarnessTask(
            config.task.removeprefix(HARNESS_PREFIX),
            include_path=config.include_path,
            num_few_shot=config.num_few_shot,
            limit=config.limit,
        )
        self.task = self._harness.task
        self.num_samples = self._harness.repeats
        self.temperature = self._harness.temperature or None
        if config.num_samples is not None:
            self._harness.check_num_samples(config.num_samples)

    def problems(self, config: "EvalOptions") -> "Sequence[Problem]":
        return self._harness.problems

    def prompts(
        self, config: "EvalOptions", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> "PromptBuilder":
        has_template = getattr(tokenizer, "chat_template", None) is not None
        is_chat = config.chat == "on" or (config.chat == "auto" and has_template)
        return self._harness.prompts(
            tokenizer, system=config.system, is_chat=is_chat and tokenizer is not None
        )

    def facts(self, config: "EvalOptions") -> dict[str, Any]:
        return {"lm_eval": self._harness.facts()}

    def finish(self, config: "EvalOptions", result: "EvalResult") -> None:
        """lm-eval's rules run last: they are not ours, and all else is on disk by then."""
        from mathrl.evals.harness.theirs import save_own_metrics

        metrics = self._harness.own_metrics(result.problems)
        save_own_metrics(Path(config.out or ""), self.task.name, metrics)
        click.echo("\nlm-eval's own figures for the same completions, in percent")
        for metric in metrics:
            click.echo(f"  {metric.name}  {_figure(metric)}")


def _figure(metric: "OwnMetric") -> str:
    from mathrl.evals.display import percent

    spread = "" if metric.stderr is None else f" ± {percent(metric.stderr)}"
    return f"{percent(metric.value)}{spread}"
