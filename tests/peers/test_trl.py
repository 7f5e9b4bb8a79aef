"""Our gradient coefficients against TRL's own gradients, on batches that TRL made while training.

    make test-extras

TRL's trainer runs as it is on a tiny random model; watched are its per-token log-probs, whose
``.grad`` after each backward pass is what TRL's loss does to every token. The same batch goes
through our coefficient and norm, and ``-norm * coefficient`` must be that gradient.

Not compared, since TRL means another objective there: ``loss_type`` luspo, sapo and vespo,
two-sided clipping (``delta``), ``top_entropy_quantile``, off-policy masks. Its advantages, which
divide by the standard deviation plus 1e-4, are taken as they are. Three settings that look like
ours and are not have a test of their own at the end.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mathrl.trainers import load_recipe
from mathrl.trainers.coefficients import TokenBatch, is_clipped, sequence_ratio
from mathrl.trainers.methods import build_method

pytest.importorskip("trl", reason="make test-extras runs it in an environment that has TRL")

from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's and its parts' own

CHARACTERS = "0123456789+-*/=? abcdefghijklmnop"
MAX_NEW_TOKENS = 12
TOLERANCE = 1e-6
"""Of the largest gradient of a token: both sides are float32."""

PLAIN = {"loss_type": "grpo", "beta": 0.0}
PENALTY = {"loss_type": "grpo", "beta": 0.04, "use_bias_correction_kl": False}
WEIGHTED = {**PENALTY, "use_bias_correction_kl": True}
SEQUENCE = {"importance_sampling_level": "sequence", "epsilon": 0.01}
SAME = {
    "grpo": (PLAIN, ["loss.beta=0"]),
    "the paper": (PENALTY, []),
    "clip-higher": (
        {**PENALTY, "epsilon": 0.1, "epsilon_high": 0.28},
        ["loss.clip_low=0.1", "loss.clip_high=0.28"],
    ),
    "bnpo": ({**PENALTY, "loss_type": "bnpo"}, ["loss.norm=token"]),
    "dapo": ({**PENALTY, "loss_type": "dapo"}, ["loss.norm=token"]),
    "dr_grpo": ({**PENALTY, "loss_type": "dr_grpo"}, ["loss.norm=constant"]),
    "gspo": (
        {**PENALTY, **SEQUENCE},
        ["loss.surrogate=gspo", "loss.clip_low=0.01", "loss.clip_high=0.01"],
    ),
    # TRL's epsilon_high is the largest weight itself, and there is no smallest
    "cispo": (
        {**PENALTY, "loss_type": "cispo", "epsilon_high": 1.2},
        ["loss.surrogate=cispo", "loss.norm=token", "loss.clip_low=1", "loss.clip_high=0.2"],
    ),
    "ratio-weighted kl": (WEIGHTED, ["loss.is_kl_ratio_weighted=true"]),
}
"""TRL's settings and ours of the same objective."""


@dataclass
class Seen:
    """A micro-batch of TRL, its log-probs and what its loss did to them."""

    inputs: dict[str, Tensor]
    logprobs_BT: Tensor


class Watched(GRPOTrainer):
    """Keeps the log-probs that the loss is made of; changes nothing."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen: list[Seen] = []

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if found[0].requires_grad:
            found[0].retain_grad()
            self.logprobs_BT = found[0]
        return found

    def _compute_loss(self, model, inputs):
        loss = super()._compute_loss(model, inputs)
        self.seen.append(Seen(dict(inputs), self.logprobs_BT))
        return loss


def tokenizer():
    """One token a character."""
    ids = {token: place for place, token in enumerate(["<pad>", "<bos>", "<eos>", *CHARACTERS])}
    made = Tokenizer(models.WordLevel(ids, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def tiny_model():
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(CHARACTERS) + 3,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,  # some tokens are likely, others not
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def share_of_digits(completions, **columns):
    return [sum(c.isdigit() for c in text) / max(1, len(text)) for text in completions]


def steps_of_trl(folder, *, accumulation=1, **settings) -> Iterator[list[Seen]]:
    """Train with TRL, two updates a rollout; the micro-batches of each step."""
    model, made = tiny_model(), tokenizer()
    model.save_pretrained(folder / "model")  # TRL loads its reference from a folder
    made.save_pretrained(folder / "model")
    draw = random.Random(0)
    prompts = [f"{draw.randrange(100)}+{draw.randrange(100)}=?" for _ in range(16)]
    config = GRPOConfig(
        output_dir=str(folder / "out"),
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        per_device_train_batch_size=16 // accumulation,
        gradient_accumulation_steps=accumulation,
        num_generations=4,
        max_completion_length=MAX_NEW_TOKENS,
        temperature=1.0,
        num_iterations=2,
        learning_rate=0.01,  # the second update's ratios leave the clip range
        lr_scheduler_type="constant",
        max_steps=4,
        gradient_checkpointing=False,
        disable_dropout=True,
        disable_tqdm=True,
        seed=0,
        **settings,
    )
    trainer = Watched(
        model=Qwen2ForCausalLM.from_pretrained(folder / "model", dtype=torch.float32),
        reward_funcs=share_of_digits,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=made,
    )
    trainer.train()
    seen = trainer.seen
    assert len(seen) == 4 * accumulation
    for start in range(0, len(seen), accumulation):
        yield seen[start : start + accumulation]


def token_batch(seen: Seen) -> TokenBatch:
    """TRL's inputs as ours."""
    inputs, logprobs_BT = seen.inputs, seen.logprobs_BT.detach()
    return TokenBatch(
        advantages_BT=inputs["advantages"][:, None].expand_as(logprobs_BT),
        old_logprobs_BT=inputs["old_per_token_logps"],
        mask_BT=inputs["completion_mask"].bool(),
        ref_logprobs_BT=inputs.get("ref_per_token_logps"),
    )


