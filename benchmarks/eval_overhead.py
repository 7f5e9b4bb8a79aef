"""What an evaluation costs beside its engine, next to lm-eval with the same completions.

    python benchmarks/eval_overhead.py            # lm-eval's rows need mathrl[lm-eval]

Both harnesses are given 10,000 problems over a local file and a model that answers at once with
the worked solution, wrong in every third. Each keeps every sample on disk; ours also grades with
the full grader. Overhead is processor seconds of the whole evaluation divided by samples; start-up
is processor seconds of a command. Each is measured three times in turn, and the median counts. The
100,000 stored samples are timed by the clock.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import click

from mathrl.engines import Capabilities, SampleRequest, SamplingParams
from mathrl.schema import Completion

SAMPLES = 10_000
STORED = 100_000
ROUNDS = 3
YAML = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{problem}}}}\\n"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 256}}
filter_list:
- name: flexible
  filter:
  - {{function: regex, group_select: -1, regex_pattern: "(-?[$0-9.,]{{2,}})|(-?[0-9]+)"}}
  - {{function: take_first}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


class ConstantEngine:
    """Has every completion ready."""

    capabilities = Capabilities(token_ids=False, logprobs=False, sync=False, deterministic=True)
    policy_version = 0
    fingerprint = "constant"

    def __init__(self, texts: dict[str, str]) -> None:
        """Take the completions by problem."""
        self.texts = texts

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Answer at once."""
        for index, request in enumerate(requests):
            yield index, Completion(text=self.texts[request.problem_id], finish_reason="stop")

    def sync(self, policy: object, version: int) -> None:
        """Nothing to follow."""

    def sleep(self) -> None:
        """Nothing to give back."""

    def wake(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Nothing to free."""


def write_problems(folder: Path) -> None:
    """Write the problems and what the model answers."""
    from mathrl.arithmetic import generate_problems

    with (folder / "sums.jsonl").open("w") as file:
        for place, problem in enumerate(generate_problems("train", count=SAMPLES)):
            solution = str(problem.metadata["solution"])
            text = solution if place % 3 else f"{solution}7"
            row = {"id": problem.id, "problem": problem.prompt, "answer": problem.answer}
            file.write(json.dumps({**row, "text": text}) + "\n")


def evaluate_ours(folder: Path, num_problems: int, num_samples: int, out: Path) -> None:
    """Load, ask, store, grade, aggregate and write."""
    from mathrl.data import load_problems
    from mathrl.evals import evaluate_into
    from mathrl.evals.runner import Verification
    from mathrl.evals.spec import specify
    from mathrl.evals.verifiers import Grader
    from mathrl.prompts import PromptBuilder, PromptConfig

    problems = load_problems(folder / "sums.jsonl", limit=num_problems)
    engine = ConstantEngine({p.id: str(p.metadata["text"]) for p in problems})
    prompts = PromptBuilder(PromptConfig(template="{prompt}\n"))
    spec = specify("sums", problems, engine, prompts, SamplingParams(), num_samples=num_samples)
    evaluate_into(out, spec, engine, Verification(verifier=Grader()), facts={})


def evaluate_theirs(folder: Path, out: Path) -> None:
    """The same with lm-eval, as its command does it."""
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Constant(LM):  # type: ignore[misc, unused-ignore]
        def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:  # type: ignore[type-arg]
            return [request.doc["text"] for request in requests]

        loglikelihood = loglikelihood_rolling = generate_until

    (folder / "tasks").mkdir(exist_ok=True)
    (folder / "tasks" / "sums.yaml").write_text(YAML.format(data=folder / "sums.jsonl"))
    manager = TaskManager(include_path=folder / "tasks", include_defaults=False)
    tracker = EvaluationTracker(output_path=str(out))
    found = lm_eval.simple_evaluate(
        model=Constant(), tasks=["sums"], task_manager=manager, evaluation_tracker=tracker
    )
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    tracker.save_results_samples(task_name="sums", samples=samples["sums"])


def rescore_stored(folder: Path) -> None:
    """Grade 100,000 stored samples with another version of the grader, and report the figures."""
    from mathrl.evals import verifiers
    from mathrl.evals.rescore import rescore

    out = folder / "stored"
    installed = verifiers.grader_fingerprint
    verifiers.grader_fingerprint = lambda: "an older version"  # type: ignore[assignment]
    evaluate_ours(folder, STORED // 8, 8, out)
    verifiers.grader_fingerprint = installed
    start, busy = time.perf_counter(), time.process_time()
    rescore(out)
    report(time.perf_counter() - start, time.process_time() - busy)


def report(wall_s: float, busy_s: float) -> None:
    """Tell the process that started this one."""
    click.echo(f"MEASURED {wall_s} {busy_s}")


def timed(work: Callable[[], None]) -> None:
    """Report what some work takes."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    report(time.perf_counter() - start, time.process_time() - busy)


def in_process(work: str, folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one kind of work, in a process of its own."""
    command = [sys.executable, __file__, "--work", work, "--folder", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED"))
    wall_s, busy_s = map(float, line.split()[1:])
    return wall_s, busy_s


def start_up(command: Sequence[str]) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def first_call(folder: Path) -> list[str]:
    """A whole `mathrl eval` of one recorded problem: all that comes before the engine, and more."""
    rows = (folder / "sums.jsonl").read_text().splitlines(keepends=True)
    (folder / "one.jsonl").write_text(rows[0])
    data = ["--data", str(folder / "one.jsonl"), "--completions", str(folder / "one.jsonl")]
    out = ["--completion-column", "text", "--out", tempfile.mkdtemp(dir=folder)]
    return [sys.executable, "-m", "mathrl", "eval", "--task", "gsm8k", *data, *out]


def do(work: str, folder: Path) -> None:
    """One measurement, in the process that was started for it."""
    out = Path(tempfile.mkdtemp(dir=folder))
    if work == "ours":
        timed(lambda: evaluate_ours(folder, SAMPLES, 1, out))
    elif work == "theirs":
        timed(lambda: evaluate_theirs(folder, out))
    else:
        rescore_stored(folder)


def measure(folder: Path) -> None:
    """Measure all and print the table."""
    write_problems(folder)
    python = [sys.executable, "-m"]
    has_peer = importlib.util.find_spec("lm_eval") is not None
    names = ("ours", "theirs") if has_peer else ("ours",)
    overhead: dict[str, list[float]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {"mathrl eval --help": [], "mathrl eval, one problem": []}
    for _ in range(ROUNDS):
        for name in names:
            overhead[name].append(1000 * in_process(name, folder)[1] / SAMPLES)
        starts["mathrl eval --help"].append(start_up([*python, "mathrl", "eval", "--help"]))
        starts["mathrl eval, one problem"].append(start_up(first_call(folder)))
        if has_peer:
            help_s = start_up([*python, "lm_eval", "run", "--help"])
            starts.setdefault("lm_eval run --help", []).append(help_s)
    click.echo(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name, values in overhead.items():
        click.echo(f"{name}: {median(values):.2f} ms of processor time a sample ({_list(values)})")
    if has_peer:
        ratio = median(overhead["theirs"]) / median(overhead["ours"])
        click.echo(f"lm-eval takes {ratio:.1f} times as much")
    for name, values in starts.items():
        click.echo(f"{name}: {median(values):.2f} s ({_list(values)})")
    wall_s, busy_s = in_process("rescore", folder)
    click.echo(f"{STORED:,} samples scored again: {wall_s:.1f} s, {busy_s:.1f} s in the caller")


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def main() -> None:
    """Measure, or do one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", choices=["ours", "theirs", "rescore"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        do(arguments.work, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


if __name__ == "__main__":
    main()
