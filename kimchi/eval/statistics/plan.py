"""What was decided before the ratings were seen: who is compared with whom, by how much it must differ, and with which seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kimchi.errors import DataError

from .ratings import Ratings, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The analysis as it was registered. Everything has a default but the model that the study is about."""

    focus: str
    """The model whose differences from the others are the contrasts."""
    photograph: str | None = None
    """The condition that is a real photograph: the one that equivalence is tested against. None: there is none."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """(first, second): first less second. Empty: the focus less each other model, in the table's order."""
    reversed: tuple[str, ...] = ()
    """Criteria on which agreeing is bad; their values are turned before anything is computed."""
    margin: float = 0.3
    """In points: two models that differ by less count as equivalent."""
    alpha: float = 0.05
    """The chance of a false alarm; intervals hold 1 - alpha."""
    power: float = 0.8
    """Of the minimum detectable difference."""
    least_prompts: int = 10
    """With fewer, nothing is claimed about prompts like these."""
    least_raters: int = 5
    """With fewer, likewise."""
    draws: int = 5000
    """Of each bootstrap."""
    seed: int = 0
    metrics: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict[str, Mapping[tuple[str, str], float]])
    """Automatic metrics: name -> (prompt, model) -> score, higher is better."""

    def pairs(self, ratings: Ratings) -> tuple[tuple[str, str], ...]:
        """The contrasts, checked against the table.

        Raises:
            DataError: a model or criterion that the table does not have, or a number out of its range.
        """
        for name in (self.focus, *(() if self.photograph is None else (self.photograph,)), *(name for pair in self.contrasts for name in pair)):
            place(name, ratings.models, "model")
        for name in self.reversed:
            place(name, ratings.criteria, "criterion")
        self._check_numbers()
        return self.contrasts or tuple((self.focus, other) for other in ratings.models if other != self.focus)

    def _check_numbers(self) -> None:
        ranges = {"margin": (0, 4), "alpha": (0, 0.5), "power": (0.5, 1)}
        for name, (low, high) in ranges.items():
            if not low < getattr(self, name) < high:
                raise DataError(f"{name} = {getattr(self, name)}: it lies between {low} and {high}, both excluded. Mend the plan.")
        if not 100 <= self.draws <= 100_000:
            raise DataError(f"draws = {self.draws}: a bootstrap takes 100 to 100,000 draws. Mend the plan.")
        if any(first == second for first, second in self.contrasts):
            raise DataError("A contrast of a model with itself is always zero. Name two models in each contrast.")
