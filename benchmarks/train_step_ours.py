"""Our half of ``train_step.py``: prints process-CPU seconds a step and the peak memory as JSON."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from train_step_shape import MAX_NEW_TOKENS, ROLLOUTS, options, peak_mb, problems, reward

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.policy import load_policy
from mathrl.schema import Completion, Problem
from mathrl.trainers import load_recipe, train
from mathrl.trainers.runlog import Record


class TimedEngine(LocalEngine):
    """Counts the CPU seconds of sampling."""

    sampling_s = 0.0

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Sample all, then hand them on."""
        start = time.process_time()
        found = list(super().sample(requests, params))
        self.sampling_s += time.process_time() - start
        yield from found


def main() -> None:
    """Train some steps, measure each."""
    arguments = options()
    torch.set_num_threads(1)
    imported = peak_mb()
    policy = load_policy(arguments.model, device="cpu")
    engine = TimedEngine(policy)
    settings = [
        f"max_steps={arguments.steps + 2}",
        f"rollout.num_problems={64 // arguments.group}",
        f"rollout.group_size={arguments.group}",
        f"rollout.max_new_tokens={MAX_NEW_TOKENS}",
        f"loss.beta={arguments.beta}",
        "optimizer.lr=1e-6",
        "checkpoint.every=1000",
        'prompt.template="{prompt}"',
    ]
    rows: list[dict[str, float]] = []
    last = {"cpu": time.process_time(), "sampling": 0.0}

    def on_record(record: Record) -> None:
        now = time.process_time()
        generate = engine.sampling_s - last["sampling"]
        rows.append({"step": now - last["cpu"], "generate": generate})
        last.update(cpu=now, sampling=engine.sampling_s)

    with tempfile.TemporaryDirectory() as folder:
        train(
            load_recipe("deepseekmath", settings),
            policy=policy,
            problems=[
                Problem(id=str(index), prompt=prompt, answer=answer)
                for index, (prompt, answer) in enumerate(problems(512, is_long=arguments.long))
            ],
            rewards=[reward],
            out=Path(folder) / "run",
            engine=engine,
            on_record=on_record,
        )
    report = {"rows": rows[2:], "rollouts": ROLLOUTS[2:], "memory_mb": peak_mb() - imported}
    print(json.dumps(report))  # noqa: T201 - the driver reads it


if __name__ == "__main__":
    main()
