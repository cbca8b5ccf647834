"""What a chain of stages has finished, with which inputs, how long it took: timings.json, rewritten whole after every change."""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kimchi.data.files import hash_files, sha256, write_json

TIMINGS = "timings.json"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One stage as it stands."""

    inputs: str
    """Hash of everything the stage depends on."""
    finished: bool = False
    seconds: float = 0.0
    """Measured, over all attempts that came to an end, by success or by interruption; a killed one is not in it."""
    attempts: int = 0
    made: dict[str, str] = field(default_factory=dict[str, str])
    """File below the folder => hash, when finished."""


class Ledger:
    """The stages of one folder."""

    def __init__(self, folder: Path) -> None:
        """Open a folder's ledger, or begin one.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.folder = folder
        self.entries = _read(folder / TIMINGS)
        self.kept: list[str] = []
        """Stages that an earlier run had finished."""
        self._write()

    @contextmanager
    def stage(self, name: str, inputs: Mapping[str, Any], *files: Path) -> Generator[bool]:
        """Tell whether a stage has work to do: True unless its files are there, whole, made from the same inputs.

        Args:
            inputs: everything the stage depends on, as JSON knows it.
            files: what it leaves, below the folder.
        """
        digest = sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode())
        entry = self.entries.get(name)
        if entry and entry.inputs == digest and self._whole(entry):
            self.kept.append(name)
            yield False
            return
        if entry is None or entry.inputs != digest or entry.finished:
            entry = self.entries[name] = Entry(inputs=digest)
        entry.attempts += 1
        self._write()
        began = time.monotonic()
        try:
            yield True
            entry.made = {path.relative_to(self.folder).as_posix(): hash_files([path]) for path in files}
            entry.finished = True
        finally:
            entry.seconds = round(entry.seconds + time.monotonic() - began, 2)
            self._write()

    def hash_of(self, name: str) -> dict[str, str]:
        """What a finished stage made: file => hash."""
        return self.entries[name].made

    def _whole(self, entry: Entry) -> bool:
        if not entry.finished:
            return False
        try:
            return all(hash_files([self.folder / name]) == digest for name, digest in entry.made.items())
        except OSError:
            return False  # removed or unreadable: made again

    def _write(self) -> None:
        write_json(self.folder / TIMINGS, {name: asdict(entry) for name, entry in self.entries.items()})


def _read(path: Path) -> dict[str, Entry]:
    try:
        return {str(name): Entry(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none yet, or damaged: every stage shows by its own files what it still has to do
