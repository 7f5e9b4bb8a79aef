"""Every field of a policy decides something; the package's names are what they say."""

import importlib
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest

import mathrl.rewards
from mathrl.errors import ConfigError
from mathrl.rewards import EVAL, REWARD, Policy, grade

SUM = r"\sum_{k=1}^n k"
CHANGES: dict[str, tuple[Any, str, str, str, str]] = {
    # field: another value, completion, answer, status under EVAL, status under the other
    "cues": (("hashes",), r"\boxed{5}", "5", "correct", "no_answer"),
    "is_prose_read": (False, "The answer is 18 as she sold 9.", "18", "correct", "unparseable"),
    "is_conflict_refused": (True, r"\boxed{4} \boxed{x} \boxed{5}", "5", "correct", "undecided"),
    "is_percent_loose": (False, "#### 25%", "25", "correct", "wrong"),
    "is_unit_strict": (True, "#### 100 cm", "1 m", "correct", "wrong"),
    "is_base_strict": (True, "#### 1011", "1011_2", "correct", "wrong"),
    "is_unevaluated_accepted": (False, "#### 2^{10}", "1024", "correct", "wrong"),
    "is_order_loose": (False, "#### 2, 1", "1, 2", "correct", "wrong"),
    "is_bracket_loose": (False, "#### 1, 2", "(1, 2)", "correct", "wrong"),
    "relative_tolerance": (0.01, "#### 3.14", r"\pi", "wrong", "correct"),
    "min_rounded_digits": (3, "#### 3.14", r"\pi", "wrong", "correct"),
    "max_unit_words": (0, "#### 18 eggs", "18", "correct", "wrong"),
    "is_symbolic": (False, f"#### ${SUM}$", r"\frac{n(n+1)}{2}", "correct", "undecided"),
    "max_characters": (20, "#### 5" + " " * 30, "5", "correct", "no_answer"),
    "max_answer_characters": (4, "#### 2+1+1", "4", "correct", "limit"),
    "timeout_s": (1e-9, f"#### ${SUM}$", r"\frac{n(n+1)}{2}", "correct", "timeout"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_alone_changes_a_verdict(field: str) -> None:
    other, completion, answer, before, after = CHANGES[field]
    # sympy may start slowly on a busy machine, and no verdict here hangs on its speed
    patient = replace(EVAL, name=f"{field}-patient", timeout_s=30.0)
    changed = replace(patient, name=f"{field}-changed", **{field: other})
    assert grade(completion, answer, patient).status == before
    assert grade(completion, answer, changed).status == after


def test_every_field_but_the_name_has_its_test() -> None:
    assert {field.name for field in fields(Policy)} == {"name", *CHANGES}


def test_the_name_is_told_and_hashed() -> None:
    other = replace(EVAL, name="other")
    assert other != EVAL
    assert hash(replace(other, is_order_loose=False)) == hash(other)
    assert hash(other) != hash(EVAL)


def test_an_unknown_cue_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="unknown cue 'guess'; a policy knows box, tag"):
        replace(EVAL, cues=("box", "guess"))  # type: ignore[arg-type]


def test_a_policy_without_cues_finds_nothing() -> None:
    silent = replace(EVAL, name="silent", cues=())
    assert grade("#### 5", "5", silent).status == "no_answer"


def test_the_named_policies() -> None:
    assert (EVAL.name, REWARD.name) == ("eval", "reward")
    assert "last_value" in EVAL.cues
    assert "last_value" not in REWARD.cues
    assert grade("It is 5.", "5", EVAL).status == "correct"
    assert grade("It is 5.", "5", REWARD).status == "no_answer"


# -- the package ---------------------------------------------------------------------------------


def test_every_promised_name_is_there_and_listed() -> None:
    for name in mathrl.rewards.__all__:
        assert getattr(mathrl.rewards, name) is not None
        assert name in dir(mathrl.rewards)


def test_a_lazy_name_is_that_of_its_module() -> None:
    for home, names in mathrl.rewards._HOMES.items():
        module = importlib.import_module(f"mathrl.rewards.{home}")
        for name in names:
            mathrl.rewards.__dict__.pop(name, None)
            assert getattr(mathrl.rewards, name) is getattr(module, name)
            assert name in mathrl.rewards.__dict__, "it is looked up once"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'mathrl\.rewards' has no attribute 'nothing'"):
        mathrl.rewards.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from mathrl.rewards import nothing  # noqa: F401
    assert not hasattr(mathrl.rewards, "__wrapped__")


def test_a_policy_survives_pickling_with_its_hash() -> None:
    back = pickle.loads(pickle.dumps(EVAL))
    assert back == EVAL
    assert hash(back) == hash(EVAL)
