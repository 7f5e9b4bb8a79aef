"""Which problems a step takes, and with which seeds."""

from collections import Counter

import pytest

from mathrl.engines import Capabilities, sample_seed
from mathrl.errors import ConfigError, DataError
from mathrl.prompts import PromptBuilder, PromptConfig
from mathrl.rewards import combine
from mathrl.schema import Completion, Problem
from mathrl.trainers.recipe import Recipe, RolloutConfig
from mathrl.trainers.sources import Demonstrations, LiveSampler, ProblemOrder


def problems(count):
    return [
        Problem(id=f"p{i}", prompt=f"{i}+1?", answer=str(i + 1), metadata={"solution": f"#### {i}"})
        for i in range(count)
    ]


class FakeSampler:
    """Answers with the seed it was given."""

    capabilities = Capabilities(token_ids=True, logprobs=True, sync=True, deterministic=True)
    policy_version = 7

    def __init__(self):
        self.requests = []

    def sample(self, requests, params):
        self.requests += requests
        for index, request in reversed(list(enumerate(requests))):  # out of order
            answer = int(request.problem_id[1:]) + 1 + request.sample_index
            yield index, Completion(text=f"#### {answer}", token_ids=(request.sample_index,))


def live(count, *, num_problems, group_size, engine=None, max_draws=1):
    recipe = Recipe(
        method="grpo",
        seed=3,
        rollout=RolloutConfig(
            num_problems=num_problems, group_size=group_size, max_draws=max_draws
        ),
    )
    engine = engine or FakeSampler()
    prompts = PromptBuilder(PromptConfig())
    return LiveSampler(recipe, problems(count), prompts, engine, combine(["accuracy"])), engine


def test_every_problem_once_an_epoch_in_another_order_each_time():
    order = ProblemOrder(problems(10), num_problems=4, seed=0)
    taken = [problem.id for step in range(1, 6) for problem in order.take(step)]
    assert Counter(taken[:10]) == Counter(taken[10:]) == Counter(f"p{i}" for i in range(10))
    assert taken[:10] != taken[10:]


def test_a_step_depends_on_seed_and_step_alone():
    fresh = ProblemOrder(problems(10), num_problems=4, seed=0)
    walked = ProblemOrder(problems(10), num_problems=4, seed=0)
    for step in range(1, 4):
        walked.take(step)
    assert fresh.take(4) == walked.take(4)
    other = ProblemOrder(problems(10), num_problems=4, seed=1)
    assert other.take(1) != fresh.take(1)


def test_rollouts_keep_the_order_of_their_groups_and_are_scored():
    source, _ = live(5, num_problems=2, group_size=3)
    rollouts = source.draw(1).rollouts
    assert [r.group for r in rollouts] == [0, 0, 0, 1, 1, 1]
    assert [r.completion.token_ids for r in rollouts] == [(0,), (1,), (2,)] * 2
    assert [r.score.value for r in rollouts] == [1.0, 0.0, 0.0] * 2  # sample 0 is right
    assert {r.policy_version for r in rollouts} == {7}


def test_seeds_follow_from_seed_step_problem_and_sample():
    source, engine = live(5, num_problems=2, group_size=2)
    source.draw(4)
    for request in engine.requests:
        assert request.seed == sample_seed(3, 4, request.problem_id, request.sample_index)
    seeds = {request.seed for request in engine.requests}
    assert len(seeds) == 4
    source.draw(5)
    assert len({request.seed for request in engine.requests}) == 8


def test_a_problem_twice_in_a_step_is_two_groups_with_other_samples():
    source, engine = live(1, num_problems=2, group_size=2)
    rollouts = source.draw(1).rollouts
    assert [r.group for r in rollouts] == [0, 0, 1, 1]
    assert len({request.seed for request in engine.requests}) == 4


def test_reward_functions_get_every_column():
    seen = {}

    def nosy(completions, **columns):
        seen.update(columns)
        return [0.0] * len(completions)

    source, _ = live(5, num_problems=2, group_size=2)
    source.reward = combine([nosy])
    source.draw(1)
    assert seen["solution"][0] == seen["solution"][1]
    assert len(seen["answer"]) == len(seen["prompts"]) == len(seen["completion_ids"]) == 4


def test_an_engine_that_gives_text_alone_cannot_train():
    class TextOnly(FakeSampler):
        capabilities = Capabilities(token_ids=False, logprobs=False, sync=False, deterministic=True)

    with pytest.raises(ConfigError, match="TextOnly cannot train"):
        live(5, num_problems=2, group_size=2, engine=TextOnly())


