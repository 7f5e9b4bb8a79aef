"""Do sampler and trainer mean the same weights? A few sampled tokens, scored by both.

An engine with weights of its own can go wrong without an error: one tensor stays old, the
temperature is left out of its log-probs, the temperature's place is taken by another setting.
Every push of weights is followed by this probe.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from mathrl.engines.base import SampleRequest, SamplingParams
from mathrl.errors import EngineError
from mathrl.policy import Policy
from mathrl.schema import Completion

TEXT = "The sum of 2 and 3 is"
NUM_SAMPLES = 4
PARAMS = SamplingParams(temperature=0.7, max_new_tokens=8)
"""Not at temperature 1, where log-probs that leave the temperature out would go unseen."""
MAX_GAP = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Kernels differ by 1e-6 in float32, and by up to 0.07 in a single bfloat16 token."""

Sample = Callable[[Sequence[SampleRequest], SamplingParams], Iterable[tuple[int, Completion]]]


def check_weights(sample: Sample, policy: Policy, *, max_gap: float = 0.0) -> None:
    """Stop where an engine samples from other weights than the policy's.

    Args:
        sample: The engine's.
        policy: Whose weights it was given.
        max_gap: Largest mean difference of a token's log-prob, in nats; 0: by the policy's dtype.

    Raises:
        EngineError: The log-probs differ by more, or are not numbers.
    """
    limit = max_gap or MAX_GAP.get(policy.model.dtype, MAX_GAP[torch.float32])
    gap = probe_gap(sample, policy)
    if not gap <= limit:  # so that nan is refused too
        raise EngineError(
            f"the engine does not sample from the policy's weights: after a push its log-probs "
            f"differ by {gap:.3g} a token (at most {limit:g} allowed). A server must be started "
            "with --logprobs-mode processed_logprobs; one that computes in another precision "
            "than the policy needs engine.max_probe_gap=0.1"
        )


@torch.no_grad()
def probe_gap(sample: Sample, policy: Policy) -> float:
    """Mean absolute difference between the engine's and the policy's log-probs, in nats."""
    prompt = tuple(policy.tokenizer(TEXT)["input_ids"])
    requests = [
        SampleRequest(
            problem_id="probe", sample_index=index, prompt=TEXT, prompt_ids=prompt, seed=index
        )
        for index in range(NUM_SAMPLES)
    ]
    gaps = [_gaps(policy, prompt, completion) for _, completion in sample(requests, PARAMS)]
    return float(torch.cat(gaps).mean())


def _gaps(policy: Policy, prompt: tuple[int, ...], completion: Completion) -> Tensor:
    assert completion.token_ids is not None and completion.logprobs is not None
    ids = torch.tensor([prompt + completion.token_ids], device=policy.device)
    logits_TV = policy.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    logprobs_TV = torch.log_softmax(logits_TV.float() / PARAMS.temperature, dim=-1)
    ours_T = logprobs_TV.gather(1, ids[0, len(prompt) :, None])[:, 0]
    return (ours_T.cpu() - torch.tensor(completion.logprobs)).abs()
