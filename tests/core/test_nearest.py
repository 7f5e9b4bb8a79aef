"""The nearest known names."""

import pytest

from mathrl.nearest import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "question"),
    [
        ("evl", ["demo", "eval", "verify"], "did you mean eval?"),
        ("GSM-8k", ["math", "gsm8k"], "did you mean gsm8k?"),
        ("yaml", ["YAML", "toml"], "did you mean YAML?"),
        ("rule", ["rules", "ruler", "tool", "rule2", "ruled"], "did you mean rules or ruler or "),
        ("zzz", ["demo", "eval"], ""),
        ("zzz", [], ""),
    ],
)
def test_near_names_are_asked_for(name, known, question):
    asked = did_you_mean(name, known)
    assert asked.startswith(question) and bool(asked) == bool(question)
    assert asked.count(" or ") <= 2
