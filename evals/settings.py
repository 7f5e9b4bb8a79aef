"""Whether two runs were asked alike: a gain may be a prompt's or a temperature's, not a model's."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mathrl.evals.run import TaskRun


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsDifference:
    """What was set otherwise in the second of two runs; all of it empty where nothing was."""

    settings: Mapping[str, tuple[Any, Any]]
    """By name, the first run's value and the second's; JSON types."""
    num_other_prompts: int
    """Of the common problems, how many were put in other words."""
    num_common: int

    def notice(self, base: str, run: str) -> str | None:
        """One line that names all of it; None where there is nothing, or only another seed.

        Args:
            base: What to call the first run.
            run: What to call the second.
        """
        if not (self.num_other_prompts or self.settings.keys() - {"seed"}):
            return None
        changes = [
            f"{name} {_shown(new)} instead of {_shown(old)}"
            for name, (old, new) in self.settings.items()
        ]
        if self.num_other_prompts:
            count = f"{self.num_other_prompts} of {self.num_common}"
            changes.append(f"other prompts on {count} common problems")
        return f"{run} was asked otherwise than {base}: {', '.join(changes)}"

    def to_json(self) -> dict[str, Any]:
        """JSON types only; what was set alike is not in it."""
        found: dict[str, Any] = {
            name: {"base": old, "run": new} for name, (old, new) in self.settings.items()
        }
        if self.num_other_prompts:
            found["prompts"] = {"changed": self.num_other_prompts, "common": self.num_common}
        return found


def settings_difference(base: TaskRun, run: TaskRun) -> SettingsDifference | None:
    """Compare how two runs of one task were asked.

    Returns:
        None where one of them replays recorded completions: how those were asked is not known.
    """
    if "recorded" in (base.facts.get("engine"), run.facts.get("engine")):
        return None
    old, new = _settings(base), _settings(run)
    if base.spec.fingerprint == run.spec.fingerprint:
        new["engine"] = old["engine"]  # which samples the same, whatever runs underneath
    prompts = {asked.problem.id: asked.prompt for asked in base.spec.asked}
    pairs = [
        (prompts[asked.problem.id], asked.prompt)
        for asked in run.spec.asked
        if asked.problem.id in prompts
    ]
    return SettingsDifference(
        settings={name: (old[name], new[name]) for name in old if old[name] != new[name]},
        num_other_prompts=sum(before != after for before, after in pairs),
        num_common=len(pairs),
    )


def _settings(run: TaskRun) -> dict[str, Any]:
    return {
        **asdict(run.spec.params),
        "preset": run.facts.get("preset", {}).get("name"),
        "engine": run.facts.get("engine"),
        "seed": run.spec.seed,
    }


def _shown(value: Any) -> str:
    """As JSON, which shows a line break of a stop word and lets no control character through."""
    if value is None or value == ():
        return "none"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
