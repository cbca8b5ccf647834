"""The one training loop. What a step computes is a function of its number, so a run that is stopped and rerun is the same run."""

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kimchi.errors import TrainingError

from . import checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The numbers of a run."""

    steps: int
    learning_rate: float
    """Peak rate of AdamW."""
    warmup_steps: int = 0
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    ema: float = 0.0
    """Decay of the running average of the weights; 0 for none."""
    checkpoint_every: int = 100
    seconds: float = math.inf
    """Stop cleanly after this long, whatever the step."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a watcher is told after each step."""

    step: int
    steps: int
    loss: float
    seconds: float


Watcher = Callable[[Progress], None]
Report = Callable[[str, int, int], None]
"""How a stage tells how far it is: what it does, done, of how many."""


def seed_of(seed: int, step: int) -> torch.Generator:
    """The random source of one step: a function of the run's seed and the step's number, nothing else."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the peak."""
    if step < plan.warmup_steps:
        return plan.learning_rate * (step + 1) / plan.warmup_steps
    progress = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return plan.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def run(
    parameters: Mapping[str, nn.Parameter],
    loss_at: Callable[[int], torch.Tensor],
    plan: Plan,
    folder: Path,
    fingerprint: str,
    watch: Watcher | None = None,
) -> list[float]:
    """Minimise loss_at(step) over the parameters; leaves them at the running average if the plan has one.

    Args:
        parameters: name -> what is trained, fp32.
        loss_at: the loss of one step, a function of the step's number alone (seed_of gives its randomness).
        folder: where checkpoints go; a checkpoint of the same fingerprint is resumed.

    Returns:
        The loss of each step, those of an earlier part of the run included.

    Raises:
        TrainingError: a loss that is not a number; the last good checkpoint stays.
    """
    names, weights = list(parameters), list(parameters.values())
    if not weights or any(w.dtype != torch.float32 for w in weights):
        raise TrainingError(f"{folder}: {len(weights)} weights to train, all must be float32: in bf16 most of a LoRA's small updates round to nothing.")
    optimiser = torch.optim.AdamW(weights, lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.99), fused=True)
    average = [w.detach().clone() for w in weights] if plan.ema else []
    start, losses = _resume(folder, fingerprint, names, weights, optimiser, average)
    began = time.monotonic()

    with _Interrupts() as interrupts:
        for step in range(start, plan.steps):
            # loss and gradient
            loss = loss_at(step)
            loss.backward()
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(f"{folder}: the loss of step {step} is {value}. Lower the learning rate; rerun to go on from the last checkpoint.")

            # clipped update
            nn.utils.clip_grad_norm_(weights, plan.clip_norm)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(plan, step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if average:
                # The average follows quickly at first, else it would remember the random start for long.
                decay = min(plan.ema, (1 + step) / (10 + step))
                get_ema_multi_avg_fn(decay)(average, [w.detach() for w in weights], step)
            losses.append(value)

            # tell and save
            if watch:
                watch(Progress(step=step + 1, steps=plan.steps, loss=value, seconds=time.monotonic() - began))
            late = time.monotonic() - began > plan.seconds
            if (step + 1) % plan.checkpoint_every == 0 or late or interrupts.asked or step + 1 == plan.steps:
                checkpoints.save(folder, step + 1, _pack(names, weights, optimiser, average), losses, fingerprint)
            if interrupts.asked:
                raise KeyboardInterrupt
            if late:
                break

    if average:
        with torch.no_grad():
            for weight, mean in zip(weights, average, strict=True):
                weight.copy_(mean)
    return losses


def _pack(names: list[str], weights: list[nn.Parameter], optimiser: torch.optim.Optimizer, average: list[torch.Tensor]) -> checkpoints.Tensors:
    tensors: checkpoints.Tensors = {}
    for i, (name, weight) in enumerate(zip(names, weights, strict=True)):
        tensors[f"weight/{name}"] = weight.detach()
        for key, value in optimiser.state[weight].items():
            tensors[f"adam/{key}/{name}"] = value
        if average:
            tensors[f"ema/{name}"] = average[i]
    return tensors


def _resume(
    folder: Path, fingerprint: str, names: list[str], weights: list[nn.Parameter], optimiser: torch.optim.Optimizer, average: list[torch.Tensor]
) -> tuple[int, list[float]]:
    found = checkpoints.load_newest(folder, fingerprint)
    if found is None:
        return 0, []
    step, tensors, losses = found
    with torch.no_grad():
        for i, (name, weight) in enumerate(zip(names, weights, strict=True)):
            weight.copy_(tensors[f"weight/{name}"])
            optimiser.state[weight] = {key: tensors[f"adam/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            if average:
                average[i].copy_(tensors[f"ema/{name}"])
    return step, losses


class _Interrupts:
    """Ctrl-C and SIGTERM end the step that is under way, save, and only then stop. A second Ctrl-C stops at once."""

    def __enter__(self) -> "_Interrupts":
        self.asked = False
        self._old: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
