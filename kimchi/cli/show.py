"""What the command line prints: stdout is data, stderr is progress and advice."""

import dataclasses
import itertools
import json
import re
import sys
import tempfile
import time
import unicodedata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from kimchi.errors import OutputError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Step(Protocol):
    """What a training loop tells after each step."""

    step: int
    steps: int
    loss: float
    text: str


class Bars:
    """Progress on stderr: a bar per stage in a terminal; elsewhere a line every half minute, so that a log stays readable."""

    QUIET_SECONDS = 30.0
    """Where there is no terminal: the least time between two lines."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def report(self, stage: str, done: int, total: int, note: str = "") -> None:
        """How far a stage is: what it does, done, of how many."""
        if self._progress is None:
            if time.monotonic() - self._spoke > self.QUIET_SECONDS:
                self._spoke = time.monotonic()
                say(f"{stage} {done}/{total} {note}".rstrip())
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total, description=f"{stage} {note}".rstrip())

    def watch(self, step: Step) -> None:
        """How far training is."""
        # A line of its own has the steps in it already.
        self.report("training", step.step, step.steps, step.text.partition("  ")[2] or f"loss {step.loss:.4f}")


def say(text: str) -> None:
    """One line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(outcome: Any, lines: list[str], next_step: str, *, as_json: bool) -> None:
    """The end of every command: data on stdout, the outcome as a last JSON line if asked for, and the next command on stderr."""
    for line in lines:
        print(line)
    if as_json:
        print(json.dumps(plain(outcome), ensure_ascii=False))
    say(f"Next: {next_step}")


def check_folder(folder: Path) -> None:
    """Find out that a folder cannot be written before the work is done, not after.

    Raises:
        OutputError: it cannot be made, or is not a folder this user may write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}). Name another folder with --out.") from error


def free_name(folder: Path, prompt: str, seed: int) -> Path:
    """A name that tells the picture from its neighbours and is not taken: 라면-7.png, 라면-7-2.png."""
    words = re.findall(r"\w+", unicodedata.normalize("NFC", prompt))
    # 40 characters of Hangul are 120 bytes; file systems allow 255.
    stem = f"{'-'.join(words)[:40].strip('-') or 'picture'}-{seed}"
    candidates = (folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png") for number in itertools.count(1))
    return next(path for path in candidates if not path.exists())


def plain(value: Any) -> Any:
    """Dataclasses, paths and numpy numbers as what JSON knows.

    Anything else passes, and json.dumps raises TypeError: an outcome that cannot be read back is a bug.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in cast(dict[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast(list[Any], value)]
    if isinstance(value, Path):
        return str(value)
    return cast(Any, value).item() if hasattr(value, "item") else value
