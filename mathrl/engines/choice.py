"""Which engine a recipe or an evaluation names, and how it is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mathrl.engines.base import Engine
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Who samples."""

    kind: Literal["local", "vllm"] = "local"
    """``local``: the policy itself, in this process; ``vllm``: vLLM, in this process or served."""
    urls: tuple[str, ...] = ()
    """Addresses of vLLM servers, which share the work; empty: vLLM runs in this process."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision in which vLLM computes in this process; auto: the policy's."""
    max_positions: int = 4096
    """Most tokens of a prompt and its completion in vLLM; the model's own limit holds too."""
    memory_fraction: float = 0.4
    """Share of the GPU that vLLM takes in this process, weights and cache together."""
    sleep_level: int = 2
    """What vLLM gives back while training, in this process on a GPU: 2 weights and cache, 1 the
    same with the weights kept in the machine's memory, 0 nothing."""
    timeout_s: float = 600.0
    """A server that takes longer than this for one completion is left out."""
    max_probe_gap: float = 0.0
    """Most that a token's log-prob in vLLM may differ from the policy's own after each push of
    weights, on average; 0: 0.001 for a policy in float32, 0.1 for one in bfloat16."""

    def __post_init__(self) -> None:
        checks = [
            (not self.urls or self.kind == "vllm", "urls are those of vLLM servers: set kind=vllm"),
            (
                all(url.startswith(("http://", "https://")) for url in self.urls),
                f"urls must start with http:// or https://, got {', '.join(self.urls)}",
            ),
            (self.max_positions >= 2, f"max_positions must be 2 or more, got {self.max_positions}"),
            (
                0 < self.memory_fraction < 1,
                f"memory_fraction must be between 0 and 1, got {self.memory_fraction}",
            ),
            (self.sleep_level in (0, 1, 2), f"sleep_level must be 0 to 2, got {self.sleep_level}"),
            (self.timeout_s > 0, f"timeout_s must be above 0, got {self.timeout_s}"),
            (self.max_probe_gap >= 0, f"max_probe_gap must be 0 or more, got {self.max_probe_gap}"),
        ]
        for is_right, message in checks:
            if not is_right:
                raise ConfigError(f"engine.{message}")


def open_engine(
    config: EngineConfig,
    policy: "Policy",
    folder: Path,
    *,
    is_first: bool = True,
    has_logprobs: bool = True,
) -> Engine:
    """Open the engine that a recipe names.

    Args:
        config: The recipe's section.
        policy: Whose tokenizer, configuration and limits it takes; its weights come by ``sync``.
        folder: Where servers find the weights; they must see it under the same path.
        is_first: Of several ranks, the one that hands servers their weights.
        has_logprobs: Off, vLLM computes none, and weights are pushed without a probe of them: what
            an evaluation needs.

    Raises:
        MissingExtraError: vLLM is not installed.
        EngineError: It does not start, or no server answers.
    """
    if config.kind == "local":
        from mathrl.engines.local import LocalEngine

        return LocalEngine(policy)
    if config.urls:
        from mathrl.engines.served import ServedEngine

        return ServedEngine(policy, config, folder, is_pusher=is_first, has_logprobs=has_logprobs)
    from mathrl.engines.vllm import VLLMEngine

    return VLLMEngine(policy, config, has_logprobs=has_logprobs)
