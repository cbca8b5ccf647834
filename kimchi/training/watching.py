"""What is done between steps: measuring, drawing, writing the log and the page, keeping the best, stopping."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kimchi.recipes import LoraRecipe

from .loop import Progress, Watcher
from .state import State
from .team import Team
from .watch.held_out import HeldOut, Measurement
from .watch.log import Log, Reading
from .watch.meter import Meter
from .watch.page import RunPage
from .watch.samples import Samples
from .watch.stopping import Stopping
from .watch.trackers import Trackers


@dataclass(slots=True, kw_only=True)
class Watching:
    """Looks on for one run. Only the main process measures and writes; the others do as it decides."""

    recipe: LoraRecipe
    folder: Path
    team: Team
    unet: Any
    """With the adapter under training."""
    autocast: Callable[[], AbstractContextManager[Any]]
    """The compute type of training."""
    held_out: Callable[[], HeldOut] | None
    """Made anew where the text encoder is trained; None where nothing is measured."""
    samples: Samples | None
    page: RunPage
    tell: Watcher | None
    fingerprint: str
    flops_per_picture: float | None = None
    """For MFU, and peak_flops of all processes together; None where not known."""
    peak_flops: float | None = None
    meter: Meter = field(init=False)
    _log: Log = field(init=False)
    _stopping: Stopping = field(init=False)
    _trackers: Trackers = field(init=False)
    _last: Progress | None = field(init=False, default=None)
    _began: int = field(init=False, default=-1)
    """Steps done when this part of the run began; -1 before."""
    _opened: bool = field(init=False, default=False)

    def _open(self, step: int) -> None:
        """Take up the log of a run that is resumed after `step` steps."""
        recipe, self._began = self.recipe, step
        self.meter = Meter(
            start=step, steps=recipe.steps, batch=recipe.batch, device=self.team.device, flops_per_picture=self.flops_per_picture, peak_flops=self.peak_flops
        )
        if not self.team.main:
            return
        self._log = Log(self.folder, step)
        measured = [(r.step, r.held_out) for r in self._log.readings if r.held_out]
        self._stopping = Stopping.after(recipe.held_out.patience, measured)
        self._trackers = Trackers(recipe.machine.trackers, recipe.name, self.folder, self.fingerprint, recipe.model_dump(mode="json"), step)
        self._opened = True

    def due(self, step: int) -> bool:
        """At every log line, every measurement, every picture, and at the end."""
        every = (self.recipe.machine.report_every, self.recipe.held_out.every, self.recipe.samples.every)
        return step == self.recipe.steps or any(n and step % n == 0 for n in every)

    def told(self, progress: Progress) -> None:
        """Keep what the loop has read for the next look, and pass it on where none follows at once."""
        self._last = progress
        if self.tell and self.team.main and not self.due(progress.step):
            self.tell(progress)

    def look(self, state: State) -> bool:
        """Measure, draw and write what is due after `state.step` steps; whether patience has run out."""
        if self._began < 0:
            self._open(state.step)
        return self.team.decide(self.team.main and self._look(state))

    def _look(self, state: State) -> bool:
        step = state.step
        if step and (not self.due(step) or any(reading.step == step for reading in self._log.readings[-1:])):
            # Resumed: what was due at this step was done before it was saved.
            return self._stopping.stop
        with self.meter.aside():
            measurement, sheet = self._measure(state), self._draw(state)
        best = self._judge(state, measurement)
        speed = self.meter.read(step) if step > self._began else None
        last, since = self._last, state.losses[self._log.readings[-1].step if self._log.readings else 0 :]
        reading = Reading(
            step=step, steps=self.recipe.steps, loss=sum(since) / len(since) if since else None, learning_rate=last.learning_rate if last else None,
            gradient_norm=last.gradient_norm if last else None, held_out=measurement, best=best, samples=sheet, speed=speed,
        )  # fmt: skip
        self._write(reading)
        if self.tell and last:
            last.text = reading.text()
            self.tell(last)
        return self._stopping.stop

    def _due_now(self, every: int, step: int) -> bool:
        return bool(every) and (step % every == 0 or step == self.recipe.steps)

    def _measure(self, state: State) -> Measurement | None:
        if self.held_out is None or not self._due_now(self.recipe.held_out.every, state.step):
            return None
        with state.averaged():
            return self.held_out().measure(self.unet, self.autocast)

    def _draw(self, state: State) -> str:
        if self.samples is None or not self._due_now(self.recipe.samples.every, state.step):
            return ""
        with state.averaged():
            return self.samples.draw(self.folder, state.step, self.autocast)

    def _judge(self, state: State, measurement: Measurement | None) -> bool:
        if measurement is None:
            return False
        verdict = self._stopping.tell(state.step, measurement)
        if verdict.improved and self.recipe.held_out.keep_best:
            state.keep_best()
        return verdict.improved

    def _write(self, reading: Reading) -> None:
        self._log.write(reading)
        # A power cut must not leave a checkpoint whose lines are lost.
        self._log.settle()
        self.page.show(self._log.readings)
        self._trackers.log(reading)

    @property
    def best_step(self) -> int | None:
        """Step of the lowest held-out loss; None where none was measured, or not by this process."""
        return self._stopping.best[0] if self._opened and self._stopping.best else None

    @property
    def stopped(self) -> bool:
        """Whether patience ended the run."""
        return self._opened and self._stopping.stop

    def finish(self, state: Any, reason: str = "") -> None:
        """Write the page for the last time and close the trackers; call it however the run ends.

        Args:
            state: "finished", "stopped" or "failed".
            reason: why, in a sentence.
        """
        if self._opened:
            self.page.show(self._log.readings, state, reason)
            self._trackers.finish()
