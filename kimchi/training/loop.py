"""The one training loop. What a step computes is a function of its number, so a run that is stopped and rerun is the same run."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from kimchi.errors import TrainingError
from kimchi.models.lanes import Lanes
from kimchi.recipes import Optimiser

from .interrupts import Interrupts
from .state import State, make_schedule
from .team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The numbers of a run."""

    steps: int
    learning_rate: float
    """Peak rate."""
    warmup_steps: int = 0
    clip_norm: float = 1.0
    optimiser: Optimiser = field(default_factory=Optimiser)
    ema: float = 0.0
    """Decay of the running average of the weights; 0 for none."""
    checkpoint_every: int = 100
    report_every: int = 1
    """Steps between readings of the loss: a GPU waits for each."""
    seconds: float = math.inf
    """Stop cleanly after this long, whatever the step."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a watcher is told at each reading."""

    step: int
    """Steps done."""
    steps: int
    loss: float
    """Mean of the steps since the reading before."""
    seconds: float
    """Since this call began, not counting an earlier part of the run."""
    learning_rate: float = 0.0
    """Of the last step."""
    gradient_norm: float = 0.0
    """Of the last step, before clipping."""
    text: str = ""
    """All of it in a line, where somebody has written one."""


Watcher = Callable[[Progress], None]
Report = Callable[[str, int, int], None]
"""How a stage tells how far it is: what it does, done, of how many."""


class Pause(Protocol):
    """Looks on between steps."""

    def due(self, step: int) -> bool:
        """Whether there is anything to look at after `step` steps."""
        ...

    def look(self, state: State) -> bool:
        """Look; whether to stop early. Called before the first step of every call, and when it is due, after the watcher."""
        ...


Piece = Callable[[int], torch.Tensor]
"""Lane => a part of the loss of a step."""
LossAt = Callable[[int], torch.Tensor | Iterable[Piece]]
"""Step => its loss, or pieces of it that are worked off one by one, or side by side; their sum is the loss."""


