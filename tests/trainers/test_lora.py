"""Training adapters: exact gradients, the base as reference, small checkpoints, exact resume."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import SGD

from mathrl import arithmetic
from mathrl.adapters import adapter_weights, add_adapter, has_adapter
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.errors import ConfigError
from mathrl.policy import load_policy
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers import load_recipe, train
from mathrl.trainers.batch import all_logprobs, assemble
from mathrl.trainers.logprobs import completion_logprobs
from mathrl.trainers.methods import build_method
from mathrl.trainers.runlog import read_records
from mathrl.trainers.update import update

SETTINGS = [
    "max_steps=4",
    "lora.rank=4",
    "rollout.num_problems=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "loss.updates_per_rollout=2",
    "optimizer.lr=0.01",
    "checkpoint.every=1",
]
ROWS = [((5, 6, 7), (8, 9, 1)), ((5, 6, 7), (4, 2)), ((3, 3), (10, 11, 12, 13)), ((3, 3), (7, 1))]
REWARDS = [1.0, 0.0, 0.0, 1.0]


def even_share(completions, completion_ids, **columns):
    """A reward that any policy can climb: the share of tokens with an even id."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def start(policy, out, *, settings=(), **kwargs):
    recipe = load_recipe("demo", [*SETTINGS, *settings])
    problems = arithmetic.generate_problems("train", count=10)
    return train(recipe, policy=policy, problems=problems, rewards=[even_share], out=out, **kwargs)


def clone(policy):
    return replace(policy, model=copy.deepcopy(policy.model))


def adapt(model, target=("all-linear",)):
    """Adapters that change something already."""
    add_adapter(model, rank=3, alpha=6, target=target, seed=0, base="tiny")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    return model


