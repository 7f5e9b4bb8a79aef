"""Engines: who samples. ``local`` runs in this process, ``recorded`` replays a file."""

from mathrl.engines.base import (
    Capabilities,
    Engine,
    SampleRequest,
    SamplingParams,
    sample_seed,
)

__all__ = ["Capabilities", "Engine", "SampleRequest", "SamplingParams", "sample_seed"]
