"""Engines: who samples.

``local`` and ``vllm`` run in this process, ``served`` asks vLLM servers, ``api`` any
OpenAI-compatible API, and ``recorded`` replays a file.
"""

from mathrl.engines.base import (
    Capabilities,
    Engine,
    SampleRequest,
    SamplingParams,
    sample_seed,
)

__all__ = ["Capabilities", "Engine", "SampleRequest", "SamplingParams", "sample_seed"]
