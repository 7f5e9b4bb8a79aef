"""Weights & Biases: a run's metrics on a server, where ``log.wandb`` names a project.

    mathrl train-grpo --set log.wandb=my-project
    WANDB_MODE=offline mathrl train-grpo --set log.wandb=my-project   # ``wandb sync`` it later

A resumed run goes on as the same W&B run, whose id is kept in the run's folder.
"""

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mathrl.errors import ConfigError, MissingExtraError
from mathrl.files import write_whole
from mathrl.trainers.runlog import Kind

ID_FILE = "wandb-id"


class WandbTracker:
    """The metrics as a W&B run."""

    def __init__(
        self, project: str, folder: Path, config: Mapping[str, Any], *, is_resumed: bool
    ) -> None:
        """Start a run of a project, or go on with that of the folder.

        Raises:
            ConfigError: W&B refuses: nobody is logged in, or there is no such place.
            MissingExtraError: The package is not installed.
        """
        wandb = require_wandb()
        path = folder / ID_FILE
        if not (is_resumed and path.exists()):
            write_whole(path, secrets.token_hex(4))
        try:
            self._run = wandb.init(
                project=project,
                id=path.read_text(encoding="utf-8"),
                resume="allow",
                name=folder.resolve().name,
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(console="off"),  # the live table is no log
            )
        except wandb.Error as error:
            raise ConfigError(
                f"log.wandb: W&B did not start: {error} Without it: set WANDB_MODE=offline, or "
                "leave log.wandb empty"
            ) from error
        # W&B's own counter never goes back, and a resumed run logs some steps again
        self._run.define_metric("*", step_metric="step")

    def add(self, kind: Kind, step: int, metrics: Mapping[str, float]) -> None:
        """Send a record."""
        self._run.log({"step": step, **{f"{kind}/{key}": v for key, v in metrics.items()}})

    def close(self) -> None:
        """Send what is still held, and end the run."""
        self._run.finish()


def require_wandb() -> Any:  # Any: an optional package
    """Import W&B.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        wandb = importlib.import_module("wandb")
        wandb.init  # noqa: B018 - W&B leaves folders of its own name, which import as well
    except (ModuleNotFoundError, AttributeError) as error:
        raise MissingExtraError("log.wandb needs wandb: pip install 'mathrl[wandb]'") from error
    return wandb
