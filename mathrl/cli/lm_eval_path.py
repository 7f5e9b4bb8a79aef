"""``mathrl lm-eval-path``: our tasks for lm-eval.

lm_eval --include_path $(mathrl lm-eval-path) --tasks mathrl_gsm8k --model hf --model_args ...
"""

from pathlib import Path

import click


@click.command("lm-eval-path")
@click.option(
    "-n",
    "--num-samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Samples a problem.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    help="0 is greedy. [default: 0 with one sample, 1 with more]",
)
@click.option("--out", help="Folder to write. [default: one in the user's cache]")
def command(num_samples: int, temperature: float | None, out: str | None) -> None:
    """Write our tasks for lm-eval, each as mathrl_NAME, and print their folder.

    They are graded by our grader; MATHRL_DATA_GSM8K=FILE and the like name local data.
    """
    from mathrl.evals.harness.ours import write_tasks

    if temperature is None:
        temperature = 0.0 if num_samples == 1 else 1.0
    folder = None if out is None else Path(out)
    click.echo(write_tasks(folder, num_samples=num_samples, temperature=temperature))