def gap(step: list[Seen], assignments: list[str]) -> float:
    """The largest difference between our gradient and TRL's, as a share of its largest."""
    recipe = load_recipe("deepseekmath", [f"rollout.max_new_tokens={MAX_NEW_TOKENS}", *assignments])
    method = build_method(recipe)
    batches = [token_batch(seen) for seen in step]
    lengths = [batch.mask_BT.shape[0] for batch in batches]
    widest = max(batch.mask_BT.shape[1] for batch in batches)
    masks = [
        torch.nn.functional.pad(batch.mask_BT, (0, widest - batch.mask_BT.shape[1]))
        for batch in batches
    ]
    norms = method.norm(torch.cat(masks)).split(lengths)  # of the whole step, as in training
    differences, largest = [], 0.0
    for seen, batch, norm in zip(step, batches, norms, strict=True):
        coefficient_BT = method.coefficient(seen.logprobs_BT.detach(), batch)
        ours_BT = -norm[:, : coefficient_BT.shape[1]] * coefficient_BT
        theirs_BT = seen.logprobs_BT.grad
        mask_BT = batch.mask_BT
        assert (theirs_BT[~mask_BT] == 0).all()
        differences.append(float((ours_BT - theirs_BT)[mask_BT].abs().max()))
        largest = max(largest, float(theirs_BT.abs().max()))
    assert largest > 0
    return max(differences) / largest


@pytest.mark.parametrize("name", SAME)
def test_our_coefficient_is_trls_gradient(tmp_path, name):
    settings, assignments = SAME[name]
    for step in steps_of_trl(tmp_path, **settings):
        assert gap(step, assignments) <= TOLERANCE


@pytest.mark.parametrize("name", ["the paper", "dapo", "dr_grpo"])
def test_the_norm_is_trls_under_accumulation(tmp_path, name):
    settings, assignments = SAME[name]
    for step in steps_of_trl(tmp_path, accumulation=2, **settings):
        assert gap(step, assignments) <= TOLERANCE


@pytest.mark.parametrize("name", ["the paper", "clip-higher", "gspo"])
def test_second_updates_hold_tokens_that_are_clipped_and_some_that_are_not(tmp_path, name):
    """What the comparison above has seen."""
    settings, _ = SAME[name]
    low = settings.get("epsilon", 0.2)
    high = settings.get("epsilon_high", low)
    first, *_, last = steps_of_trl(tmp_path, **settings)
    shares = []
    for step in (first, last):
        batch, logprobs_BT = token_batch(step[0]), step[0].logprobs_BT.detach()
        ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
        if "importance_sampling_level" in settings:
            ratio_BT = sequence_ratio(logprobs_BT, batch).expand_as(logprobs_BT)
        clipped_BT = is_clipped(ratio_BT, batch, low, high)
        shares.append(float(clipped_BT[batch.mask_BT].float().mean()))
    assert shares[0] == 0 and 0.02 < shares[1] < 0.98


def test_what_looks_the_same_and_is_not(tmp_path):
    """The three settings whose names promise ours."""
    others = {
        # the mean of each micro-batch, so that its tokens weigh by where they fell
        "bnpo under accumulation": ({**PENALTY, "loss_type": "bnpo"}, ["loss.norm=token"], 2),
        # TRL's default: an estimator weighted with the ratio, whose slope is not k3's
        "kl as by default": (WEIGHTED, [], 1),
        # one ratio a completion weighs the KL of all its tokens; ours is the token's own
        "gspo with a weighted kl": (
            {**WEIGHTED, **SEQUENCE, "beta": 1.0},
            [*SAME["gspo"][1], "loss.beta=1", "loss.is_kl_ratio_weighted=true"],
            1,
        ),
    }
    for name, (settings, assignments, accumulation) in others.items():
        folder = tmp_path / name
        steps = steps_of_trl(folder, accumulation=accumulation, **settings)
        assert max(gap(step, assignments) for step in steps) > 100 * TOLERANCE, name
