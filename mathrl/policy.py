"""A policy: a causal language model with its tokenizer, loaded from and saved to one folder.

The folder is an ordinary Hugging Face one, so transformers and vLLM load what we save.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mathrl.adapters import (
    adapter_base,
    has_adapter,
    is_adapter_folder,
    merge_adapter,
    merged_weights,
)
from mathrl.errors import ConfigError, MissingExtraError

EMBEDDED = "embedded"
"""Name of the policy that is loaded where none is given."""
EMBEDDED_POLICY = Path(__file__).parent / "embedded_policy"
"""The tiny arithmetic policy that ships with the package; ``trainers/tiny.py`` makes it."""

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A model that writes completions, with the tokenizer that reads and writes its ids."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str

    @property
    def device(self) -> "torch.device":
        """Where the weights are."""
        return self.model.device

    @property
    def stop_ids(self) -> frozenset[int]:
        """Every id that ends a completion: chat models often have more than one."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)

    @property
    def max_positions(self) -> int | None:
        """Prompt and completion tokens together that the model was made for; None: no limit."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def fingerprint(self) -> str:
        """Hash of all that a sample depends on: weights, architecture, tokenizer, stop ids.

        An adapted policy has that of its merged weights, which is what it is saved as.
        """
        import torch

        digest = hashlib.blake2b(digest_size=16)
        about = [_architecture(self.model), _tokenizer_state(self.tokenizer), sorted(self.stop_ids)]
        digest.update(json.dumps(about, sort_keys=True, default=str).encode())
        for name, tensor in sorted(merged_weights(self.model).items()):
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()


_NOT_ARCHITECTURE = ("transformers_version", "_name_or_path", "dtype", "use_cache", "architectures")
"""Keys of a configuration that change no sample, or are in the hash of the weights."""


def _architecture(model: "PreTrainedModel") -> dict[str, Any]:
    """What the configuration says of the computation: rotary base, epsilon, windows, heads, ..."""
    told: dict[str, Any] = model.config.to_diff_dict()
    return {key: value for key, value in told.items() if key not in _NOT_ARCHITECTURE}


def _tokenizer_state(tokenizer: "PreTrainedTokenizerBase") -> Any:  # JSON of the library's own
    """How text becomes ids and ids text; how calls pad and cut is no part of it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    state = json.loads(backend.to_str())
    return {key: value for key, value in state.items() if key not in ("padding", "truncation")}


def load_policy(name_or_folder: str | Path | None = None, *, device: str | None = None) -> Policy:
    """Load a policy in float32 from a folder or a hub id.

    Args:
        name_or_folder: A Hugging Face model folder, a hub id such as ``org/name``, or the folder
            of a LoRA adapter, which is merged into the base that it names; the embedded tiny
            arithmetic policy by default.
        device: Where to put it; the first CUDA device where there is one by default.

    Raises:
        ConfigError: Not a model folder, not reachable, or weights are missing from it.
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers  # noqa: F401 - told here where it is absent
        from safetensors import SafetensorError
    except ImportError as error:
        raise MissingExtraError(
            "a local policy needs torch and transformers: pip install 'mathrl[train]'"
        ) from error
    _quiet_transformers()
    source = str(name_or_folder or EMBEDDED_POLICY)
    if is_adapter_folder(Path(source)):
        return _load_merged(source, device)
    _check_folder(source)
    try:
        model, report = _load_model(source)
    except RuntimeError as error:
        message = f"cannot load a policy from {source}: its weights do not fit its config.json"
        raise ConfigError(message) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or ["unknown reason"]
        raise ConfigError(f"cannot load a policy from {source}: {reason[0]}") from error
    tokenizer = load_tokenizer(source)
    if report["missing_keys"]:
        raise ConfigError(
            f"{source} lacks weights of a causal language model "
            f"({', '.join(sorted(report['missing_keys'])[:3])}, …)"
        )
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model.eval()  # dropout would make the trainer's log-probs differ from the sampler's
    name = str(name_or_folder or EMBEDDED)
    model.to(target)  # type: ignore[arg-type]  # transformers wraps it and loses its type
    return Policy(model=model, tokenizer=tokenizer, name=name)


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a policy, without its weights.

    Raises:
        ConfigError: There is none, or it encodes nothing.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines() or ["unknown reason"]
        raise ConfigError(f"cannot load a policy from {folder}: {reason[0]}") from error
    if not tokenizer("1+1=2")["input_ids"]:
        raise ConfigError(f"{folder} has no tokenizer that encodes text")
    return tokenizer


def save_policy(
    policy: Policy, folder: Path, weights: "Mapping[str, torch.Tensor] | None" = None
) -> None:
    """Write weights, configuration and tokenizer as an ordinary Hugging Face folder.

    Adapters are merged into the weights.

    Args:
        policy: The policy.
        folder: Where to.
        weights: What to write instead of the model's own tensors, where it holds only parts.
    """
    _quiet_transformers()
    if weights is None and has_adapter(policy.model):
        weights = merged_weights(policy.model)
    policy.model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))
    policy.tokenizer.save_pretrained(folder)


def _load_merged(folder: str, device: str | None) -> Policy:
    """The base of an adapter with the adapter merged into it."""
    base = adapter_base(Path(folder))
    try:
        policy = load_policy(None if base == EMBEDDED else base, device=device)
    except ConfigError as error:
        raise ConfigError(f"{folder} is an adapter of {base}, its base model: {error}") from error
    merge_adapter(policy.model, Path(folder))
    return replace(policy, name=folder)


def _load_model(source: str) -> "tuple[PreTrainedModel, dict[str, set[str]]]":
    """The model in float32, and what its file lacks or has too much."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is told by load_policy, in one line
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True
        )
    finally:
        logging.set_verbosity(verbosity)
    model, report = loaded  # the annotation of from_pretrained leaves this form out
    return model, report


def _quiet_transformers() -> None:
    """No progress bars for shards: progress is shown by who runs the work."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _check_folder(source: str) -> None:
    """Tell a wrong folder apart from a hub id before anything is fetched."""
    path = Path(source).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise ConfigError(f"{source} is not a model folder: it has no config.json")
    if path.is_file():
        raise ConfigError(f"{source} is a file; a policy is a folder with config.json")
    looks_like_hub_id = source.count("/") <= 1 and not source.startswith((".", "/", "~"))
    if not path.exists() and not looks_like_hub_id:
        raise ConfigError(f"no such model folder: {source}")
