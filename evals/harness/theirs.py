"""lm-eval's tasks under our command: its documents, prompts and targets; our samples and figures.

    mathrl eval --engine lm-eval --task gsm8k_cot --model MODEL
    mathrl eval --task lm-eval:my_task --include-path FOLDER --model MODEL

lm-eval builds what the model reads and what is right; an engine of ours samples, our store keeps
and our grader grades. What lm-eval's own rules say of the same completions is told beside it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mathrl.errors import ConfigError, DataError, MissingExtraError
from mathrl.evals.results import ProblemOutcome
from mathrl.evals.stats import clustered_stderr
from mathrl.evals.tasks import Task
from mathrl.files import write_whole
from mathrl.known_answers import typed_answer
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.schema import Problem
from mathrl.tables import import_extra

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_NEW_TOKENS = 2048
"""Where a task sets no cap: lm-eval's own backends would cut at 256 tokens."""
FEW_SHOT_SEED = 1234
"""lm-eval's default for drawing worked examples."""
OWN_METRICS_FILE = "lm_eval.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetric:
    """One of lm-eval's figures for completions that our engine sampled."""

    name: str
    """Metric and filter, as lm-eval writes them: ``exact_match,strict-match``."""
    value: float
    stderr: float | None
    """Clustered by problem; None where the figure is no mean over problems."""


