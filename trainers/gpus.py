"""Memory and speed of GPUs, from their vendor's data sheets."""

from dataclasses import dataclass

from mathrl.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One kind of GPU; speeds without sparsity, products in bfloat16 added up in float32."""

    name: str
    memory_gib: float
    """As the driver reports it: cards that check their GDDR memory lose a sixteenth of it."""
    bfloat16_tflops: float
    """Of the tensor cores; where these know no bfloat16, the float32 rate."""
    float32_tflops: float
    """Outside the tensor cores: torch keeps float32 products exact by default."""
    bandwidth_gbps: float
    """Of the memory, in 10^9 bytes a second."""

    def tflops(self, weight_bytes: int) -> float:
        """Peak rate of matrix products in the dtype of the weights."""
        return self.float32_tflops if weight_bytes >= 4 else self.bfloat16_tflops


def _gpu(name: str, memory: float, bfloat16: float, float32: float, bandwidth: float) -> Gpu:
    return Gpu(
        name=name,
        memory_gib=memory,
        bfloat16_tflops=bfloat16,
        float32_tflops=float32,
        bandwidth_gbps=bandwidth,
    )


GPUS = (
    _gpu("T4", 15, 8.1, 8.1, 320),
    _gpu("RTX3090", 24, 71, 35.6, 936),
    _gpu("RTX4090", 24, 165, 82.6, 1008),
    _gpu("RTX5090", 32, 209, 104.8, 1792),
    _gpu("A10", 22.5, 125, 31.2, 600),
    _gpu("A6000", 48, 155, 38.7, 768),
    _gpu("L40S", 45, 362, 91.6, 864),
    _gpu("A100-40", 40, 312, 19.5, 1555),
    _gpu("A100-80", 80, 312, 19.5, 2039),
    _gpu("H100", 80, 989, 67, 3350),
    _gpu("H200", 140, 989, 67, 4800),
    _gpu("B200", 180, 2250, 75, 8000),
)
"""H100, H200 and B200 are the SXM cards."""


def find_gpu(name: str) -> Gpu:
    """Look a GPU up by name, in any case, with or without spaces and hyphens.

    Raises:
        ConfigError: It is not in the table; the message lists those that are.
    """
    for gpu in GPUS:
        if _plain(gpu.name) == _plain(name).removeprefix("nvidia"):
            return gpu
    known = ", ".join(gpu.name for gpu in GPUS)
    raise ConfigError(f"unknown GPU {name!r}; known: {known}, or give --gpu-memory alone")


def recognise_gpu(device_name: str, memory_gib: float) -> Gpu | None:
    """Find the entry of a device that calls itself, say, ``NVIDIA H200``; None: not in the table.

    Args:
        device_name: As the driver tells it.
        memory_gib: Tells apart cards that share a name.
    """
    plain = _plain(device_name)
    found = [gpu for gpu in GPUS if _plain(gpu.name.split("-")[0]) in plain]
    near = [gpu for gpu in found if abs(gpu.memory_gib - memory_gib) < 0.1 * gpu.memory_gib]
    return near[-1] if near else None


def _plain(name: str) -> str:
    return name.lower().translate(str.maketrans("", "", " -_"))
