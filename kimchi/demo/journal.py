"""What a booth writes down: ratings, prompts where the operator asked for it, the day's counts, and whether it is open."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from kimchi.data.files import write_json
from kimchi.errors import OutputError

RATINGS, PROMPTS, STATE = "booth_ratings.jsonl", "booth_prompts.jsonl", "booth_state.json"
COUNTS = ("asked", "drawn", "cancelled", "busy", "blocked", "refused", "failed", "rated", "taken")
"""What is counted a day: pictures asked for and drawn; given up; refused because of the queue, the blocklist, or the words; errors; taps; fetches."""


class Journal:
    """The files of one booth's folder. Survives being killed: a rating is on the disk before it is acknowledged."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        """Open or begin the folder.

        Raises:
            OutputError: it cannot be written.
        """
        self._folder, self._clock = folder, clock
        self._lock = Lock()
        self._wrote = 0.0
        found = _read(folder / STATE)
        self.closed: bool = found.get("closed") is True
        """Whether the staff closed the booth. Kept over a restart: a supervisor must not open what a person closed."""
        self.hall: str = found["hall"] if found.get("hall") in ("bright", "dark") else ""
        """The light the staff chose; empty: the settings' own."""
        self._day: str = str(found.get("day", ""))
        self._reasons: Counter[str] = Counter()
        self._counts: Counter[str] = Counter({key: int(value) for key, value in dict(found.get("counts") or {}).items() if key in COUNTS})
        self.keep()

    def counts(self) -> dict[str, int]:
        """Today's counts so far."""
        with self._lock:
            self._turn_day()
            return {key: self._counts[key] for key in COUNTS}

    def reasons(self) -> dict[str, int]:
        """Categories for which prompts were blocked today, since the start, and how often."""
        with self._lock:
            self._turn_day()
            return dict(self._reasons.most_common())

    def count(self, key: str, reason: str = "") -> None:
        """One more of something; written with the next one after a few seconds, so that a crowd does not wear out the disk."""
        with self._lock:
            self._turn_day()
            self._counts[key] += 1
            if reason:
                self._reasons[reason] += 1
            late = time.monotonic() - self._wrote > 5
        if late:
            # A full disk must not stop a picture that is already drawn.
            with suppress(OutputError):
                self.keep()

    def keep(self) -> None:
        """Write counts and state now.

        Raises:
            OutputError: the folder cannot be written.
        """
        with self._lock:
            self._turn_day()
            self._wrote = time.monotonic()
            write_json(self._folder / STATE, {"closed": self.closed, "hall": self.hall, "day": self._day, "counts": dict(self._counts)})

    def rate(self, value: int, **about: Any) -> None:
        """Add a rating, 1 (poor) to 3 (good), with what it is about.

        Raises:
            OutputError: it could not be brought to the disk.
        """
        self._append(RATINGS, {"at": self._clock().isoformat(timespec="seconds"), "booth": True, "value": value, **about})
        self.count("rated")

    def prompt(self, text: str, **about: Any) -> None:
        """Write down what a visitor typed; called only where the operator asked for it and the page says so."""
        self._append(PROMPTS, {"at": self._clock().isoformat(timespec="seconds"), "prompt": text, **about})

    def _append(self, name: str, line: dict[str, Any]) -> None:
        path = self._folder / name
        try:
            with self._lock, path.open("ab") as file:
                # One write a line: a process killed in between leaves a line or none, and the next begins on its own.
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror or error}). Free some disk, or name another folder with --out.") from error

    def _turn_day(self) -> None:
        today = self._clock().date().isoformat()
        if today != self._day:
            self._day = today
            self._counts.clear()
            self._reasons.clear()


def _read(path: Path) -> dict[str, Any]:
    """What was kept; nothing when there is nothing, or half a file."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
