"""run.html: one page that is opened while a run trains, and kept when it is done. It asks for nothing outside the run folder."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from kimchi import __version__
from kimchi.data.files import write_text
from kimchi.errors import OutputError

from . import panels
from .log import Reading, duration
from .samples import SHOWN

PAGE = "run.html"
State = Literal["training", "finished", "stopped", "failed"]
_LEAST_SECONDS = 3.0
_SHARE = 0.02
"""Of the run's time, at most this goes into its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a page says of its run beside the numbers."""

    name: str
    facts: dict[str, str]
    """Short facts in the order they are shown: base, text encoder, adapter, batch ..."""
    recipe: str
    """The whole of it, YAML."""
    hashes: dict[str, str] = field(default_factory=dict[str, str])
    miniature: bool = False
    """A miniature is never passed off as the full model: the page says so."""


def machine(device: torch.device) -> str:
    """This machine in a line: its GPU or its processor, its system, and torch."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return f"{name} · {platform.system()} · Python {platform.python_version()} · torch {torch.__version__}"


class RunPage:
    """Writes RUN/run.html, whole or not at all, now and then."""

    def __init__(self, folder: Path, about: About, clock: Callable[[], float] = time.monotonic) -> None:
        """Say what the run is; nothing is written yet.

        Args:
            folder: the run folder, where samples/ lies.
        """
        self.folder, self.about, self._clock = folder, about, clock
        self._due = -float("inf")
        self._sheets: dict[str, dict[str, Any]] = {}
        environment = Environment(
            loader=PackageLoader("kimchi.training.watch"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters |= {"four": _four, "duration": duration, "signed": _signed}
        self._template = environment.get_template("run.html")

    def show(self, readings: Sequence[Reading], state: State = "training", reason: str = "") -> bool:
        """Write the page if it is time: every few seconds while training, less often where writing is slow, and always at the end.

        A page that cannot be written stops no training: the log, which must be written, says why.

        Args:
            reason: why a run stopped or failed, in a sentence.

        Returns:
            Whether it was written.
        """
        began = self._clock()
        if state == "training" and began < self._due:
            return False
        try:
            write_text(self.folder / PAGE, self._template.render(self._values(readings, state, reason)))
        except OutputError:
            return False
        done = self._clock()
        self._due = done + max(_LEAST_SECONDS, (done - began) / _SHARE)
        return True

    def _values(self, readings: Sequence[Reading], state: State, reason: str) -> dict[str, Any]:
        last = readings[-1] if readings else None
        speed = next((r.speed for r in reversed(readings) if r.speed), None)
        sheets = [(r, self._sheets[r.samples]) for r in readings if r.samples and self._sheet(r.samples)]
        return {
            "about": self.about, "state": state, "reason": reason, "last": last, "speed": speed, "version": __version__, "shown": SHOWN,
            "progress": last.step / last.steps if last and last.steps else 0.0, "written": int(time.time() * 1000),
            "charts": panels.charts(readings), "held_out": panels.held_out(readings), "samples": panels.pictures(sheets),
        }  # fmt: skip

    def _sheet(self, name: str) -> bool:
        """Whether a sheet's record is there; it is read once."""
        if name not in self._sheets:
            try:
                self._sheets[name] = json.loads((self.folder / name).with_suffix(".json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return False
        return True


def _four(value: float) -> str:
    return f"{value:.4f}" if isfinite(value) else "not a number"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−") if isfinite(value) else "not a number"
