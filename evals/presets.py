r"""Presets: prompt, stop words, token limit and grading rule of another project, all at once.

    mathrl eval --task gsm8k --model MODEL --as deepseek
    mathrl eval --task math500 --model MODEL --as lm-eval

The same weights are published 26 to 36 points apart under two prompts, so a number can be put
beside a published one only where all four agree. A preset writes the whole prompt itself, roles
included, so no chat template is applied; its hash covers all that it sets. Decoding is greedy in
every one of them, which is the default of an evaluation with one sample.

Sources: deepseek-ai/DeepSeek-Math and QwenLM/Qwen2.5-Math, their ``evaluation`` folders; lm-eval
0.4.13, tasks ``gsm8k_cot`` and ``minerva_math``.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from mathrl.errors import ConfigError
from mathrl.evals.fewshot import (
    DEEPSEEK_GSM8K,
    DEEPSEEK_MATH,
    LM_EVAL_GSM8K,
    LM_EVAL_MATH,
    FewShot,
    sha256,
)
from mathrl.evals.tasks import Task
from mathrl.nearest import did_you_mean

Family = Literal["gsm8k", "math"]
FAMILIES: dict[str, Family] = {
    "gsm8k": "gsm8k",
    "gsm8k-platinum": "gsm8k",
    "math": "math",
    "math500": "math",
}
"""The tasks that presets are for."""

MARKER = "What is 1 + 1?"
"""The question in the prompt that is hashed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """How one project evaluates one family of tasks."""

    name: str
    """What ``--as`` takes."""
    family: Family
    form: str
    """Text around the question, ``{prompt}``, after the examples."""
    shots: FewShot | None = None
    """Examples before it."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion, besides the model's own end of sequence."""
    max_new_tokens: int
    rules: tuple[str, ...]
    """Names of the grading rules that the project reports."""

    @property
    def template(self) -> str:
        """The whole text around the question.

        Raises:
            MissingExtraError: The examples are read from lm-eval, which is not installed.
            ConfigError: The installed lm-eval has other examples.
        """
        return (self.shots.text() if self.shots else "") + self.form

    def apply(self, task: Task) -> Task:
        """The task as the project puts it to a model.

        Raises:
            MissingExtraError: As for ``template``.
            ConfigError: As for ``template``.
        """
        return replace(
            task,
            template=self.template,
            system="",
            num_few_shot=0,
            chat="off",
            stop=self.stop,
            max_new_tokens=self.max_new_tokens,
        )

    def sha256(self) -> str:
        """Hash of the prompt of ``MARKER``, the stop words, the token limit and the rules."""
        facts = {
            "prompt": self.template.replace("{prompt}", MARKER),
            "stop": self.stop,
            "max_new_tokens": self.max_new_tokens,
            "rules": self.rules,
        }
        return sha256(json.dumps(facts, sort_keys=True))

    def to_json(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        return {"name": self.name, "sha256": self.sha256(), "rules": list(self.rules)}


_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
_DEEPSEEK_FORM = f"User: {{prompt}}\n{_BOXED}\n\nAssistant:"
_QWEN_FORM = (
    f"<|im_start|>system\n{_BOXED}<|im_end|>\n"
    "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
)
_QWEN_STOP = ("</s>", "<|im_end|>", "<|endoftext|>")
_LM_EVAL_TOKENS = 256
"""lm-eval's default, which neither task sets: it cuts long reasoning short."""


def _zero_shot(
    name: str, form: str, stop: tuple[str, ...], max_new_tokens: int
) -> tuple[Preset, Preset]:
    """The same prompt for both families, graded by the rule of the same name."""
    gsm8k = Preset(
        name=name,
        family="gsm8k",
        form=form,
        stop=stop,
        max_new_tokens=max_new_tokens,
        rules=(name,),
    )
    return gsm8k, replace(gsm8k, family="math")


_ALL = (
    *_zero_shot("deepseek", _DEEPSEEK_FORM, (), 1024),
    Preset(
        name="deepseek-base",
        family="gsm8k",
        shots=DEEPSEEK_GSM8K,
        form="\n\n\nQ: {prompt}\nA:",
        stop=("\nQ:",),
        max_new_tokens=1024,
        rules=("deepseek-few-shot",),
    ),
    Preset(
        name="deepseek-base",
        family="math",
        shots=DEEPSEEK_MATH,
        form="\n\nProblem:\n{prompt}\n\nSolution:",
        stop=("\nProblem:",),
        max_new_tokens=1024,
        rules=("deepseek",),
    ),
    *_zero_shot("qwen", _QWEN_FORM, _QWEN_STOP, 2048),
    Preset(
        name="lm-eval",
        family="gsm8k",
        shots=LM_EVAL_GSM8K,
        form="\n\nQ: {prompt}\nA:",
        stop=("Q:", "</s>", "<|im_end|>"),
        max_new_tokens=_LM_EVAL_TOKENS,
        rules=("lm-eval-cot-strict", "lm-eval-flexible"),
    ),
    Preset(
        name="lm-eval",
        family="math",
        shots=LM_EVAL_MATH,
        form="\n\nProblem:\n{prompt}\n\nSolution:",
        stop=("Problem:",),
        max_new_tokens=_LM_EVAL_TOKENS,
        rules=("lm-eval-minerva",),
    ),
)
PRESETS: dict[tuple[str, Family], Preset] = {(one.name, one.family): one for one in _ALL}
PRESET_NAMES = tuple(dict.fromkeys(preset.name for preset in _ALL))


def get_preset(name: str, task: str) -> Preset:
    """Look up how a project evaluates a task.

    Raises:
        ConfigError: There is no such preset, or none for this task.
    """
    if name not in PRESET_NAMES:
        hint = did_you_mean(name, PRESET_NAMES) or f"there are {', '.join(PRESET_NAMES)}"
        raise ConfigError(f"no preset {name!r}: {hint}")
    family = FAMILIES.get(task)
    if family is None:
        raise ConfigError(
            f"preset {name} is for the tasks {', '.join(FAMILIES)}, not for {task}: leave --as out"
        )
    return PRESETS[name, family]
