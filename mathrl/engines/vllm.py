"""vLLM in this process: it keeps weights and a cache of its own, and gives both back in between.

It starts without weights and is handed the policy's after every step. Before each push its
weights are set to zero, so that a tensor that the push leaves out cannot pass for a new one, and
after it the log-probs of a few tokens are compared with the policy's.

Under ``torchrun`` every rank has an engine of its own, on its own GPU.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mathrl.adapters import merged_weights
from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams, checked_prompt
from mathrl.engines.choice import EngineConfig
from mathrl.engines.decode import decode_completion
from mathrl.engines.probe import check_weights
from mathrl.errors import EngineError, MissingExtraError
from mathrl.policy import Policy
from mathrl.schema import Completion

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # tensors are handed over, not copied to a process
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # or the trainer would be bound to a core of vLLM's
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VLLMEngine:
    """Samples through vLLM; ``sync`` must give it weights before the first sample."""

    def __init__(self, policy: Policy, config: EngineConfig, *, has_logprobs: bool = True) -> None:
        """Start vLLM with the policy's architecture and tokenizer.

        Args:
            policy: Whose architecture and tokenizer it has.
            config: Limits and precision.
            has_logprobs: Off, no log-probs are computed and pushed weights are not probed.

        Raises:
            MissingExtraError: vLLM is not installed.
            EngineError: vLLM does not start: its own reason is in the message.
        """
        self.policy = policy
        self.policy_version = 0
        self.config = config
        self.has_logprobs = has_logprobs
        self.max_positions = min(config.max_positions, policy.max_positions or config.max_positions)
        self._folder = TemporaryDirectory(prefix="mathrl-vllm-")
        self._is_ranked = int(os.environ.get("WORLD_SIZE", "1")) > 1
        self._llm = self._start()
        self._sleeps = config.sleep_level > 0 and torch.cuda.is_available()
        self._is_asleep = False
        self._ids = count()

    @property
    def capabilities(self) -> Capabilities:
        """Everything but the same bits twice: its kernels depend on the batch."""
        found = Capabilities.for_training(deterministic=False, max_positions=self.max_positions)
        return replace(found, logprobs=self.has_logprobs)

    @property
    def fingerprint(self) -> str:
        """Hash of the weights that were pushed last, with a precision other than theirs."""
        weights, dtype = self.policy.fingerprint(), self.config.dtype
        is_own = dtype == "auto" or str(self.policy.model.dtype) == f"torch.{dtype}"
        return weights if is_own else f"{weights}-{dtype}"

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield completions as they finish; see ``Engine.sample``.

        Raises:
            DataError: A prompt with its completion does not fit.
            EngineError: vLLM gave one up.
        """
        self.wake()
        prompts = [checked_prompt(request, params, self.max_positions) for request in requests]
        waiting: dict[str, int] = {}
        try:
            for index, (prompt, request) in enumerate(zip(prompts, requests, strict=True)):
                key = str(next(self._ids))
                waiting[key] = index
                self._llm.add_request(
                    key, {"prompt_token_ids": list(prompt)}, self._sampling(request, params)
                )
            while waiting:
                for output in self._llm.step():
                    if output.finished:
                        index = waiting.pop(output.request_id)
                        yield index, self._completion(output.outputs[0], params)
        finally:
            if waiting:
                self._llm.abort_request(list(waiting))

    def sync(self, policy: Policy, version: int) -> None:
        """Sample from this policy's weights from now on.

        Raises:
            EngineError: It then samples from others.
        """
        self.policy, self.policy_version = policy, version
        self._wake("weights")
        self._llm.collective_rpc("reset_weights")
        weights = merged_weights(policy.model).items()
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        self._wake("kv_cache")
        self._is_asleep = False
        self._llm.reset_prefix_cache()
        if self.has_logprobs:
            check_weights(self.sample, policy, max_gap=self.config.max_probe_gap)

    def sleep(self) -> None:
        """Give back the memory of the cache and, at level 2, of the weights."""
        if self._sleeps and not self._is_asleep:
            self._llm.sleep(level=self.config.sleep_level)
            self._is_asleep = True

    def wake(self) -> None:
        """Take it back; after level 2 that is done by ``sync``, which brings weights."""
        if self._is_asleep:
            assert self.config.sleep_level == 1, "weights were given back and not pushed again"
            self._wake(None)
            self._is_asleep = False

    def close(self) -> None:
        """Free everything; under torchrun, only when the process ends."""
        if not self._is_ranked:  # its shutdown takes the ranks' own process group with it
            self._llm.engine_core.shutdown()
        self._folder.cleanup()

    def _wake(self, part: str | None) -> None:
        if self._is_asleep:
            torch.cuda.empty_cache()  # vLLM takes memory that torch must not hold on to
            self._llm.wake_up(None if part is None else [part])

    def _start(self) -> Any:
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        try:
            from vllm import EngineArgs, LLMEngine
        except ImportError as error:
            raise MissingExtraError("engine vllm needs vLLM: pip install 'mathrl[vllm]'") from error
        model, folder = self.policy.model, self._folder.name
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        self.policy.tokenizer.save_pretrained(folder)
        has_gpu = torch.cuda.is_available()
        dtype = str(model.dtype) if self.config.dtype == "auto" else self.config.dtype
        try:
            return LLMEngine.from_engine_args(
                EngineArgs(
                    model=folder,
                    load_format="dummy",  # weights come by sync
                    dtype=dtype.removeprefix("torch."),
                    max_model_len=self.max_positions,
                    logprobs_mode="processed_logprobs",  # those of the sampling distribution
                    gpu_memory_utilization=self.config.memory_fraction,
                    enable_sleep_mode=self.config.sleep_level > 0 and has_gpu,
                    enforce_eager=not has_gpu,
                    # cut prompts rewind their seeds' generators, which those of a CPU cannot
                    enable_chunked_prefill=has_gpu,
                    max_num_batched_tokens=None if has_gpu else max(2048, self.max_positions),
                    distributed_executor_backend="external_launcher" if self._is_ranked else None,
                    disable_log_stats=True,
                )
            )
        except (ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()
            raise EngineError(f"vLLM does not start: {reason[-1].strip()}") from error

    def _sampling(self, request: SampleRequest, params: SamplingParams) -> Any:
        from vllm import SamplingParams as VLLMParams

        return VLLMParams(
            temperature=params.temperature,
            max_tokens=params.max_new_tokens,
            seed=request.seed,
            stop=list(params.stop),
            stop_token_ids=sorted(self.policy.stop_ids),
            detokenize=bool(params.stop),
            logprobs=0 if self.has_logprobs else None,  # that of the sampled token alone
        )

    def _completion(self, output: Any, params: SamplingParams) -> Completion:
        if output.finish_reason not in ("stop", "length"):
            raise EngineError(f"vLLM gave up a completion: {output.finish_reason}")
        ids = tuple(output.token_ids)
        logprobs = None
        if self.has_logprobs:
            found = zip(ids, output.logprobs, strict=True)
            logprobs = tuple(candidates[token].logprob for token, candidates in found)
            if params.temperature == 0:
                logprobs = (0.0,) * len(ids)
        return Completion(
            text=decode_completion(self.policy, ids, params.stop),
            token_ids=ids,
            logprobs=logprobs,
            finish_reason=output.finish_reason,
        )
