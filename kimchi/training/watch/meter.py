"""How fast a run is, what it waits for, and when it will be done."""

import re
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

_TERA = 1e12
_GIB = 2**30
PEAK_BF16: dict[str, float] = {
    "B200": 2250, "GH200.*": 989, "H200": 989, "H200 NVL": 835, "H100 80GB HBM3": 989, "H100 PCIe": 756, "H100 NVL": 835, "H800": 989, "A100-.*": 312,
    "A100 80GB PCIe": 312, "A800.*": 312, "A40": 149.7, "A30": 165, "A10": 125, "L40S": 362, "L40": 181, "L4": 121, "RTX A6000": 154.8, "RTX A5000": 111.1,
    "RTX 6000 Ada Generation": 364.2, "GeForce RTX 5090": 209.5, "GeForce RTX 4090": 165.2, "GeForce RTX 4080": 97.5, "GeForce RTX 3090 Ti": 80,
    "GeForce RTX 3090": 71,
}  # fmt: skip
"""GPU, as torch names it without NVIDIA => dense bf16 TFLOP/s with fp32 accumulation, from NVIDIA's data sheets and architecture papers.
A name must match whole: a slice of a GPU (MIG), a laptop's, or a later "SUPER" has another peak, and a wrong one would pass for a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the clock and the machine say at one log line; never the same twice."""

    pictures_per_second: float
    """Of all processes, over the last reports; held-out loss, samples and checkpoints are not counted."""
    waiting: float
    """Share of that time in which the loop waited for data, 0 to 1."""
    mfu: float | None
    """Share of the machine's arithmetic that the model's own needs, 0 to 1; none where the peak is not known."""
    memory_gib: float
    """Most that was ever allocated on the GPU; on a CPU the largest resident set."""
    seconds_left: float | None
    """Until the last step, by this run's own speed; none before there is one."""
    seconds: float
    """Since this part of the run began."""


def peak_flops(device_name: str, precision: str, devices: int = 1) -> float | None:
    """The most operations a second that GPUs of one name can do.

    Args:
        device_name: as torch.cuda.get_device_name gives it; anything for a CPU.
        precision: of the recipe. The peak of fp32 depends on switches that this function does not see, and is not given.
        devices: how many.
    """
    name = device_name.removeprefix("NVIDIA ")
    found = [peak for pattern, peak in PEAK_BF16.items() if precision == "bf16" and re.fullmatch(pattern, name) and "MIG" not in name]
    return found[0] * _TERA * devices if found else None


def flops_per_picture(unet: UNet2DConditionModel, latents_CHW: tuple[int, int, int], states_LD: tuple[int, int]) -> float:
    """Operations of one training sample: forward, and backward through frozen weights to the adapter's, 2 a multiply-add.

    Counted on a twin without memory or arithmetic (the meta device), so it costs seconds at any size. What gradient checkpointing
    computes a second time is not in it: MFU counts what the model needs (Chowdhery et al. 2022, appendix B), not what a run spends.

    Args:
        unet: with its adapter, if it has one; without one, forward alone.
        latents_CHW, states_LD: shapes of one sample.
    """
    shape: Any = unet
    with torch.device("meta"):
        twin: Any = UNet2DConditionModel.from_config(dict(shape.config))
        twin.requires_grad_(False)
        for name, config in getattr(shape, "peft_config", {}).items():
            twin.add_adapter(config, adapter_name=name)
        for parameter in (p for n, p in twin.named_parameters() if "lora_" in n):
            parameter.requires_grad_(True)
        noisy_1CHW, states_1LD = torch.empty(1, *latents_CHW), torch.empty(1, *states_LD)
        with FlopCounterMode(display=False) as counter:
            said_1CHW = twin(noisy_1CHW, torch.zeros(1, dtype=torch.long), states_1LD).sample
            if said_1CHW.requires_grad:
                said_1CHW.sum().backward()
    return float(counter.get_total_flops())


def peak_memory_gib(device: torch.device) -> float:
    """The most memory this process has held so far: allocated on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    # Kibibytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / _GIB


class Meter:
    """Measures a loop from inside. A resumed part has a meter of its own: the pause between counts for nothing."""

    def __init__(
        self, *, start: int, steps: int, batch: int, device: torch.device, flops_per_picture: float | None = None, peak_flops: float | None = None,
        reports: int = 8, clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        """Start the clock.

        Args:
            start: steps already done when this part began.
            steps: of the whole run.
            batch: pictures a step, of all processes together.
            flops_per_picture, peak_flops: for MFU; the peak of all processes together. None where not known.
            reports: over how many of the last readings speed is taken.
        """
        self.steps, self.batch, self.device = steps, batch, device
        self._flops = flops_per_picture / peak_flops if flops_per_picture and peak_flops else None
        self._clock, self._start, self._began = clock, start, clock()
        self._waited = self._aside = 0.0
        self._marks: deque[tuple[int, float, float]] = deque([(start, 0.0, 0.0)], maxlen=reports + 1)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Around the loop's wait for its next batch."""
        began = self._clock()
        yield
        self._waited += self._clock() - began

    @contextmanager
    def aside(self) -> Generator[None]:
        """Around what is no training: held-out loss, samples, checkpoints. It counts for the time left, not for the speed."""
        began = self._clock()
        yield
        self._aside += self._clock() - began

    def read(self, step: int) -> Speed:
        """What the clock says after `step` steps. On a GPU call it where the loss has just been read off: steps that are only queued take no time."""
        seconds = self._clock() - self._began
        self._marks.append((step, seconds - self._aside, self._waited))
        (first, busy_then, waited_then), (last, busy, waited) = self._marks[0], self._marks[-1]
        done, spent = last - first, busy - busy_then
        rate = done * self.batch / spent if spent > 0 else 0.0
        return Speed(
            pictures_per_second=rate,
            waiting=(waited - waited_then) / spent if spent > 0 else 0.0,
            mfu=rate * self._flops if self._flops else None,
            memory_gib=peak_memory_gib(self.device),
            seconds_left=self._left(step, spent / done) if done else None,
            seconds=seconds,
        )

    def _left(self, step: int, seconds_a_step: float) -> float:
        """Steps at the speed of late (the first ones compile and warm up), and what is aside as it has been so far."""
        aside = self._aside / max(1, step - self._start)
        return (self.steps - step) * (seconds_a_step + aside)
