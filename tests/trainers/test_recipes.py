"""Every recipe: its coefficient is autograd's, of its objective as its paper writes it.

The objectives here are written from the papers, completion by completion, with none of the
package's functions; rewards, lengths, the reference and the sampler are random.
"""

import math

import pytest
import torch

from mathrl.trainers.coefficients import TokenBatch
from mathrl.trainers.credit import Scored
from mathrl.trainers.methods import build_method
from mathrl.trainers.recipe import RECIPES, load_recipe

GROUPS, SIZE, TOKENS = 3, 4, 9


def case(seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    count = GROUPS * SIZE
    lengths = torch.randint(1, TOKENS + 1, (count,), generator=generator).tolist()
    old = -normal(count, TOKENS).abs() - 0.1
    return {
        "rewards": torch.rand(count, generator=generator, dtype=torch.float64).tolist(),
        "groups": [index // SIZE for index in range(count)],
        "lengths": lengths,
        "old": old,
        "ref": old + 0.3 * normal(count, TOKENS),
        "new": old + 0.2 * normal(count, TOKENS),
    }


def groups_of(drawn, values):
    for group in sorted(set(drawn["groups"])):
        members = [i for i, each in enumerate(drawn["groups"]) if each == group]
        yield members, [values[i] for i in members]


def mean(values):
    return sum(values) / len(values)


def deviation(values, ddof):
    centre = mean(values)
    return math.sqrt(sum((value - centre) ** 2 for value in values) / (len(values) - ddof))


def by_group(drawn, values, compare):
    advantages = [0.0] * len(values)
    for members, inside in groups_of(drawn, values):
        for place, i in enumerate(members):
            advantages[i] = compare(inside, place)
    return [[advantages[i]] * length for i, length in enumerate(drawn["lengths"])]


def standardised(drawn, values):
    return by_group(
        drawn, values, lambda inside, i: (inside[i] - mean(inside)) / deviation(inside, 1)
    )


def log_ratio_to_reference(drawn, i, t):
    return float(drawn["old"][i, t] - drawn["ref"][i, t])


def deepseekmath(drawn, new):
    advantages, loss = standardised(drawn, drawn["rewards"]), 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            ratio = (new[i, t] - drawn["old"][i, t]).exp()
            gap = drawn["ref"][i, t] - new[i, t]
            surrogate = smaller(ratio, advantages[i][t], 0.8, 1.2)
            loss = loss + (surrogate - 0.04 * (gap.exp() - gap - 1)) / (12 * length)
    return loss


def smaller(ratio, advantage, low, high):
    return torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)


def dr_grpo(drawn, new):
    advantages = by_group(drawn, drawn["rewards"], lambda inside, i: inside[i] - mean(inside))
    loss = 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            ratio = (new[i, t] - drawn["old"][i, t]).exp()
            loss = loss + smaller(ratio, advantages[i][t], 0.8, 1.2) / (12 * 3000)
    return loss


def dapo(drawn, new):
    advantages, loss = standardised(drawn, drawn["rewards"]), 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            ratio = (new[i, t] - drawn["old"][i, t]).exp()
            loss = loss + smaller(ratio, advantages[i][t], 0.8, 1.28) / sum(drawn["lengths"])
    return loss


def gspo(drawn, new):
    advantages, loss = standardised(drawn, drawn["rewards"]), 0.0
    for i, length in enumerate(drawn["lengths"]):
        ratio = (new[i, :length] - drawn["old"][i, :length]).mean().exp()
        loss = loss + smaller(ratio, advantages[i][0], 1 - 3e-4, 1 + 4e-4) / 12
    return loss


def cispo(drawn, new):
    advantages, loss = standardised(drawn, drawn["rewards"]), 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            weight = float((new[i, t].detach() - drawn["old"][i, t]).exp().clamp(max=5.0))
            loss = loss + weight * advantages[i][t] * new[i, t] / sum(drawn["lengths"])
    return loss


def rloo(drawn, new):
    returns = [
        reward - 0.03 * sum(log_ratio_to_reference(drawn, i, t) for t in range(length))
        for i, (reward, length) in enumerate(zip(drawn["rewards"], drawn["lengths"], strict=True))
    ]
    advantages = by_group(
        drawn,
        returns,
        lambda inside, i: inside[i] - (sum(inside) - inside[i]) / (len(inside) - 1),
    )
    loss = 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            ratio = (new[i, t] - drawn["old"][i, t]).exp()
            loss = loss + smaller(ratio, advantages[i][t], 0.8, 1.2) / (12 * 1024)
    return loss


def reinforce_pp(drawn, new):
    returns = [
        [
            reward - 0.01 * sum(log_ratio_to_reference(drawn, i, s) for s in range(t, length))
            for t in range(length)
        ]
        for i, (reward, length) in enumerate(zip(drawn["rewards"], drawn["lengths"], strict=True))
    ]
    flat = [value for row in returns for value in row]
    centre, spread, loss = mean(flat), deviation(flat, 0), 0.0
    for i, length in enumerate(drawn["lengths"]):
        for t in range(length):
            ratio = (new[i, t] - drawn["old"][i, t]).exp()
            advantage = (returns[i][t] - centre) / spread
            loss = loss + smaller(ratio, advantage, 0.8, 1.2) / len(flat)
    return loss


OBJECTIVES = {
    "deepseekmath": deepseekmath,
    "demo": deepseekmath,
    "dr_grpo": dr_grpo,
    "dapo": dapo,
    "gspo": gspo,
    "cispo": cispo,
    "rloo": rloo,
    "reinforce_pp": reinforce_pp,
}


def test_every_shipped_recipe_has_its_objective_here():
    assert set(OBJECTIVES) == {path.stem for path in RECIPES.glob("*.toml")} - {"tiny"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_coefficient_is_the_gradient_of_the_papers_objective(name, seed):
    drawn = case(seed)
    new = drawn["new"].clone().requires_grad_()
    OBJECTIVES[name](drawn, new).backward()

    recipe = load_recipe(name)
    method = build_method(recipe)
    steps = torch.arange(TOKENS)
    mask = steps[None, :] < torch.tensor(drawn["lengths"])[:, None]
    penalties = method.reward_penalty and method.reward_penalty(drawn["old"], drawn["ref"])
    advantages = method.credit(
        Scored(
            rewards_B=torch.tensor(drawn["rewards"], dtype=torch.float64),
            groups_B=torch.tensor(drawn["groups"]),
            mask_BT=mask,
            penalties_BT=penalties,
        )
    )
    is_in_loss = method.needs_reference and method.reward_penalty is None
    batch = TokenBatch(
        advantages_BT=advantages,
        old_logprobs_BT=drawn["old"],
        mask_BT=mask,
        ref_logprobs_BT=drawn["ref"] if is_in_loss else None,
    )
    ours = method.norm(mask) * method.coefficient(drawn["new"], batch)
    assert (ours - new.grad).abs().max() <= 1e-12
    assert ours.abs().max() > 0
