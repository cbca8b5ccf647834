"""What a run is made of between two steps: weights, the optimiser's moments, the running average, the best so far. Packed whole, unpacked exactly."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kimchi.errors import RecipeError, TrainingError
from kimchi.recipes import Optimiser

from . import checkpoints

_SCHEDULES = {"cosine": "cosine_with_min_lr", "constant": "constant_with_warmup"}
"""Recipes' words that transformers calls otherwise."""


def make_optimiser(groups: list[dict[str, Any]], section: Optimiser, rate: float) -> torch.optim.Optimizer:
    """The optimiser of a recipe, fused where torch has it.

    Raises:
        RecipeError: adamw8bit where bitsandbytes does not run.
    """
    common: dict[str, Any] = {"lr": rate, "betas": (section.beta1, section.beta2), "weight_decay": section.weight_decay}
    if section.name == "adamw":
        return torch.optim.AdamW(groups, fused=True, **common)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports, reportUnknownVariableType] (an option, not a dependency)
    except ImportError as error:
        raise RecipeError("optimiser.name is 'adamw8bit', and bitsandbytes is not installed. `pip install bitsandbytes`, or use adamw.") from error
    return cast(torch.optim.Optimizer, AdamW8bit(groups, **common))


def make_schedule(section: Optimiser, optimiser: torch.optim.Optimizer, warmup_steps: int, steps: int) -> Callable[[int], float]:
    """Step => the rate as a share of the peak. The curves are those of transformers, asked one step ahead: their own first rate is zero, a step lost."""
    from transformers import get_scheduler

    shape: dict[str, Any] = {
        "cosine": {"min_lr_rate": section.last_rate},
        "polynomial": {"power": 2.0, "lr_end": 0.0},
        "cosine_with_restarts": {"num_cycles": section.restarts},
    }.get(section.schedule, {})
    name = _SCHEDULES.get(section.schedule, section.schedule)
    made: Any = get_scheduler(name, optimiser, warmup_steps, steps, scheduler_specific_kwargs=shape)
    curve: Callable[[int], float] = made.lr_lambdas[0]

    def share(step: int) -> float:
        return curve(step + 1)

    return share


class State:
    """The weights under training and all that moves with them.

    Args:
        parameters: name => what is trained, fp32.
        rates: name => its rate as a share of the run's; 1 where it is not named.
        ema: decay of the running average; 0 for none.

    Raises:
        TrainingError: nothing to train, or not in fp32.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], section: Optimiser, rate: float, ema: float, rates: Mapping[str, float] | None = None) -> None:
        self.names, self.weights = list(parameters), list(parameters.values())
        if not self.weights or any(w.dtype != torch.float32 for w in self.weights):
            raise TrainingError(f"{len(self.weights)} weights to train, all must be float32: in bf16 most of a LoRA's small updates round to nothing.")
        shares = rates or {}
        groups: dict[float, list[nn.Parameter]] = {}
        for name, weight in parameters.items():
            groups.setdefault(shares.get(name, 1.0), []).append(weight)
        self.optimiser = make_optimiser([{"params": weights, "share": share} for share, weights in groups.items()], section, rate)
        self.rate, self.ema = rate, ema
        self.average = [w.detach().clone() for w in self.weights] if ema else []
        self.best: list[torch.Tensor] = []
        self.step, self.losses = 0, list[float]()

    def update(self, share: float, step: int) -> None:
        """One step of the optimiser at `share` of the peak rate, from the gradients as they are; then the average."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * share * group["share"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average:
            # The average follows quickly at first, else it would remember the random start for long.
            decay = min(self.ema, (1 + step) / (10 + step))
            get_ema_multi_avg_fn(decay)(self.average, [w.detach() for w in self.weights], step)
        self.step = step + 1

    @contextmanager
    def averaged(self) -> Generator[None]:
        """While it lasts the weights are the running average, where there is one: what would be saved now."""
        kept = [w.detach().clone() for w in self.weights]
        self._set(self.average or kept)
        try:
            yield
        finally:
            self._set(kept)

    def keep_best(self) -> None:
        """Remember what would be saved now."""
        self.best = [w.detach().clone() for w in self.average or self.weights]

    def settle(self) -> None:
        """Leave the weights as they are to be saved: the best ones kept, else the average, else the last."""
        self._set(self.best or self.average or self.weights)

    def _set(self, values: list[Any]) -> None:
        with torch.no_grad():
            for weight, value in zip(self.weights, values, strict=True):
                weight.copy_(value)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write a checkpoint."""
        checkpoints.save(folder, self.step, self._pack(), self.losses, fingerprint)

    def resume(self, folder: Path, fingerprint: str) -> None:
        """Take up the newest sound checkpoint of this run, if there is one."""
        found = checkpoints.load_newest(folder, fingerprint)
        if found is not None:
            self.step, tensors, self.losses = found
            self._unpack(tensors)

    def _pack(self) -> checkpoints.Tensors:
        tensors: checkpoints.Tensors = {}
        for i, (name, weight) in enumerate(zip(self.names, self.weights, strict=True)):
            tensors[f"weight/{name}"] = weight.detach()
            for key, value in self.optimiser.state[weight].items():
                tensors[f"adam/{key}/{name}"] = torch.as_tensor(value)
            if self.average:
                tensors[f"ema/{name}"] = self.average[i]
            if self.best:
                tensors[f"best/{name}"] = self.best[i]
        return tensors

    def _unpack(self, tensors: checkpoints.Tensors) -> None:
        moments: dict[str, dict[str, torch.Tensor]] = {}
        for path, value in tensors.items():
            kind, _, rest = path.partition("/")
            if kind == "adam":
                key, _, name = rest.partition("/")
                moments.setdefault(name, {})[key] = value
        for name, weight in zip(self.names, self.weights, strict=True):
            # Fused AdamW counts its steps on the weights' device, and a count left on the CPU would stop it.
            self.optimiser.state[weight] = {key: value.to(weight.device) for key, value in moments.get(name, {}).items()}
        self._set([tensors[f"weight/{name}"] for name in self.names])
        if self.average:
            self.average = [tensors[f"ema/{name}"].to(w.device) for name, w in zip(self.names, self.weights, strict=True)]
        if f"best/{self.names[0]}" in tensors:
            self.best = [tensors[f"best/{name}"].to(w.device) for name, w in zip(self.names, self.weights, strict=True)]
