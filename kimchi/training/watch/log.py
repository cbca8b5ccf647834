"""log.jsonl: what a run said of itself, a line a report, each step once however often the run was stopped."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from typing import Any, Self

from kimchi.data.files import write_bytes
from kimchi.errors import OutputError

from .held_out import Measurement
from .intervals import plain
from .meter import Speed

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One line. All but `speed` follows from the recipe: a run that was killed and resumed has the same lines as one that was not."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    loss: float | None
    """Mean training loss of the steps since the line before; none before the first step."""
    learning_rate: float | None
    """Of the last step."""
    gradient_norm: float | None = None
    """Of the last step, before clipping."""
    held_out: Measurement | None = None
    """Where it was measured after this step."""
    best: bool = False
    """Whether that is the lowest so far."""
    samples: str = ""
    """Progress pictures drawn after this step, relative to the run folder."""
    speed: Speed | None = None

    def text(self) -> str:
        """The line for a terminal: step 300/1000  loss 0.1321  held-out 0.1287 ±0.0021  168 pictures/s  MFU 28 %  41.2 GiB  4 min left."""
        parts = [f"step {self.step}/{self.steps}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.held_out:
            overall = self.held_out.overall
            parts.append(f"held-out {overall.value:.4f} ±{overall.half:.4f}{' best' if self.best else ''}")
        return "  ".join([*parts, *(_said(self.speed) if self.speed else ())])

    def to_json(self) -> dict[str, Any]:
        """Ready for a line; what is absent is left out."""
        line: dict[str, Any] = {
            "step": self.step,
            "steps": self.steps,
            "loss": _null(self.loss),
            "learning_rate": self.learning_rate,
            "gradient_norm": _null(self.gradient_norm),
        }
        if self.held_out:
            line |= {"held_out": self.held_out.to_json(), "best": self.best}
        if self.samples:
            line["samples"] = self.samples
        return line | ({"speed": asdict(self.speed)} if self.speed else {})

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """From a line."""
        held_out, speed = line.get("held_out"), line.get("speed")
        return cls(
            step=line["step"], steps=line["steps"], loss=nan if line["loss"] is None and line["step"] else line["loss"], learning_rate=line["learning_rate"],
            gradient_norm=line["gradient_norm"], held_out=Measurement.from_json(held_out) if held_out else None, best=line.get("best", False),
            samples=line.get("samples", ""), speed=Speed(**speed) if speed else None,
        )  # fmt: skip


def _null(value: float | None) -> float | None:
    return None if value is None else plain(value)


def _said(speed: Speed) -> list[str]:
    said = [f"{speed.pictures_per_second:.3g} pictures/s"]
    # Below one in a hundred it is no news.
    said += [f"waiting for data {speed.waiting:.0%}".replace("%", " %")] if speed.waiting >= 0.01 else []
    said += ["MFU n/a" if speed.mfu is None else f"MFU {100 * speed.mfu:.0f} %", f"{speed.memory_gib:.1f} GiB"]
    return said + ([f"{duration(speed.seconds_left)} left"] if speed.seconds_left is not None else [])


def duration(seconds: float) -> str:
    """A time as a person says it: "40 s", "4 min", "2 h 05 min"."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 59.5 else f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Log:
    """The open log of a run."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open RUN/log.jsonl to go on after a step.

        What a crash tore off in the middle, and lines of steps that will be done again, are cut off first.

        Args:
            step: of the checkpoint that is resumed; 0 for a fresh run, which keeps no line.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.path = folder / LOG
        self.readings = [r for r in read_log(folder) if r.step <= step] if step else []
        kept = b"".join(_line(r) for r in self.readings)
        if not self.path.is_file() or self.path.read_bytes() != kept:
            write_bytes(self.path, kept)

    def write(self, reading: Reading) -> None:
        """Add a line. It is in the system's hands when this returns, so a killed run has it.

        Raises:
            OutputError: the disk is full; the line is cut off again when the run is resumed.
        """
        try:
            with self.path.open("ab") as file:
                file.write(_line(reading))
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror or error}). Make room and rerun to go on from the last checkpoint.") from error
        self.readings.append(reading)

    def settle(self) -> None:
        """Force the lines to the disk: call it before a checkpoint is saved, or a power cut leaves a checkpoint whose lines are lost."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())


def read_log(folder: Path) -> list[Reading]:
    """The readings of a run folder, oldest first; none without a log. Ends at the first line that is no reading: a crash tore it."""
    path = folder / LOG
    readings: list[Reading] = []
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
        try:
            reading = Reading.from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):
            break
        # Without its newline the next line would be written onto its end.
        if not line.endswith(b"\n"):
            break
        readings.append(reading)
    return readings


def _line(reading: Reading) -> bytes:
    return json.dumps(reading.to_json(), ensure_ascii=False, allow_nan=False).encode() + b"\n"
