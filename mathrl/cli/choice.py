"""An option with a few values: a wrong one is told the nearest."""

from typing import Any

import click

from mathrl.nearest import did_you_mean


class Choice(click.Choice[str]):
    """click's own, with the nearest value at the end of its message."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """The values there are, and the nearest to the one given."""
        message = super().get_invalid_choice_message(value, ctx)
        question = did_you_mean(str(value), self.choices)
        return f"{message.removesuffix('.')}; {question}" if question else message
