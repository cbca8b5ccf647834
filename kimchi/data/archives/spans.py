"""Bytes that are read where they lie: a stretch of a file, or stretches of several files as if they were one."""

import bisect
import io
import os
import threading
import weakref
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

MAX_OPEN_FILES = 64
"""Files kept open at a time. One delivery may come in hundreds of parts, and macOS allows a process 256 files."""


class Store(Protocol):
    """Where bytes can be had from by their place."""

    def pread(self, length: int, at: int) -> bytes:
        """At most `length` bytes from byte `at` on."""
        ...


class _Descriptor:
    """An open file, closed when nobody reads from it any more."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


class _OpenFiles:
    """The files last read. One that is pushed out closes after its last reader, not under its hands."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: OrderedDict[tuple[object, ...], _Descriptor] = OrderedDict()

    def get(self, file: "DiskFile") -> _Descriptor:
        with self.lock:
            found = self.files.pop(file.key, None) or file.open()
            self.files[file.key] = found
            while len(self.files) > MAX_OPEN_FILES:
                self.files.popitem(last=False)
            return found


_OPEN = _OpenFiles()


class DiskFile:
    """A file of the disk, opened when it is read."""

    def __init__(self, real: Path) -> None:
        status = real.stat()
        self.real, self.size = real, status.st_size
        self.key: tuple[object, ...] = (os.fspath(real.absolute()), status.st_mtime_ns, status.st_size, status.st_ino)

    def open(self) -> _Descriptor:
        """A descriptor of the same file as at first.

        Raises:
            OSError: gone, unreadable, or another file by now.
        """
        descriptor = _Descriptor(os.open(self.real, os.O_RDONLY))
        status = os.fstat(descriptor.number)
        # A file replaced between two reads would give the bytes of one archive at the places of another.
        if self.key[1:] != (status.st_mtime_ns, status.st_size, status.st_ino):
            raise OSError(f"{self.real.name} was replaced while it was read; run the same command again")
        return descriptor

    def pread(self, length: int, at: int) -> bytes:
        """At most `length` bytes from byte `at` on."""
        return os.pread(_OPEN.get(self).number, length, at)


class Spill:
    """A nameless temporary file, gone from the disk with its last reader."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _Descriptor(os.dup(descriptor))

    def pread(self, length: int, at: int) -> bytes:
        """At most `length` bytes from byte `at` on."""
        return os.pread(self._descriptor.number, length, at)


Piece = tuple[Store, int, int]
"""A store, the byte its piece begins at, and how many bytes it has."""


class Span(io.RawIOBase):
    """Pieces one after another as one file. Reads name their place, so threads and nested archives may share what lies below."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.starts = [0, *accumulate(length for _, _, length in pieces)]
        self.length, self._at = self.starts[-1], 0

    @classmethod
    def of_file(cls, real: Path) -> "Span":
        """A whole file.

        Raises:
            OSError: no such file.
        """
        file = DiskFile(real)
        return cls([(file, 0, file.size)])

    def pread(self, length: int, at: int) -> bytes:
        """The bytes at .. at + length; fewer where the span or a file of it ends."""
        length = min(length, self.length - at)
        if length <= 0:
            return b""
        i = bisect.bisect_right(self.starts, at) - 1
        found: list[bytes] = []
        while length > 0 and i < len(self.pieces):
            store, start, size = self.pieces[i]
            skip = at - self.starts[i]
            chunk = store.pread(min(length, size - skip), start + skip)
            if not chunk and size > skip:
                break  # a file shorter than it was
            found.append(chunk)
            at, length = at + len(chunk), length - len(chunk)
            i += at >= self.starts[i + 1]
        return found[0] if len(found) == 1 else b"".join(found)

    def part(self, start: int, length: int) -> "Span":
        """The bytes start .. start + length as a span of their own, cut where this one ends."""
        end = min(start + length, self.length)
        pieces = [
            (store, begin + max(0, start - at), min(end, at + size) - max(start, at))
            for at, (store, begin, size) in zip(self.starts, self.pieces, strict=False)
            if at < end and at + size > start
        ]
        return Span(pieces)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set where the next read begins."""
        self._at = max(0, (0, self._at, self.length)[whence] + offset)
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer from where the last read ended."""
        data = self.pread(len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def joined(spans: list[Span]) -> Span:
    """Spans one after another as one."""
    return Span([piece for span in spans for piece in span.pieces])
