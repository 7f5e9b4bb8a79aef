"""Our tasks and our grader under the ``lm_eval`` command.

    lm_eval --include_path $(mathrl lm-eval-path) --tasks mathrl_gsm8k --model hf --model_args ...

A YAML a task is written from ``TASKS``; it names the functions of this module, which lm-eval calls.
Problems come from where ``mathrl eval`` takes them, or from the local file that the environment
variable ``MATHRL_DATA_<TASK>`` names.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mathrl.evals.metrics import usual_ks
from mathrl.evals.problems import load_examples, load_task
from mathrl.evals.results import ProblemOutcome, SampleOutcome
from mathrl.evals.tasks import TASKS, Task, get_task
from mathrl.evals.verifiers import Grader
from mathrl.files import write_whole
from mathrl.prompts import PromptBuilder
from mathrl.schema import Completion, Problem
from mathrl.tables import import_extra

PREFIX = "mathrl_"
"""Before our names: lm-eval has a ``gsm8k`` of its own."""


def write_tasks(folder: Path | None, *, num_samples: int = 1, temperature: float = 0.0) -> Path:
    """Write a YAML a task for ``lm_eval --include_path``.

    Args:
        folder: Where to; None takes a folder in the user's cache, one for each content.
        num_samples: Samples a problem; lm-eval has no option for it.
        temperature: 0 is greedy.

    Returns:
        The folder.

    Raises:
        StorageError: The folder cannot be written.
    """
    yamls = {name: task_yaml(task, num_samples, temperature) for name, task in TASKS.items()}
    if folder is None:
        digest = hashlib.blake2b("".join(yamls.values()).encode(), digest_size=6)
        folder = _cache() / "lm-eval" / digest.hexdigest()
    for name, text in yamls.items():
        write_whole(folder / f"{PREFIX}{name}.yaml", text)
    return folder


def task_yaml(task: Task, num_samples: int, temperature: float) -> str:
    """One task as lm-eval reads it; all values are JSON, which is YAML too."""
    metrics = [
        {"metric": name, "aggregation": "mean", "higher_is_better": True}
        for name in _metric_names(usual_ks(num_samples))
    ]
    generation = {
        "until": list(task.stop),  # left out, lm-eval would stop at the first empty line
        "max_gen_toks": task.max_new_tokens,  # left out, it would cut at 256 tokens
        "do_sample": temperature > 0,
        "temperature": temperature,
    }
    all_samples = {"name": "all", "filter": [{"function": "take_first_k", "k": num_samples}]}
    fields = {
        "task": PREFIX + task.name,
        "tag": "mathrl",
        "dataset_kwargs": {"mathrl_task": task.name},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "num_fewshot": 0,
        "generation_kwargs": generation,
        "repeats": num_samples,
        "filter_list": [all_samples],
        "metric_list": metrics,
        "metadata": {"version": 1},
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    functions = {"custom_dataset": dataset, "process_results": process_results}
    lines += [f"{name}: !function {__name__}.{f.__name__}" for name, f in functions.items()]
    return "\n".join(["# written by `mathrl lm-eval-path`", *lines, ""])


def dataset(*, mathrl_task: str, **_metadata: object) -> Mapping[str, Any]:
    """A task's problems with their prompts as lm-eval's splits; lm-eval calls it.

    Raises:
        DataError: There is no such data.
        MissingExtraError: ``datasets`` is not installed.
    """
    datasets = import_extra("datasets", "lm-eval")
    task = get_task(mathrl_task)
    problems = load_task(task, data=os.environ.get(data_variable(task)))
    examples = load_examples(task) if task.num_few_shot else []
    prompts = PromptBuilder(task.prompt_config(), examples=examples)
    rows = [
        {"id": problem.id, "prompt": prompts.text(problem), "answer": problem.answer or ""}
        for problem in problems
    ]
    return {"test": datasets.Dataset.from_list(rows)}


def process_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:
    """Grade one problem's samples; lm-eval calls it and averages over problems.

    Args:
        doc: A row of ``dataset``.
        results: One list with the texts of all samples.

    Returns:
        pass@k and maj@k; nothing where the known answer cannot be read.
    """
    problem = Problem(id=doc["id"], prompt=doc["prompt"], answer=doc["answer"])
    grader = Grader()
    samples = []
    for index, text in enumerate(results[0]):
        completion = Completion(text=text)
        score = grader.score(problem, index, completion)
        samples.append(SampleOutcome(sample_index=index, completion=completion, score=score))
    outcome = ProblemOutcome.from_samples(problem.id, samples)
    if not outcome.n:
        return {}
    ks = usual_ks(outcome.n)
    majorities = outcome.majorities([k for k in ks if k > 1])
    values = [*(outcome.pass_at(k) for k in ks), *majorities.values()]
    return dict(zip(_metric_names(ks), values, strict=True))


def data_variable(task: Task) -> str:
    """The environment variable that names a local file with a task's problems."""
    return "MATHRL_DATA_" + re.sub(r"\W", "_", task.name.upper())


def _metric_names(ks: Iterable[int]) -> list[str]:
    ks = list(ks)
    return [f"pass@{k}" for k in ks] + [f"maj@{k}" for k in ks if k > 1]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mathrl"