def seed_of(seed: int, step: int) -> torch.Generator:
    """The random source of one step: a function of the run's seed and the step's number, nothing else."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)


def run(
    parameters: Mapping[str, nn.Parameter],
    loss_at: LossAt,
    plan: Plan,
    folder: Path,
    fingerprint: str,
    watch: Watcher | None = None,
    *,
    team: Team | None = None,
    rates: Mapping[str, float] | None = None,
    pause: Pause | None = None,
    blame: Callable[[int], str] | None = None,
    lanes: Lanes | None = None,
) -> list[float]:
    """Minimise loss_at(step) over the parameters; leaves them at the best kept, else at the running average, else at the last.

    Args:
        parameters: name => what is trained, fp32.
        loss_at: the loss of one step, a function of the step's number alone; with a team, this process's share of it.
        folder: where checkpoints go; a checkpoint of the same fingerprint is resumed.
        rates: name => its rate as a share of the plan's.
        pause: looks on between steps, and may stop the run early.
        blame: step => what its batch held, for the error message.
        lanes: work off the pieces of a step; without them one after the other, all in lane 0.

    Returns:
        The loss of each step, those of an earlier part of the run included.

    Raises:
        TrainingError: a loss or a gradient that is not a number; the last good checkpoint stays.
    """
    team = team or Team(device=next(iter(parameters.values())).device if parameters else torch.device("cpu"))
    state = State(parameters, plan.optimiser, plan.learning_rate, plan.ema, rates)
    state.resume(folder, fingerprint)
    if not team.same(state.step):
        raise TrainingError(f"{folder}: the processes of this run find different checkpoints there. Use a folder that all machines share.")
    rate_at = make_schedule(plan.optimiser, state.optimiser, plan.warmup_steps, plan.steps)
    began = time.monotonic()
    unread: list[torch.Tensor] = []
    stopped = bool(pause and pause.look(state))

    with Interrupts() as interrupts:
        while state.step < plan.steps and not stopped:
            # gradient of the whole batch
            step = state.step
            loss = _backward(loss_at(step), state.weights, lanes)
            asked = torch.tensor(float(interrupts.asked), device=team.device)
            _add_up(team, state.weights, [loss, asked])

            # clipped update
            norm = nn.utils.clip_grad_norm_(state.weights, plan.clip_norm)
            state.update(rate_at(step), step)
            unread.append(torch.stack([loss, norm.detach().float(), asked]))

            # read, tell, save
            late = team.size == 1 and (interrupts.asked or time.monotonic() - began > plan.seconds)
            ends = state.step == plan.steps
            saves = state.step % plan.checkpoint_every == 0 or ends
            looks = pause is not None and pause.due(state.step)
            if late or saves or looks or state.step % plan.report_every == 0:
                read = _read(unread, state, folder, blame)
                late = late or any(asked for _, _, asked in read)
                if watch:
                    watch(_progress(read, state, plan, rate_at(step), time.monotonic() - began))
            if pause is not None and looks:
                stopped = pause.look(state)
            if (late or saves or stopped) and team.main:
                state.save(folder, fingerprint)
            if late and (interrupts.asked or team.size > 1):
                raise KeyboardInterrupt
            if late:
                break

    _read(unread, state, folder, blame)
    state.settle()
    return state.losses


def _backward(loss: torch.Tensor | Iterable[Piece], weights: list[nn.Parameter], lanes: Lanes | None) -> torch.Tensor:
    """Gradients of all pieces, added up; the sum of the pieces, still on the device."""
    if isinstance(loss, torch.Tensor):
        loss.backward()
        return loss.detach()
    if lanes is not None:
        return _side_by_side(loss, weights, lanes)
    total = torch.zeros((), device=weights[0].device)
    for piece in loss:
        part = piece(0)
        part.backward()
        total += part.detach()
    return total


def _side_by_side(pieces: Iterable[Piece], weights: list[nn.Parameter], lanes: Lanes) -> torch.Tensor:
    def work(lane: int, piece: Piece) -> tuple[torch.Tensor, tuple[torch.Tensor | None, ...]]:
        part = piece(lane)
        # Not backward(): lanes that add to the same .grad would lose each other's.
        return part.detach(), torch.autograd.grad(part, weights, allow_unused=True)

    total = torch.zeros((), device=weights[0].device)
    # In the order of the pieces, not in that of their ends: the same run gives the same bits.
    for part, gradients in lanes.map(work, pieces):
        total += part
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
    return total


def _add_up(team: Team, weights: list[nn.Parameter], told: list[torch.Tensor]) -> None:
    """Sum gradients, losses and requests to stop over the team."""
    if team.size == 1:
        return
    for weight in weights:
        if weight.grad is None:
            # A process whose share of a small batch is empty still takes part in the sum.
            weight.grad = torch.zeros_like(weight)
    team.sum([*(w.grad for w in weights if w.grad is not None), *told])


def _progress(read: list[list[float]], state: State, plan: Plan, rate: float, seconds: float) -> Progress:
    return Progress(
        step=state.step, steps=plan.steps, loss=sum(loss for loss, _, _ in read) / len(read), seconds=seconds,
        learning_rate=plan.learning_rate * rate, gradient_norm=read[-1][1],
    )  # fmt: skip


def _read(unread: list[torch.Tensor], state: State, folder: Path, blame: Callable[[int], str] | None) -> list[list[float]]:
    """Move loss, gradient's norm and requests to stop of the last steps from the device to here.

    Read before every save: weights that a bad step has spoiled are never written.
    """
    if not unread:
        return []
    values: list[list[float]] = torch.stack(unread).tolist()
    unread.clear()
    first = state.step - len(values)
    for step, (loss, norm, _) in enumerate(values, first):
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss of step {step} is {loss}" if not math.isfinite(loss) else f"the gradient of step {step} is {norm}"
            held = f" Its batch held {blame(step)}." if blame else ""
            raise TrainingError(f"{folder}: {what}.{held} Lower the learning rate or remove the record at fault; rerun to go on from the last checkpoint.")
    state.losses += [loss for loss, _, _ in values]
    return values
