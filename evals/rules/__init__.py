"""Grading rules that are in use elsewhere, so that a number can be put beside a published one.

    mathrl matrix RUN

Each is the described behaviour of another project's evaluation, written anew: pure functions, no
code in a completion or a known answer is ever run. The toolkit's verdicts stay those of ``grade``.
"""

from mathrl.errors import ConfigError
from mathrl.evals.rules.base import Rule, Verdict
from mathrl.evals.rules.deepseek import DEEPSEEK, DEEPSEEK_FEW_SHOT
from mathrl.evals.rules.gsm8k import COT_STRICT, FLEXIBLE, STRICT
from mathrl.evals.rules.hendrycks import BOXED, HENDRYCKS
from mathrl.evals.rules.minerva import MINERVA
from mathrl.evals.rules.own import MATHRL
from mathrl.evals.rules.qwen import QWEN
from mathrl.nearest import did_you_mean

__all__ = ["RULES", "Rule", "Verdict", "get_rule"]

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        MATHRL,
        STRICT,
        COT_STRICT,
        FLEXIBLE,
        MINERVA,
        HENDRYCKS,
        BOXED,
        QWEN,
        DEEPSEEK,
        DEEPSEEK_FEW_SHOT,
    )
}


def get_rule(name: str) -> Rule:
    """Look a rule up by its name.

    Raises:
        ConfigError: There is no such rule; the message holds the nearest names, else all.
    """
    if name in RULES:
        return RULES[name]
    hint = did_you_mean(name, RULES) or f"there are {', '.join(RULES)}"
    raise ConfigError(f"no grading rule {name!r}: {hint}")
