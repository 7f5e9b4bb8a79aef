"""``mathrl report``: one HTML page for a run, or for several compared with the first.

mathrl report runs/gsm8k-tiny
mathrl report runs/before runs/after --out comparison.html
"""

from pathlib import Path

import click

PAGE_FILE = "report.html"


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN...]")
@click.option(
    "--out",
    help="File to write. [default: report.html in the run folder, of several runs in this one]",
)
def command(runs: tuple[str, ...], out: str | None) -> None:
    """Write one page with the figures and all samples of one run, or of a comparison.

    The page is a single file that opens offline and loads nothing: send it as it is. It names no
    machine, user or folder, but it holds the problems and what the model wrote.
    """
    from mathrl.evals.report import load_report, write_report

    path = Path(out) if out else Path(runs[0] if len(runs) == 1 else "") / PAGE_FILE
    write_report(path, load_report(runs))
    click.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
