"""Which weights are kept, and when a run may end: both by held-out loss, and by nothing else.

Two questions, answered differently. *Which weights are best?* Those of the lowest mean: where two are level, taking either costs the same, so
no proof is asked; of equals the earlier, which has moved less from the base. *Is it still getting better?* Here chance has a price: among many
measurements of a finished run one is always a little lower, and patience would never run out. So the count starts again only when the paired
difference to the measurement it last started from is below zero with its whole 95 % interval. That one, not the one before: small steps add
up against it until they are sure.

The losses before the first step are a line to compare with and no candidate: an adapter that has learned nothing is no result.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Self

from .held_out import Measurement
from .intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one measurement means for the run."""

    best_step: int | None
    """Step of the lowest mean so far; none before the first that is a number."""
    improved: bool
    """This one is the lowest: its weights are to be kept."""
    stop: bool
    """Patience has run out."""
    waited: int
    """Measurements since the loss last fell beyond chance."""
    change: Estimate | None
    """This one less the best before it, picture by picture; none for the first."""


class Stopping:
    """Follows the measurements of a run. A resumed run tells it those of the log again and stands where it stood."""

    def __init__(self, patience: int = 0) -> None:
        """Start with nothing known.

        Args:
            patience: measurements without a sure improvement after which to stop; 0 never stops.
        """
        self.patience, self.waited = patience, 0
        self.best: tuple[int, Measurement] | None = None
        self._from: Measurement | None = None

    @classmethod
    def after(cls, patience: int, measured: Iterable[tuple[int, Measurement]]) -> Self:
        """As it stood after these measurements, oldest first."""
        stopping = cls(patience)
        for step, measurement in measured:
            stopping.tell(step, measurement)
        return stopping

    @property
    def stop(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.waited

    def tell(self, step: int, measurement: Measurement) -> Verdict:
        """Take in a measurement. One of step 0 says where the run began and is never the best; one that is no number never is either."""
        before = self.best[1] if self.best else None
        value = measurement.overall.value
        improved = step > 0 and isfinite(value) and (before is None or value < before.overall.value)
        if step > 0 or self._from is None:
            self._count(step, measurement)
        if improved:
            self.best = (step, measurement)
        return Verdict(
            best_step=self.best[0] if self.best else None, improved=improved, stop=self.stop, waited=self.waited,
            change=measurement.since(before) if before else None,
        )  # fmt: skip

    def _count(self, step: int, measurement: Measurement) -> None:
        if isfinite(measurement.overall.value) and (self._from is None or measurement.since(self._from).high < 0):
            self._from, self.waited = measurement, 0
        elif step > 0:
            self.waited += 1
