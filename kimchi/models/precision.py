"""Where bf16 pays."""

from contextlib import AbstractContextManager
from typing import Any

import torch


def fast_in_bf16(device: str) -> bool:
    """Whether a device computes bf16 faster than fp32.

    On a CPU only where it has AMX. Elsewhere bf16 is emulated: on a processor with AVX2 the convolutions of a UNet took eight times as long as in
    fp32, matrix products seventy times.
    """
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return device == "cpu" and bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def computes_bf16(asked: str, device: str) -> bool:
    """Whether what a recipe asks to compute in bf16 is: yes, but on a CPU that only emulates it, where fp32 is both faster and finer."""
    return asked == "bf16" and (device != "cpu" or fast_in_bf16(device))


def autocast_on_cpu() -> AbstractContextManager[Any]:
    """bf16 by autocast where this CPU is faster at it; elsewhere nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=fast_in_bf16("cpu"))
