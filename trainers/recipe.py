"""A recipe: everything that decides a training run, as one frozen value.

``recipes/*.toml`` ship with the package; ``mathrl train-grpo RECIPE --set loss.beta=0.01`` and
``load_recipe("demo", ["loss.beta=0.01"])`` read the same keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal

from mathrl.config import build, override, read_toml
from mathrl.engines.choice import EngineConfig
from mathrl.errors import ConfigError
from mathrl.prompts import PromptConfig

RECIPES = Path(__file__).parent / "recipes"
PARTIAL_SAMPLING = ("top_p", "top_k", "min_p", "repetition_penalty")
"""Settings of other trainers that change the distribution that is sampled from."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the training problems come from."""

    name: str = "arithmetic"
    """A known data set, a hub id, or a JSONL, Parquet or CSV file."""
    split: str = "train"
    """Split of a data set; a file has none."""
    question_column: str = ""
    """Column of the question in a file; empty: found by its name."""
    answer_column: str = ""
    """Column of the answer in a file; empty: found by its name."""
    limit: int = 0
    """Use the first so many problems; 0: all."""

    def __post_init__(self) -> None:
        _require(self.limit >= 0, f"data.limit must be 0 or more, got {self.limit}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutConfig:
    """What one step samples (for SFT: how many demonstrations it takes)."""

    num_problems: int = 16
    """Problems a step."""
    group_size: int = 64
    """Completions a problem, G in the paper."""
    temperature: float = 1.0
    """Sampling temperature; log-probs in training are taken under the same one."""
    max_new_tokens: int = 1024
    """Completions are cut at this many tokens."""
    max_draws: int = 1
    """Dynamic sampling: problems are drawn again, this often at most, until num_problems groups
    have rewards that differ; 1: every group is taken as it comes."""
    overlong_cache: int = 0
    """Soft overlong punishment: over the last so many tokens before max_new_tokens the reward
    falls by up to 1; 0: no punishment."""

    def __post_init__(self) -> None:
        _require(
            self.num_problems >= 1,
            f"rollout.num_problems must be at least 1, got {self.num_problems}",
        )
        _require(
            self.group_size >= 1, f"rollout.group_size must be at least 1, got {self.group_size}"
        )
        _require(
            self.temperature > 0,
            f"rollout.temperature must be above 0, got {self.temperature}: "
            "a greedy policy has nothing to explore",
        )
        _require(
            self.max_new_tokens >= 1,
            f"rollout.max_new_tokens must be at least 1, got {self.max_new_tokens}",
        )
        _require(self.max_draws >= 1, f"rollout.max_draws must be at least 1, got {self.max_draws}")
        _require(
            0 <= self.overlong_cache <= self.max_new_tokens,
            f"rollout.overlong_cache must be between 0 and max_new_tokens "
            f"({self.max_new_tokens}), got {self.overlong_cache}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The objective; each choice names a function of ``coefficients``, ``credit`` or ``norms``."""

    surrogate: Literal["clipped_ratio", "gspo", "cispo"] = "clipped_ratio"
    """How the ratio to the sampling policy enters."""
    clip_low: float = 0.2
    """The ratio is clipped below at 1 - clip_low; 1: not at all."""
    clip_high: float = 0.2
    """The ratio is clipped above at 1 + clip_high."""
    advantage: Literal[
        "group_standardised", "group_centred", "leave_one_out", "batch_standardised"
    ] = "group_standardised"
    """What a reward is compared with."""
    has_group_baseline: bool = False
    """For ``batch_standardised``: take the group's mean off first (REINFORCE++-baseline)."""
    std_ddof: int = 1
    """Group standard deviation: 1 divides by G - 1 (as other trainers do), 0 by G."""
    norm: Literal["sequence", "token", "constant"] = "sequence"
    """What a token weighs: one completion one vote, one token one vote, or 1 / max_new_tokens."""
    beta: float = 0.04
    """Weight of the KL penalty; 0 loads no reference policy."""
    kl: Literal["k1", "k2", "k3"] = "k3"
    """Estimator of the KL divergence."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where the penalty acts: directly, as in GRPO, or as a cost in the reward, as in PPO."""
    is_kl_ratio_weighted: bool = False
    """Weight the estimator with pi / pi_old, in the loss."""
    entropy: float = 0.0
    """Weight of an entropy bonus: an auxiliary loss of its own, by the same norm."""
    importance_cap: float = 0.0
    """Truncated importance sampling: the most that a token may weigh for what the sampler's
    log-prob lacks against the trainer's; 0: no correction."""
    updates_per_rollout: int = 1
    """Optimizer steps on the same rollouts, mu in Algorithm 1."""
    skips_truncated: bool = False
    """Leave completions that were cut at the limit out of the loss (their rewards still count)."""

    def __post_init__(self) -> None:
        _require(0 <= self.clip_low <= 1, f"loss.clip_low must be in [0, 1], got {self.clip_low}")
        for key in ("clip_high", "beta", "entropy", "importance_cap"):
            value = getattr(self, key)
            _require(0 <= value < inf, f"loss.{key} must be 0 or more, got {value}")
        _require(
            self.updates_per_rollout >= 1,
            f"loss.updates_per_rollout must be at least 1, got {self.updates_per_rollout}",
        )
        _require(self.std_ddof in (0, 1), f"loss.std_ddof must be 0 or 1, got {self.std_ddof}")
        _require(
            not (self.kl_in == "reward" and self.is_kl_ratio_weighted),
            "loss.is_kl_ratio_weighted is for a penalty in the loss: a reward has no gradient",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """AdamW, its schedule, and how much goes through the model at once."""

    lr: float = 1e-6
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up: stay, or fall towards 0, reached one update after the last."""
    warmup_steps: int = 0
    """Optimizer steps in which the learning rate rises from 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""
    sharding: Literal["replicated", "sharded"] = "replicated"
    """On several ranks: all weights on each, or a shard of them on each (FSDP2)."""
    micro_batch_tokens: int = 16_384
    """Prompt and completion tokens, padding included, in one forward pass."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights; ``bfloat16`` ones are rounded float32 masters, which the optimizer keeps."""
    state: Literal["float32", "8bit"] = "float32"
    """AdamW's two moments of each weight."""
    is_offloaded: bool = False
    """Keep the moments and masters on the CPU while the engine samples."""
    is_checkpointing: bool = False
    """Keep only the input of each layer for the backward pass, and run the layer again there."""

    def __post_init__(self) -> None:
        _require(0 < self.lr < inf, f"optimizer.lr must be above 0, got {self.lr}")
        _require(
            0 <= self.weight_decay < inf,
            f"optimizer.weight_decay must be 0 or more, got {self.weight_decay}",
        )
        _require(
            self.max_grad_norm > 0,
            f"optimizer.max_grad_norm must be above 0, got {self.max_grad_norm}",
        )
        _require(
            self.micro_batch_tokens >= 1,
            f"optimizer.micro_batch_tokens must be at least 1, got {self.micro_batch_tokens}",
        )
        _require(
            self.warmup_steps >= 0,
            f"optimizer.warmup_steps must be 0 or more, got {self.warmup_steps}",
        )
        _require(
            not (self.state == "8bit" and self.sharding == "sharded"),
            "optimizer.state = 8bit is for whole weights: its blocks do not end where shards do; "
            "set optimizer.sharding to replicated or optimizer.state to float32",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adapters beside frozen weights (LoRA, arXiv 2106.09685).

    There is no dropout: it would make the trainer's log-probs differ from the sampler's.
    """

    rank: int = 0
    """Inner size of the adapters; 0: none, all weights are trained."""
    alpha: float = 32.0
    """What an adapter adds is scaled by alpha / rank."""
    target: tuple[str, ...] = ("all-linear",)
    """Ends of the names of the linear layers to adapt, such as q_proj; ``all-linear``: all but
    the output head."""

    def __post_init__(self) -> None:
        _require(self.rank >= 0, f"lora.rank must be 0 or more, got {self.rank}")
        _require(0 < self.alpha < inf, f"lora.alpha must be above 0, got {self.alpha}")
        _require(bool(self.target), 'lora.target is empty: name linear layers, or "all-linear"')


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalConfig:
    """Measuring the policy before, during and after, on problems that training never sees."""

    every: int = 0
    """Steps between evaluations; 0: only before and after."""
    num_problems: int = 200
    """Problems held out of the training data; 0: no evaluation."""
    num_samples: int = 1
    """Completions a problem, at the rollout's temperature, with the same seeds every time."""
    patience: int = 0
    """Stop after so many evaluations in a row without a new best accuracy; 0: never."""

    def __post_init__(self) -> None:
        _require(self.every >= 0, f"eval.every must be 0 or more, got {self.every}")
        _require(
            self.num_problems >= 0, f"eval.num_problems must be 0 or more, got {self.num_problems}"
        )
        _require(
            self.num_samples >= 1, f"eval.num_samples must be at least 1, got {self.num_samples}"
        )
        _require(self.patience >= 0, f"eval.patience must be 0 or more, got {self.patience}")
        _require(
            not self.patience or (self.every > 0 and self.num_problems > 0),
            "eval.patience counts evaluations during training: set eval.every and "
            "eval.num_problems above 0 too",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """How much work a crash may cost."""

    every: int = 10
    """Steps between checkpoints; one is also written at Ctrl-C and at the end."""
    keep: int = 2
    """The newest so many stay."""

    def __post_init__(self) -> None:
        _require(self.every >= 1, f"checkpoint.every must be at least 1, got {self.every}")
        _require(self.keep >= 1, f"checkpoint.keep must be at least 1, got {self.keep}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """Where the metrics go besides the run's folder."""

    wandb: str = ""
    """Weights & Biases project; empty: none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A whole run: method, data, reward, numbers."""

    method: Literal["grpo", "sft"]
    """Source, credit, coefficient and norm, put together in ``methods.build_method``."""
    model: str = ""
    """Model folder or hub id; empty: the tiny arithmetic policy."""
    rewards: tuple[str, ...] = ("accuracy",)
    """Reward functions, ``name`` or ``pkg.mod:function``, each with ``=weight`` if not 1."""
    is_reward_normalised: bool = False
    """Standardise each reward within its group before they are weighted and added up."""
    seed: int = 0
    """Decides the order of the problems and every sample."""
    max_steps: int = 100
    """Rollout steps."""
    max_hours: float = 0.0
    """Stop after the step in which this much time has passed, saved as after Ctrl-C; 0: never."""
    data: DataConfig = field(default_factory=DataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        _require(self.max_steps >= 1, f"max_steps must be at least 1, got {self.max_steps}")
        _require(0 <= self.max_hours < inf, f"max_hours must be 0 or more, got {self.max_hours}")
        _require(bool(self.rewards), "rewards is empty: name at least one reward function")
        needs_group = self.loss.advantage != "batch_standardised" or self.loss.has_group_baseline
        _require(
            self.method != "grpo" or self.rollout.group_size >= 2 or not needs_group,
            f"rollout.group_size is {self.rollout.group_size}: the completions of a group are "
            "compared with each other, so there must be at least 2",
        )


def load_recipe(name_or_path: str | Path, assignments: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name (``demo``, ``deepseekmath``) or from a TOML file.

    Args:
        name_or_path: A shipped recipe or a file.
        assignments: ``section.key=value`` changes, applied in order.

    Raises:
        ConfigError: No such recipe, an unknown key, a value out of its range.
    """
    path = Path(name_or_path)
    shipped = RECIPES / f"{name_or_path}.toml"
    if shipped.is_file() and path.suffix != ".toml":
        path = shipped
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise ConfigError(f"no recipe {str(name_or_path)!r}; shipped: {names}, or give a file")
    values = override(read_toml(path), assignments)
    partial = [key for key in values.get("rollout", {}) if key in PARTIAL_SAMPLING]
    _require(
        not partial,
        f"rollout.{', '.join(partial)}: training samples from the whole distribution, since what "
        "is drawn from a part of it has other log-probs than those that are trained; leave it out",
    )
    return build(Recipe, values, source=str(path.name))
