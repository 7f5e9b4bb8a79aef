"""``mathrl rescore``: grade a run's samples again, without sampling.

mathrl rescore runs/gsm8k-policy
"""

import click


@click.command("rescore")
@click.argument("run")
@click.option("--list", "is_listed", is_flag=True, help="Name the samples whose verdict changed.")
def command(run: str, *, is_listed: bool) -> None:
    """Grade every sample of a run folder with the installed grader, and write its figures anew.

    The samples stay as they are, and so do the verdicts of earlier versions.
    """
    from mathrl.evals.display import percent
    from mathrl.evals.rescore import rescore

    for task, found in rescore(run).items():
        gained, lost = found.now_correct, found.no_longer_correct
        click.echo(
            f"{task}: accuracy {percent(found.before.accuracy)} by {found.before.verifier}, now "
            f"{percent(found.after.accuracy)} ({len(gained)} samples became correct, "
            f"{len(lost)} wrong, of {found.after.n_samples})"
        )
        if found.before.verifier != found.after.verifier:
            click.echo(
                f"the verdicts by {found.before.verifier} stay in the folder: the same "
                "`mathrl eval` as before takes them again"
            )
        if is_listed:
            for sign, samples in (("+", gained), ("-", lost)):
                for sample in samples:
                    click.echo(f"{sign} {sample}")
