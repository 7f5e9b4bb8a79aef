"""Who samples in `mathrl eval`: its options, and the engine that they open."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mathrl.cli.choice import Choice
from mathrl.cli.eval_source import LM_EVAL, EvalSource
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.cli.eval import EvalOptions
    from mathrl.engines import Engine
    from mathrl.engines.api_config import ApiConfig
    from mathrl.evals import EvalResult
    from mathrl.prompts import PromptBuilder
    from mathrl.schema import Problem, Usage

EngineKind = Literal["local", "vllm", "served", "api", "recorded"]
KINDS: tuple[EngineKind, ...] = ("local", "vllm", "served", "api", "recorded")
MEMORY_FRACTION = 0.9
"""Share of the GPU for vLLM: no trainer needs the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """What only some engines read; None means the default that the help text names."""

    engine_urls: tuple[str, ...] = ()
    dtype: Literal["auto", "float32", "bfloat16"] | None = None
    base_url: str | None = None
    endpoint: Literal["chat", "completions"] | None = None
    api_key_env: str | None = None
    api_fields: tuple[str, ...] = ()
    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    request_timeout: float | None = None
    max_retries: int | None = None
    price_in: float | None = None
    price_out: float | None = None

    def kind(self, named: EngineKind | None, model: str | None) -> EngineKind:
        """Which engine is meant.

        Raises:
            ConfigError: An option belongs to another engine, or one is missing.
        """
        guessed: EngineKind = "api" if self.base_url else "served" if self.engine_urls else "local"
        kind = named or guessed
        owners = {"engine_urls": "served", "dtype": "vllm"}
        for option in fields(self):
            owner = owners.get(option.name, "api")
            if getattr(self, option.name) not in (None, ()) and owner != kind:
                name = FLAGS[option.name]
                raise ConfigError(f"{name} belongs to --engine {owner}, not to --engine {kind}")
        if kind == "served" and not self.engine_urls:
            raise ConfigError("--engine served needs --engine-url http://host:port")
        if kind == "api" and not (self.base_url and model):
            raise ConfigError("--engine api needs --base-url https://host/v1 and --model NAME")
        return kind

    def api_config(self, model: str) -> "ApiConfig":
        """The API's settings."""
        from mathrl.engines.api_config import ApiConfig

        chosen = {
            "endpoint": self.endpoint,
            "key_variable": self.api_key_env,
            "concurrency": self.concurrency,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "timeout_s": self.request_timeout,
            "max_retries": self.max_retries,
        }
        more = dict(_assignment(text) for text in self.api_fields)
        given: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
        return ApiConfig(base_url=self.base_url or "", model=model, more=more, **given)