class HarnessTask:
    """One generating task of lm-eval."""

    def __init__(
        self,
        name: str,
        *,
        include_path: str | None = None,
        num_few_shot: int | None = None,
        limit: int | None = None,
    ) -> None:
        """Load the task and its documents.

        Args:
            name: Its name, or a path of its YAML.
            include_path: Folder with YAML files, looked at before lm-eval's own tasks.
            num_few_shot: Worked examples; None leaves the task's number.
            limit: The first so many documents only.

        Raises:
            ConfigError: There is no such task, or it is not one that text is generated for.
            DataError: Its data cannot be loaded, or has no text as target.
            MissingExtraError: lm-eval is not installed.
        """
        self._task = _load(name, include_path)
        if num_few_shot is not None or self._task.config.num_fewshot is None:
            self._task.set_config("num_fewshot", num_few_shot or 0)
        self._task.set_fewshot_seed(FEW_SHOT_SEED)
        self._docs = dict(self._task.doc_iterator(limit=limit))
        own_name = self._task.config.task
        self._ids = _ids(own_name, self._docs)
        self.problems = [
            Problem(
                id=self._ids[place],
                prompt=str(self._task.doc_to_text(doc)),
                answer=_target(own_name, self._task.doc_to_target(doc)),
                metadata={k: v for k, v in doc.items() if isinstance(v, str | int | float)},
            )
            for place, doc in self._docs.items()
        ]
        settings = self._task.config.generation_kwargs
        self.temperature = float(settings.get("temperature") or 0.0)
        if not settings.get("do_sample", self.temperature > 0):
            self.temperature = 0.0
        self.repeats = int(self._task.config.repeats)
        self.task = Task(
            name=own_name,
            data="lm-eval",
            split="test",
            size=len(self.problems),
            source="lm-eval",
            template="{prompt}",
            num_few_shot=self._task.config.num_fewshot,
            chat="off",
            stop=tuple(text for text in _as_list(settings.get("until")) if text),
            max_new_tokens=int(settings.get("max_gen_toks") or MAX_NEW_TOKENS),
        )

    def prompts(
        self,
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        *,
        system: str = "",
        is_chat: bool = False,
    ) -> PromptBuilder:
        """What lm-eval makes of each problem: description, worked examples, question.

        Args:
            tokenizer: Of the model; None for engines that read text.
            system: System message.
            is_chat: Apply the tokenizer's chat template; lm-eval does not unless it is asked to.

        Raises:
            ConfigError: The tokenizer has no chat template.
        """
        if is_chat and getattr(tokenizer, "chat_template", None) is None:
            raise ConfigError("--chat on: the tokenizer has no chat template")

        def chat(messages: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
            assert tokenizer is not None, "checked above"
            return str(
                tokenizer.apply_chat_template(
                    messages,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                )
            )

        texts = {
            self._ids[place]: self._context(doc, system, chat if is_chat else None)
            for place, doc in self._docs.items()
        }
        return _Rendered(texts, tokenizer, is_chat=is_chat)

    def facts(self) -> dict[str, Any]:
        """What the manifest of a run tells of the task."""
        import lm_eval

        return {
            "version": lm_eval.__version__,
            "task_version": self._task.VERSION,
            "num_few_shot": self._task.config.num_fewshot,
            "few_shot_seed": FEW_SHOT_SEED,
        }

    def check_num_samples(self, num_samples: int) -> None:
        """Refuse a number of samples that lm-eval's own metric cannot be told for.

        Raises:
            ConfigError: It is no multiple of the samples that the task draws.
        """
        if num_samples % self.repeats:
            raise ConfigError(
                f"{self.task.name} draws {self.repeats} samples a problem: "
                f"-n must be a multiple of it, got {num_samples}"
            )

    def own_metrics(self, outcomes: Sequence[ProblemOutcome]) -> list[OwnMetric]:
        """lm-eval's own figures for stored completions.

        Where more samples were drawn than lm-eval scores at a time, its figures are averaged over
        all of them.

        Args:
            outcomes: The problems with their samples.
        """
        texts = {o.problem_id: [s.completion.text for s in o.samples] for o in outcomes}
        rounds = min((len(own) for own in texts.values()), default=0) // self.repeats
        scored = [self._score_round(texts, number) for number in range(rounds)]
        names = sorted({name for by_doc in scored for name in by_doc})
        return [self._aggregate(name, [by_doc[name] for by_doc in scored]) for name in names]

    def _context(self, doc: Mapping[str, Any], system: str, chat: Callable[..., str] | None) -> str:
        text = self._task.fewshot_context(
            doc,
            num_fewshot=self._task.config.num_fewshot,
            system_instruction=system or None,
            apply_chat_template=chat is not None,
            chat_template=chat,
            gen_prefix=self._task.doc_to_prefix(doc),
        )
        return str(text)

    def _score_round(
        self, texts: Mapping[str, Sequence[str]], number: int
    ) -> dict[str, dict[str, Any]]:
        """The metrics of one round of samples: by name, then by problem."""
        from lm_eval.api.instance import Instance

        first = number * self.repeats
        self._task._instances = [
            Instance(
                request_type="generate_until",
                doc=doc,
                arguments=("", {}),
                idx=0,
                metadata=(self.task.name, place, self.repeats),
                resps=list(texts[self._ids[place]][first : first + self.repeats]),
            )
            for place, doc in self._docs.items()
            if self._ids[place] in texts
        ]
        self._task.apply_filters()
        found: dict[str, dict[str, Any]] = {}
        for instance in self._task._instances:
            for filter_name, kept in instance.filtered_resps.items():
                for metric, value in self._task.process_results(instance.doc, [kept]).items():
                    by_problem = found.setdefault(f"{metric},{filter_name}", {})
                    by_problem[self._ids[instance.doc_id]] = value
        return found

    def _aggregate(self, name: str, rounds: Sequence[Mapping[str, Any]]) -> OwnMetric:
        from lm_eval.api.metrics import mean

        aggregate = self._task.aggregation().get(name.partition(",")[0], mean)
        value = fmean(float(aggregate(list(found.values()))) for found in rounds)
        if aggregate is not mean:
            return OwnMetric(name=name, value=value, stderr=None)
        means = [fmean(float(found[problem]) for found in rounds) for problem in rounds[0]]
        return OwnMetric(name=name, value=value, stderr=clustered_stderr(means))


class _Rendered(PromptBuilder):
    """Prompts that lm-eval has made."""

    def __init__(
        self,
        texts: Mapping[str, str],
        tokenizer: "PreTrainedTokenizerBase | None",
        *,
        is_chat: bool,
    ) -> None:
        super().__init__(PromptConfig(chat="off"), tokenizer=tokenizer)
        self.is_chat = is_chat
        self._texts = texts

    def text(self, problem: Problem) -> str:
        return self._texts[problem.id]


def save_own_metrics(folder: Path, task: str, metrics: Sequence[OwnMetric]) -> None:
    """Keep lm-eval's own figures in a run folder; those of other tasks stay.

    Raises:
        StorageError: The disk refused.
    """
    path = folder / OWN_METRICS_FILE
    entries = json.loads(path.read_bytes()) if path.exists() else {}
    entries[task] = [asdict(metric) for metric in metrics]
    write_whole(path, json.dumps(entries, indent=1) + "\n")


def _load(name: str, include_path: str | None) -> Any:  # Any: lm-eval carries no types
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'lm-eval\'s tasks need {error.name}: pip install "mathrl[lm-eval]"'
        ) from error
    datasets = import_extra("datasets", "lm-eval")
    if include_path is not None and not Path(include_path).is_dir():
        raise ConfigError(f"--include-path {include_path}: no such folder")
    is_file = Path(name).is_file()
    manager = TaskManager(include_path=include_path, include_defaults=False)
    if name not in manager.all_tasks and not is_file:
        manager = TaskManager(include_path=include_path)  # reading its index takes seconds
    if name in (*manager.all_groups, *manager.all_tags):
        raise ConfigError(f"{name} is a group of lm-eval tasks: evaluate them one by one")
    if name not in manager.all_subtasks and not is_file:
        raise ConfigError(f"lm-eval has no task {name!r}; --include-path FOLDER adds your own")
    try:
        (task,) = manager.load([name])["tasks"].values()
    except (OSError, ValueError, KeyError, TypeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"lm-eval cannot load {name} ({reason}); without a network, give a YAML of your own "
            "with dataset_path: json and data_files"
        ) from error
    if task.OUTPUT_TYPE != "generate_until" or getattr(task, "MULTIMODAL", False):
        raise ConfigError(f"{name} is a {task.OUTPUT_TYPE} task: only text is generated here")
    return task


def _ids(task: str, docs: Mapping[int, Mapping[str, Any]]) -> dict[int, str]:
    """The documents' own ids, so that runs compare with ours; without them, their places."""
    own = {place: str(doc["id"]) for place, doc in docs.items() if doc.get("id") is not None}
    if len(set(own.values())) == len(docs):
        return own
    return {place: f"{task}/{place}" for place in docs}


def _target(task: str, target: object) -> str | None:
    """The known answer in a target, which may be a worked solution."""
    if isinstance(target, list) and len(set(map(str, target))) == 1:
        target = target[0]
    if not isinstance(target, str | int | float):
        raise DataError(f"{task}: the grader takes one answer a problem, not {target!r:.60}")
    return typed_answer(str(target), is_solution=True)


def _as_list(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        yield from map(str, value)