def adapters(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def rollouts():
    return [
        Rollout(
            problem=Problem(id=str(prompt), prompt="", answer=""),
            prompt_ids=prompt,
            completion=Completion(text="", token_ids=completion),
            group=prompt[0],
            policy_version=0,
            score=Score(value=reward, status="correct"),
        )
        for (prompt, completion), reward in zip(ROWS, REWARDS, strict=True)
    ]


def test_the_embedded_policy_learns_with_adapters_alone(tmp_path):
    policy = load_policy()
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    settings = ["max_steps=20", "rollout.group_size=8", "loss.beta=0.0"]
    result = start(policy, tmp_path, settings=settings)
    rewards = [record["reward/mean"] for record in read_records(tmp_path / "metrics.jsonl")]
    assert rewards[0] < 0.75 and min(rewards[-3:]) > 0.95
    after = result.policy.model.state_dict()
    frozen = {
        name.replace(".base_layer.", "."): t for name, t in after.items() if ".lora_" not in name
    }
    assert frozen.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(frozen[name], tensor), name
    exported = load_policy(tmp_path / "policy")
    assert not has_adapter(exported.model)
    assert exported.fingerprint() == LocalEngine(result.policy).fingerprint
    assert load_policy(tmp_path / "adapter").fingerprint() == exported.fingerprint()


@pytest.mark.parametrize(
    "target", [("all-linear",), ("o_proj",), ("layers.1.mlp.up_proj", "lm_head")]
)
@pytest.mark.usefixtures("exact_norms")
def test_gradients_are_those_of_the_padded_batch(policy, target):
    model = adapt(policy.model.double(), target)
    recipe = load_recipe("demo", ["optimizer.max_grad_norm=1e9"])  # with a penalty, unclipped
    method = build_method(recipe)
    batch = assemble(rollouts(), method, recipe, model, model)
    parameters = adapters(model)
    optimizer = SGD(parameters.values(), lr=1.0)
    logprobs_BT = completion_logprobs(model, batch.rows)
    tokens = batch.tokens(range(len(batch.rows)), logprobs_BT.detach(), 0.0)
    weights_BT = batch.norm_BT * method.coefficient(logprobs_BT.detach(), tokens)
    (-(weights_BT * logprobs_BT).sum()).backward()
    expected = {name: p.grad.clone() for name, p in parameters.items()}
    before = {name: p.detach().clone() for name, p in parameters.items()}
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    optimizer.zero_grad()
    update(model, optimizer, batch, method, recipe, lr=1.0)
    for name, parameter in parameters.items():
        assert expected[name].abs().max() > 0, name
        moved = before[name] - parameter.detach()  # plain SGD at rate 1: the gradient
        torch.testing.assert_close(moved, expected[name], rtol=0, atol=1e-10)
    for name, parameter in model.named_parameters():
        if name in frozen:
            assert parameter.grad is None and torch.equal(parameter, frozen[name])


@pytest.mark.usefixtures("through_transformers")
def test_the_reference_is_the_base_to_the_last_bit(policy):
    base = clone(policy).model
    recipe = load_recipe("demo")
    method = build_method(recipe)
    model = policy.model
    add_adapter(model, rank=3, alpha=6, target=["all-linear"], seed=0, base="tiny")
    optimizer = torch.optim.AdamW(adapters(model).values(), lr=0.05)
    for _ in range(3):
        batch = assemble(rollouts(), method, recipe, model, model)
        expected = assemble(rollouts(), method, recipe, base, model)
        assert torch.equal(batch.ref_logprobs_BT, expected.ref_logprobs_BT)
        update(model, optimizer, batch, method, recipe, lr=0.05)
    now_BT = all_logprobs(model, batch.rows, recipe)
    assert (now_BT - batch.ref_logprobs_BT).abs().max() > 0.1


def test_kl_is_exactly_zero_at_the_first_update(policy, tmp_path):
    start(policy, tmp_path, settings=["loss.updates_per_rollout=1", "max_steps=2"])
    records = read_records(tmp_path / "metrics.jsonl")
    assert records[0]["loss/kl"] == 0 and records[1]["loss/kl"] > 0


def test_a_checkpoint_holds_the_adapter_and_its_optimizer_alone(policy, tmp_path):
    result = start(policy, tmp_path)
    assert not (tmp_path / "reference").exists()
    folder = tmp_path / "checkpoints" / "step-000004"
    stored = load_file(folder / "adapter_model.safetensors")
    own = adapter_weights(result.policy.model.state_dict())
    assert stored.keys() == own.keys()
    assert all(torch.equal(stored[name], own[name]) for name in own)
    assert not (folder / "model.safetensors").exists()
    state = torch.load(folder / "optimizer.pt")
    sizes = [sum(v.numel() for v in s.values() if v.dim()) for s in state.values()]
    assert sum(sizes) == 2 * sum(tensor.numel() for tensor in own.values())  # two moments each


class StopAt:
    """Presses Ctrl-C when a record of this step is logged."""

    def __init__(self, step):
        self.step = step

    def __call__(self, record):
        if record["step"] == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop_at", [1, 3])
def test_resume_is_exact(policy, tmp_path, stop_at):
    start(clone(policy), tmp_path / "whole")
    halted = start(clone(policy), tmp_path / "halted", on_record=StopAt(stop_at))
    assert halted.step == stop_at
    assert start(clone(policy), tmp_path / "halted", resume=True).is_finished
    for file in ("adapter/adapter_model.safetensors", "policy/model.safetensors"):
        ours, theirs = (load_file(tmp_path / run / file) for run in ("whole", "halted"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_resume_on_another_base_is_refused(policy, tmp_path):
    start(clone(policy), tmp_path, on_record=StopAt(1))
    assert json.loads((tmp_path / "manifest.json").read_text())["policy_fingerprint"] == (
        policy.fingerprint()
    )
    with torch.no_grad():
        policy.model.lm_head.weight[0, 0] += 1
    with pytest.raises(ConfigError, match="adapts other weights than those of tiny"):
        start(policy, tmp_path, resume=True)


def test_a_policy_with_adapters_is_not_adapted_again(policy, tmp_path):
    adapt(policy.model)
    with pytest.raises(ConfigError, match="has adapters already"):
        start(policy, tmp_path)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_target_that_no_layer_has_is_refused(policy, tmp_path, rank):
    settings = [f"lora.rank={rank}", 'lora.target=["q_proj", "nothing"]']
    with pytest.raises(ConfigError, match=r"lora\.target: nothing is the name of no layer"):
        start(policy, tmp_path, settings=settings)


def test_the_engine_samples_the_adapted_policy(policy):
    model = adapt(policy.model)
    request = SampleRequest(problem_id="p", sample_index=0, prompt="", prompt_ids=(5, 6, 7), seed=3)
    params = SamplingParams(max_new_tokens=12)
    ((_, completion),) = LocalEngine(policy).sample([request], params)
    ids = completion.token_ids
    ours = completion_logprobs(model, [((5, 6, 7), ids)])[0].detach()
    torch.testing.assert_close(torch.tensor(completion.logprobs), ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("lora.rank=-1", "lora.rank must be 0 or more"),
        ("lora.alpha=0", "lora.alpha must be above 0"),
        ("lora.target=[]", "lora.target is empty"),
    ],
)
def test_settings_out_of_range(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe("demo", [assignment])