def _assignment(text: str) -> tuple[str, Any]:
    """``key=value``, the value read as JSON where it is JSON and as text otherwise."""
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise ConfigError(f"--api-field must be KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


ABOVE_0 = click.FloatRange(min=0, min_open=True)
OPTIONS = (
    click.option(
        "--engine",
        type=Choice([*KINDS, LM_EVAL]),
        help="Who samples: this process, vLLM in it or served, an API, or a file; lm-eval: the "
        "default one, and --task is one of lm-eval's. "
        "[default: by the options that are given]",
    ),
    click.option(
        "--engine-url", "engine_urls", multiple=True, help="vLLM server; several share the work."
    ),
    click.option(
        "--dtype",
        type=Choice(["auto", "float32", "bfloat16"]),
        help="Precision in which vLLM computes in this process. [default: auto, which is float32]",
    ),
    click.option("--base-url", help="OpenAI-compatible API, up to and with /v1."),
    click.option(
        "--endpoint",
        type=Choice(["chat", "completions"]),
        help="Send an API messages or rendered text. [default: chat; completions with --as]",
    ),
    click.option("--api-key-env", help="Environment variable that holds the key. [default: none]"),
    click.option(
        "--api-field",
        "api_fields",
        multiple=True,
        help="Further KEY=VALUE of every request, such as reasoning_effort=low.",
    ),
    click.option(
        "--concurrency", type=click.IntRange(min=1), help="Requests at a time. [default: 16]"
    ),
    click.option("--requests-per-minute", type=ABOVE_0, help="[default: no limit]"),
    click.option("--tokens-per-minute", type=ABOVE_0, help="[default: no limit]"),
    click.option("--request-timeout", type=float, help="Seconds for one request. [default: 600]"),
    click.option(
        "--max-retries",
        type=click.IntRange(min=0),
        help="How often a failed request is asked again. [default: 8]",
    ),
    click.option("--price-in", type=click.FloatRange(min=0), help="Of a million prompt tokens."),
    click.option(
        "--price-out", type=click.FloatRange(min=0), help="Of a million completion tokens."
    ),
)
FLAGS = {option.name: f"--{option.name.replace('_', '-')}" for option in fields(EngineOptions)} | {
    "engine_urls": "--engine-url",
    "api_fields": "--api-field",
}


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every engine to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def split_options(options: dict[str, Any]) -> tuple[dict[str, Any], EngineOptions]:
    """Split a command's options into its own and the engines'."""
    names = {option.name for option in fields(EngineOptions)}
    own = {name: value for name, value in options.items() if name not in names}
    return own, EngineOptions(**{name: options[name] for name in names})


def open_sampler(
    source: EvalSource, config: "EvalOptions", problems: "Sequence[Problem]"
) -> "tuple[Engine, PromptBuilder]":
    """Open the engine that the options name, with the prompts that it reads.

    Args:
        source: The task.
        config: Resolved options.
        problems: What will be asked.

    Raises:
        ConfigError: The model, the key or an address is wrong.
        EngineError: vLLM does not start, or no server answers.
    """
    if config.engine == "recorded":
        from mathrl.engines.recorded import RecordedEngine

        column = config.completion_column
        recorded = RecordedEngine(config.completions or "", problems, completion_column=column)
        return recorded, source.prompts(config, None)
    if config.engine == "api":
        return _api_engine(config), source.prompts(config, None)
    return _policy_engine(source, config, problems)


def _api_engine(config: "EvalOptions") -> "Engine":
    from mathrl.errors import MissingExtraError

    settings = config.engine_options.api_config(config.model or "")
    try:
        from mathrl.engines.api import ApiEngine
    except ImportError as error:
        raise MissingExtraError("--engine api needs httpx2: pip install 'mathrl[eval]'") from error
    return ApiEngine(settings)


def _policy_engine(
    source: EvalSource, config: "EvalOptions", problems: "Sequence[Problem]"
) -> "tuple[Engine, PromptBuilder]":
    """An engine that samples from a policy of which the weights are here."""
    from mathrl.policy import load_policy

    is_local = config.engine == "local"
    policy = load_policy(config.model, device=None if is_local else "cpu")  # the GPU is vLLM's
    prompts = source.prompts(config, policy.tokenizer)
    if is_local:
        from mathrl.engines.local import LocalEngine

        return LocalEngine(policy), prompts

    from mathrl.engines.choice import EngineConfig, open_engine

    longest = max(len(prompts.ids(prompts.text(problem)) or ()) for problem in problems)
    settings = EngineConfig(
        kind="vllm",
        urls=config.engine_options.engine_urls,
        dtype=config.engine_options.dtype or "auto",
        max_positions=longest + (config.max_new_tokens or 0),
        memory_fraction=MEMORY_FRACTION,
        sleep_level=0,
    )
    folder = Path(config.out or "") / "engine"
    engine = open_engine(settings, policy, folder, has_logprobs=False)
    engine.sync(policy, 0)
    return engine, prompts


def usage_notes(engine: "Engine", result: "EvalResult", options: EngineOptions) -> list[str]:
    """What an API's samples took in all, and what was asked for by this command."""
    if not options.base_url:
        return []
    from mathrl.engines.api import ApiEngine
    from mathrl.schema import Usage

    assert isinstance(engine, ApiEngine), "a base URL is an API's"
    completions = [sample.completion for problem in result.problems for sample in problem.samples]
    counted = [completion.usage for completion in completions if completion.usage is not None]
    notes = [f"tokens of all samples: {_tokens(sum(counted, start=Usage()), options)}"]
    if len(counted) < len(completions):
        notes.append(f"{len(completions) - len(counted)} samples came without a token count")
    if engine.num_requests:
        notes.append(
            f"asked now: {engine.num_requests} requests, {engine.num_retries} of them again after "
            f"a failure; {_tokens(engine.usage, options)}"
        )
    num_filtered = sum(completion.finish_reason == "content_filter" for completion in completions)
    if num_filtered:
        notes.append(f"{num_filtered} samples were withheld by the API's content filter")
    if not engine.dialect.has_seed:
        notes.append("the API takes no seed: a sample that is lost cannot be drawn again")
    return notes


def _tokens(usage: "Usage", options: EngineOptions) -> str:
    shown = f"{usage.prompt_tokens:,} in, {usage.completion_tokens:,} out"
    if usage.reasoning_tokens:
        shown += f" ({usage.reasoning_tokens:,} of them reasoning)"
    if options.price_in is None and options.price_out is None:
        return shown
    return f"{shown}, cost {usage.cost(options.price_in or 0.0, options.price_out or 0.0):.4f}"
