"""What measures a step for ``plan.py``, and for the tests of the plan."""

from collections.abc import Callable, Sequence

from torch.profiler import ProfilerActivity, profile

from mathrl.trainers.batch import RolloutBatch
from mathrl.trainers.logprobs import Row, completion_mask


def recorded_peak(work: Callable[[], object]) -> int:
    """The most bytes that tensors on the CPU took at a time beyond those that were there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    now = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def whole_batch(rows: Sequence[Row]) -> RolloutBatch:
    """Rows of which every token is trained."""
    mask_BT = completion_mask([len(completion) for _, completion in rows])
    return RolloutBatch(
        rows=list(rows),
        mask_BT=mask_BT,
        norm_BT=mask_BT.double() / mask_BT.sum(),
        advantages_BT=mask_BT.double(),
        ref_logprobs_BT=None,
        sampler_logprobs_BT=None,
        num_completions=len(rows),
    )
