"""Several processes as one trainer: each takes a share of the work, and all see all results.

    torchrun --nproc-per-node 8 -m mathrl train-grpo deepseekmath --model MODEL --data FILE

Every rank samples and scores its share of a step's groups; the rollouts are exchanged, so that
each rank credits the whole step as a single process would. Then it takes the gradient of its
share of the completions, and the gradients are added up (never averaged: the denominators are the
whole step's already). An error on one rank is an error on all.
"""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from mathrl.adapters import merged_weights
from mathrl.engines import Capabilities, Engine, SampleRequest, SamplingParams
from mathrl.errors import LostRankError, RankError
from mathrl.policy import Policy
from mathrl.rewards.combination import CombinedReward
from mathrl.schema import Completion, Score
from mathrl.trainers.sharding import whole

Item = TypeVar("Item")
Result = TypeVar("Result")

STEP_TIMEOUT = timedelta(minutes=5)
"""How long a rank waits for the others inside an update, which all begin together."""
SHARE_TIMEOUT = timedelta(minutes=60)
"""How long it waits for their share of the sampling, the rewards or a file to write."""
BUCKET_ELEMENTS = 2**25
"""Gradients that are added up in one exchange: 128 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run; the default is one that is alone."""

    rank: int = 0
    world: int = 1
    is_sharded: bool = False
    """Each rank holds a part of the weights, so that every pass is one of all ranks together."""
    shares: dist.ProcessGroup | None = None
    """The same ranks, waiting for each other with the patience that shares of work need."""

    @property
    def is_first(self) -> bool:
        """Tell the rank that writes files and speaks to the user."""
        return self.rank == 0

    def exchange(self, value: Result) -> list[Result]:
        """Give this rank's value to all and get everyone's, in the order of the ranks."""
        if self.world == 1:
            return [value]
        everyone: list[Any] = [None] * self.world
        with _told_if_lost():
            dist.all_gather_object(everyone, value, group=self.shares)
        return everyone

    def share_out(
        self,
        items: Sequence[Item],
        owners: Sequence[int],
        work: Callable[[list[Item]], Sequence[Result]],
    ) -> list[Result]:
        """Work on this rank's share of the items, and get the results of all in their order.

        Args:
            items: The same on every rank.
            owners: The rank that works on each item.
            work: From some of the items to one result each.

        Raises:
            RankError: It failed on another rank; where it failed here, its own error comes out.
        """
        mine = [item for item, owner in zip(items, owners, strict=True) if owner == self.rank]
        shares = self.together(lambda: list(work(mine)))
        queues = [iter(share) for share in shares]
        return [next(queues[owner]) for owner in owners]

    def together(self, work: Callable[[], Result]) -> list[Result]:
        """Do something on every rank, and get everyone's results in the order of the ranks.

        Raises:
            RankError: It failed on another rank; where it failed here, its own error comes out.
        """
        if self.world == 1:
            return [work()]
        result, failure = self._attempt(work)
        everyone = self.exchange((result, None if failure is None else _told(failure)))
        if failure is not None:
            raise failure
        for rank, (_, message) in enumerate(everyone):
            if message is not None:
                raise RankError(f"rank {rank} failed: {message}")
        return [cast(Result, each) for each, _ in everyone]

    def on_first(self, work: Callable[[], None]) -> None:
        """Do something on the first rank, and go on together once it is done.

        Raises:
            RankError: It failed there; on the first rank, its own error comes out.
        """
        self.together(lambda: work() if self.is_first else None)

    def _attempt(self, work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
        """The one place that catches every error: it is told to the other ranks, then raised."""
        try:
            return work(), None
        except LostRankError:  # not all ranks can be told
            raise
        except Exception as failure:  # noqa: BLE001 - raised again as soon as all ranks know
            return None, failure

    def add_up(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all ranks, into a new one."""
        total = tensor.clone()
        if self.world > 1:
            with _told_if_lost():
                dist.all_reduce(total)
        return total

    def add_up_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Give every rank the sum of all gradients, in exchanges of bounded size."""
        if self.world == 1 or self.is_sharded:  # shards are added up as the gradients are made
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        bucket: list[Tensor] = []
        for gradient in gradients:
            if bucket and sum(g.numel() for g in bucket) + gradient.numel() > BUCKET_ELEMENTS:
                _add_up_bucket(bucket)
                bucket = []
            bucket.append(gradient)
        if bucket:
            _add_up_bucket(bucket)

    def align(self, plan: list[list[int]]) -> list[list[int]]:
        """Make the plans of all ranks alike: the most passes, and the most tokens in each."""
        plans = self.exchange(plan)
        parts = zip_longest(*plans, fillvalue=[])
        return [[max(sizes) for sizes in zip_longest(*part, fillvalue=0)] for part in parts]

    def wait(self) -> None:
        """Come back once every rank is here."""
        self.exchange(None)


ALONE = Ranks()


class SharedEngine:
    """An engine on every rank, each of which samples its share of the requests."""

    def __init__(self, engine: Engine, ranks: Ranks, replica: Policy | None = None) -> None:
        """Share out what ``engine`` would sample alone; requests must be the same on all ranks.

        Where the policy's weights are sharded, the engine samples from a whole ``replica``.
        """
        self.engine = engine
        self.ranks = ranks
        self.replica = replica

    @property
    def capabilities(self) -> Capabilities:
        """Those of the engine."""
        return self.engine.capabilities

    @property
    def fingerprint(self) -> str:
        """That of the engine."""
        return self.engine.fingerprint

    @property
    def policy_version(self) -> int:
        """That of the engine."""
        return self.engine.policy_version

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield all completions once every rank has sampled its share."""
        owners = owners_of_groups([(r.problem_id, r.prompt) for r in requests], self.ranks.world)

        def sample_share(mine: list[SampleRequest]) -> list[Completion]:
            found = dict(self.engine.sample(mine, params))
            return [found[index] for index in range(len(mine))]

        yield from enumerate(self.ranks.share_out(requests, owners, sample_share))

    def sync(self, policy: Policy, version: int) -> None:
        """Follow the policy, on this rank."""
        if self.replica is not None:
            self.replica.model.load_state_dict(whole(merged_weights(policy.model)))
            policy = self.replica
        self.ranks.together(lambda: self.engine.sync(policy, version))

    def sleep(self) -> None:
        """Give back memory, on this rank."""
        self.engine.sleep()

    def wake(self) -> None:
        """Take it back."""
        self.engine.wake()

    def close(self) -> None:
        """Free everything, on this rank."""
        self.engine.close()


class SharedReward:
    """A reward of which each rank scores its share of the completions, whole groups at a time."""

    def __init__(self, reward: CombinedReward, ranks: Ranks) -> None:
        """Share out what ``reward`` would score alone; completions must be the same on all ranks.

        The column ``prompts`` tells the groups.
        """
        self.reward = reward
        self.ranks = ranks

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Score every completion, with every part; see ``CombinedReward.scores``."""
        owners = owners_of_groups(columns["prompts"], self.ranks.world)

        def score_share(mine: list[int]) -> list[Score]:
            share = {key: [values[index] for index in mine] for key, values in columns.items()}
            return self.reward.scores([completions[index] for index in mine], **share)

        return self.ranks.share_out(range(len(completions)), owners, score_share)


def owners_of_groups(keys: Sequence[Hashable], world: int) -> list[int]:
    """Deal groups of items with equal keys to the ranks in turn.

    Args:
        keys: The group of each item.
        world: Number of ranks.

    Returns:
        The rank of each item.
    """
    places: dict[Hashable, int] = {}
    return [places.setdefault(key, len(places)) % world for key in keys]


def start_ranks(*, is_sharded: bool = False) -> Ranks:
    """Join the processes that ``torchrun`` started; without it, be alone.

    Sets this process's CUDA device where there is one.

    Args:
        is_sharded: Several ranks are to hold a part of the weights each.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        # sums of small tensors stay on the CPU, where nccl does not reach
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=STEP_TIMEOUT)
    shares = dist.new_group(backend="gloo", timeout=SHARE_TIMEOUT)
    return Ranks(dist.get_rank(), world, is_sharded, shares)


def is_first_process() -> bool:
    """Tell the process that speaks to the user, before any have met."""
    return os.environ.get("RANK", "0") == "0"


def stop_ranks() -> None:
    """Leave the processes that ``start_ranks`` joined."""
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def lost_shards_told() -> Iterator[None]:
    """Tell where a rank is lost in a pass over shards, which exchanges them on its own.

    Raises:
        LostRankError: Another rank is gone or stuck.
    """
    try:
        yield
    except RuntimeError as error:  # much else in a pass raises it too
        if isinstance(error, dist.DistError) or "gloo/transport" in str(error):
            raise _lost(error) from error
        raise


def by_weight(weights: Sequence[float], world: int) -> list[int]:
    """Deal items to ranks, the heaviest first to the rank with the least: the same on every rank.

    Args:
        weights: What each item costs.
        world: Number of ranks.

    Returns:
        The rank of each item.
    """
    loads = [0.0] * world
    owners = [0] * len(weights)
    for item in sorted(range(len(weights)), key=lambda place: -weights[place]):
        owners[item] = loads.index(min(loads))
        loads[owners[item]] += weights[item]
    return owners


def _add_up_bucket(gradients: Sequence[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with _told_if_lost():
        dist.all_reduce(flat)
    pieces = flat.split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))


@contextmanager
def _told_if_lost() -> Iterator[None]:
    """Neither gloo nor nccl has an error of its own for a rank that is gone or stuck."""
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


def _lost(error: RuntimeError) -> LostRankError:
    reason = str(error).strip().splitlines()[0]
    return LostRankError(
        f"another rank is gone or stuck ({reason}); go on from the newest checkpoint with --resume"
    )


def _told(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