def test_demonstrations_end_with_the_end_of_sequence(shared_policy):
    recipe = Recipe(method="sft", rollout=RolloutConfig(num_problems=2, group_size=1))
    prompts = PromptBuilder(PromptConfig(), tokenizer=shared_policy.tokenizer)
    source = Demonstrations(recipe, problems(3), prompts, None, None)
    for rollout in source.draw(1).rollouts:
        *ids, last = rollout.completion.token_ids
        assert last == shared_policy.tokenizer.eos_token_id
        assert shared_policy.tokenizer.decode(ids) == rollout.problem.metadata["solution"]


def test_a_problem_without_a_solution_is_refused(shared_policy):
    recipe = Recipe(method="sft")
    prompts = PromptBuilder(PromptConfig(), tokenizer=shared_policy.tokenizer)
    unsolved = [Problem(id="x", prompt="1+1?", answer="2")]
    with pytest.raises(DataError, match="problem x has no 'solution'"):
        Demonstrations(recipe, unsolved, prompts, None, None)


def test_a_prompt_that_does_not_fit_is_told_before_the_first_step():
    class Short(FakeSampler):
        capabilities = Capabilities(
            token_ids=True, logprobs=True, sync=True, deterministic=True, max_positions=1030
        )

    class Letters:
        chat_template = None

        def __call__(self, text, add_special_tokens):
            return {"input_ids": list(range(len(text)))}

    long = Problem(id="long", prompt="1+1+1?!", answer="3")  # 7 tokens, and 1024 new ones
    recipe = Recipe(method="grpo")
    prompts = PromptBuilder(PromptConfig(), tokenizer=Letters())
    with pytest.raises(DataError, match="1 prompts, the first that of problem long"):
        LiveSampler(recipe, [*problems(3), long], prompts, Short(), combine(["accuracy"]))
    recipe = Recipe(method="grpo", rollout=RolloutConfig(max_new_tokens=1030))
    with pytest.raises(ConfigError, match="of the model's 1030 positions that leaves none"):
        LiveSampler(recipe, [long], prompts, Short(), combine(["accuracy"]))


def test_no_problems_left():
    with pytest.raises(DataError, match="no training problems"):
        ProblemOrder([], num_problems=1, seed=0)


class HalfTeaches(FakeSampler):
    """Is always right where the problem's number is even, and once in two where it is odd."""

    def sample(self, requests, params):
        self.requests += requests
        for index, request in enumerate(requests):
            number = int(request.problem_id[1:])
            answer = number + 1 + (number % 2) * (request.sample_index % 2)
            yield index, Completion(text=f"#### {answer}", token_ids=(1,))


def test_dynamic_sampling_draws_until_enough_groups_teach():
    source, engine = live(40, num_problems=4, group_size=2, engine=HalfTeaches(), max_draws=8)
    drawn = source.draw(1)
    numbers = [int(rollout.problem.id[1:]) for rollout in drawn.rollouts]
    assert len(numbers) == 8 and all(number % 2 for number in numbers)
    assert [r.group for r in drawn.rollouts[::2]] == sorted({r.group for r in drawn.rollouts})
    assert len(drawn.rollouts) + len(drawn.discarded) == len(engine.requests)
    assert 8 < len(engine.requests) < 64  # more than one draw, and no more than were needed
    again, _ = live(40, num_problems=4, group_size=2, engine=HalfTeaches(), max_draws=8)
    again.draw(2)
    assert again.draw(1) == drawn  # whatever came before


def test_dynamic_sampling_gives_up_after_its_draws():
    class AlwaysRight(FakeSampler):
        def sample(self, requests, params):
            self.requests += requests
            for index, request in enumerate(requests):
                answer = int(request.problem_id[1:]) + 1
                yield index, Completion(text=f"#### {answer}", token_ids=(1,))

    source, engine = live(40, num_problems=4, group_size=2, engine=AlwaysRight(), max_draws=3)
    drawn = source.draw(1)
    assert drawn.rollouts == [] and len(drawn.discarded) == 24 == len(engine.requests)


def test_a_problem_that_is_drawn_again_in_a_step_gets_other_samples():
    source, engine = live(2, num_problems=2, group_size=2, engine=HalfTeaches(), max_draws=3)
    source.draw(1)
    seeds = [request.seed for request in engine.requests]
    assert len(seeds) == len(set(seeds)) == 8  # p1 teaches in each of two draws
