"""TensorBoard, Weights & Biases and trackio, through accelerate: the numbers of the log, sent on. None is started that the recipe does not name."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kimchi.errors import RecipeError

from .log import Reading

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}
"""Tracker => packages of which one must be there; the first is the one to install."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker whose package is missing, before anything is loaded.

    Raises:
        RecipeError: what is missing, and how to install it.
    """
    for name in names:
        if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise RecipeError(
                f"machine.trackers: {name!r} is not installed. `pip install {PACKAGES[name][0]}`, or take it out: run.html shows the same numbers."
            )


class Trackers:
    """The trackers of one run. Make it in the main process alone: accelerate's W&B and trackio would start one run for every process."""

    def __init__(self, names: Sequence[str], name: str, folder: Path, fingerprint: str, recipe: dict[str, Any], step: int = 0) -> None:
        """Start them; none for an empty list.

        Args:
            names: of the recipe.
            name: of the run.
            folder: the run folder; local files go to RUN/tensorboard and RUN/wandb.
            fingerprint: names what the run depends on: a resumed run goes on in the same record.
            recipe: the whole of it, to be kept beside the numbers.
            step: that is resumed; what was sent beyond it is dropped or overwritten.

        Raises:
            RecipeError: a package is missing.
        """
        check_trackers(names)
        starts: dict[str, Any] = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio}
        self._started: list[Any] = [starts[each](name, folder, fingerprint, step) for each in names]
        for tracker in self._started:
            tracker.start()
            # TensorBoard's "hyperparameters" would open a second run at every start, named by the clock.
            if tracker.name != "tensorboard":
                tracker.store_init_configuration(recipe)

    def log(self, reading: Reading) -> None:
        """Send one reading."""
        values = _flat(reading)
        for tracker in self._started:
            tracker.log(values, step=reading.step)

    def finish(self) -> None:
        """Flush and close; call it however the run ends."""
        for tracker in self._started:
            tracker.finish()


def _flat(reading: Reading) -> dict[str, float]:
    """Names with a slash, which all three group by."""
    held_out, speed = reading.held_out, reading.speed
    values: dict[str, float | None] = {"train/loss": reading.loss, "train/learning_rate": reading.learning_rate, "train/gradient_norm": reading.gradient_norm}
    if held_out:
        overall = held_out.overall
        values |= {"held_out/loss": overall.value, "held_out/low": overall.low, "held_out/high": overall.high}
        values |= {f"held_out/{source}": held_out.source(source).value for source in held_out.losses}
        values |= {f"held_out/t {t}": level.value for t, level in held_out.levels.items()}
    if speed:
        values |= {"speed/pictures_per_second": speed.pictures_per_second, "speed/waiting": speed.waiting, "speed/mfu": speed.mfu}
        values |= {"speed/memory_gib": speed.memory_gib}
    return {name: value for name, value in values.items() if value is not None}


def _tensorboard(name: str, folder: Path, fingerprint: str, step: int) -> Any:
    from accelerate.tracking import TensorBoardTracker

    # purge_step hides what a killed run wrote beyond its last checkpoint.
    return TensorBoardTracker("tensorboard", str(folder), **({"purge_step": step + 1} if step else {}))


def _wandb(name: str, folder: Path, fingerprint: str, step: int) -> Any:
    from accelerate.tracking import WandBTracker

    # The key comes from the environment alone. Without one W&B would ask at the terminal, and a run on a cluster would wait for ever.
    mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    return WandBTracker("kimchi", name=name, id=fingerprint[:60], resume="allow", dir=str(folder), mode=mode)


def _trackio(name: str, folder: Path, fingerprint: str, step: int) -> Any:
    from accelerate.tracking import TrackioTracker

    return TrackioTracker("kimchi", name=f"{name}-{fingerprint[:8]}", resume="allow")
