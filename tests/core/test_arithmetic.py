"""The embedded data set: every solution is checked by computing it again from its text."""

import random
import re
from collections import Counter

import pytest

from mathrl.arithmetic import (
    MAX_VALUE,
    Computation,
    demonstrations,
    generate_problems,
    worked_solution,
)
from mathrl.errors import ConfigError
from mathrl.rewards import REWARD, grade

LINE = re.compile(r"(-?\d+)([-+*])(\d+)=(-?\d+)")


def recompute(solution):
    """Follow the lines of a solution; returns its answer and how many lines are wrong."""
    *lines, last = solution.split("\n")
    value, wrong = None, 0
    for line in lines:
        left, operation, right, result = LINE.fullmatch(line).groups()
        assert value in (None, int(left)), "a step starts from the result before it"
        value = int(result)
        true = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[operation](
            int(left), int(right)
        )
        wrong += value != true
    assert last == f"#### {value}"
    return str(value), wrong


def test_every_solution_is_right_and_graded_so():
    for problem in generate_problems("train", count=500):
        answer, wrong = recompute(problem.metadata["solution"])
        assert (answer, wrong) == (problem.answer, 0)
        assert grade(problem.metadata["solution"], problem.answer, REWARD).status == "correct"
        assert len(problem.metadata["solution"].split("\n")) == problem.metadata["level"] + 1
        assert 0 <= int(answer) <= MAX_VALUE


def test_the_numbers_of_a_problem_stand_in_its_text():
    for problem in generate_problems("test", count=200):
        computation = problem.metadata["computation"]
        numbers = [computation["start"], *(operand for _, operand in computation["steps"])]
        assert [int(number) for number in re.findall(r"\d+", problem.prompt)] == numbers


def test_the_same_seed_gives_the_same_problems():
    assert generate_problems("train", count=50) == generate_problems("train", count=50)
    assert generate_problems("train", count=50, seed=1) != generate_problems("train", count=50)


def test_no_computation_is_in_both_splits_whatever_the_seed():
    def computed(split, seed):
        problems = generate_problems(split, count=1000, seed=seed)
        return {repr(problem.metadata["computation"]) for problem in problems}

    assert len(computed("train", 0)) == 1000  # and none comes twice
    assert not (computed("train", 0) | computed("train", 1)) & computed("test", 2)


def test_levels_are_drawn_evenly():
    levels = Counter(p.metadata["level"] for p in generate_problems("train", count=1500))
    assert all(400 < levels[level] < 600 for level in (1, 2, 3))


def test_a_shorter_list_is_the_front_of_a_longer_one():
    assert generate_problems("test", count=20) == generate_problems("test")[:20]


def test_mistakes_are_one_wrong_step_that_the_rest_follows():
    computation = Computation(start=7, steps=(("+", 5), ("*", 2), ("-", 3)))
    for seed in range(50):
        _, wrong = recompute(worked_solution(computation, rng=random.Random(seed)))
        assert wrong == 1


def test_the_share_of_mistakes_is_what_was_asked():
    problems = generate_problems("train", count=2000)
    shown = demonstrations(problems, mistake_rate=0.6, seed=0)
    wrong = sum(recompute(problem.metadata["solution"])[1] for problem in shown)
    assert 0.57 < wrong / 2000 < 0.63  # three standard errors are 0.033
    assert [p.answer for p in shown] == [p.answer for p in problems]  # the gold stays true
    assert demonstrations(problems, mistake_rate=0.0, seed=0) == problems


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ConfigError, match="splits train and test"):
        generate_problems("validation")
    with pytest.raises(ConfigError, match="fewer than 100000"):
        generate_problems("test", count=100_000, levels=[1])
