"""Which bytes a path held when they were last read: size on disk and times of change => hash and size of the picture."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kimchi.data.archives import nfc
from kimchi.data.files import write_text

SETTLED_S = 2.0
"""A file younger than this is not remembered: within the grain of a clock it may change again and look the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What reading a picture told."""

    sha256: str
    """Of the file's or member's bytes, 64 hex digits."""
    size: tuple[int, int]
    """Width and height of the upright picture, pixels."""


class PictureIndex:
    """A small JSON file, written whole; losing it costs a reading of the pictures and nothing else."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there.

        Args:
            path: where it lies; None remembers nothing.
        """
        self.path, self._lock, self._fresh = path, threading.Lock(), False
        self._known = _load(path) if path else {}

    def look(self, name: str, read: Callable[[], Seen]) -> Seen:
        """What a path holds: remembered while its file is as it was, else read.

        Args:
            name: a file, or a member of an archive: then the archive's own times count.
            read: reads it.
        """
        stamp = _stamp(name) if self.path else ""
        known = self._known.get(name)
        if known and stamp and known[0] == stamp:
            return Seen(sha256=known[1], size=(known[2], known[3]))
        seen = read()
        if stamp and stamp == _stamp(name):
            with self._lock:
                self._known[name], self._fresh = (stamp, seen.sha256, *seen.size), True
        return seen

    def forget(self, name: str) -> None:
        """Read a path anew next time, whatever its file's times say."""
        with self._lock:
            if self._known.pop(name, None) and self.path:
                write_text(self.path, json.dumps(self._known, ensure_ascii=False))

    def save(self) -> None:
        """Write what is new; what another process has written meanwhile is kept.

        Raises:
            OutputError: the folder cannot be written.
        """
        with self._lock:
            if self.path is None or not self._fresh:
                return
            self._known = _load(self.path) | self._known
            write_text(self.path, json.dumps(self._known, ensure_ascii=False))
            self._fresh = False


Known = dict[str, tuple[str, str, int, int]]


def _load(path: Path) -> Known:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: (str(stamp), str(digest), int(width), int(height)) for name, (stamp, digest, width, height) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Not there, or damaged: the pictures are read again.
        return {}


def _stamp(name: str) -> str:
    """Sizes and times of the files that hold a member; empty where they cannot be told or are too young to be trusted."""
    files = _files(name)
    try:
        found = [file.stat() for file in files]
    except OSError:
        return ""
    if not found or time.time() - max(max(s.st_mtime, s.st_ctime) for s in found) < SETTLED_S:
        return ""
    # The time of the inode beside that of the content: copying tools set the latter back to that of another file of the same size.
    return "/".join(f"{s.st_size}-{s.st_mtime_ns}-{s.st_ctime_ns}-{s.st_ino}" for s in found)


def _files(name: str) -> list[Path]:
    """The file a path begins with, or its parts; none where the disk spells it otherwise, and then it is read each time."""
    if Path(name).is_file():
        return [Path(name)]
    levels = nfc(name).split("!")
    for i in range(1, len(levels) + 1):
        outermost = Path("!".join(levels[:i]))
        if outermost.is_file():
            return [outermost]
        if parts := _parts(outermost):
            return parts
    return []


def _parts(whole: Path) -> list[Path]:
    if not whole.parent.is_dir() or whole.suffix.lower() not in (".zip", ".tar"):
        return []
    return sorted(whole.parent / name for name in os.listdir(whole.parent) if name.startswith(f"{whole.name}.part"))
