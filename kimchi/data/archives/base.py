"""What a zip and a tar have in common: names, entries, and bytes that are read in place."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kimchi.data.archives.names import nfc, unsafe
from kimchi.data.archives.parts import Group, groups, part_of
from kimchi.data.archives.spans import Span, joined
from kimchi.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of an archive. About 150 bytes, so that half a million may be held."""

    size: int
    """Bytes when read, as declared."""
    stamp: int
    """Changes when the content does, as far as the directory tells."""
    place: Any
    """What the archive needs to find it: a ZipInfo, a byte, or the parts it is made of."""
    refusal: str = ""
    """Why it must not be read."""


class Archive(ABC):
    """An open archive and its names, parts already joined."""

    def __init__(self, span: Span, path: str, entries: Iterable[tuple[str, Entry]]) -> None:
        self.span, self.path = span, path
        self.entries = _with_groups(list(entries))
        self.index: dict[str, Entry] = {}
        for name, entry in self.entries:
            self.index.setdefault(name, entry)

    comment = ""
    """What its maker wrote about it."""

    @abstractmethod
    def _content(self, path: str, entry: Entry, limit: int) -> bytes: ...

    @abstractmethod
    def _span(self, path: str, entry: Entry) -> Span: ...

    def sound(self) -> bool:
        """Whether every stretch of it is what its directory says, where that can be told without reading it all."""
        return True

    def read(self, name: str, entry: Entry, limit: int) -> bytes:
        """The content of an entry, at most `limit` bytes.

        Raises:
            DataError: refused, larger than the limit, encrypted, or damaged.
        """
        path = f"{self.path}!{name}"
        if refusal := unsafe(name) or entry.refusal:
            raise DataError(f"{path}: {refusal}")
        if not isinstance(entry.place, _Joined):
            return self._content(path, entry, limit)
        if entry.size > limit:
            raise DataError(f"{path}: says it has {entry.size:,} bytes; the limit is {limit:,}. Is it a picture?")
        return self.inner(name, entry).pread(entry.size, 0)

    def inner(self, name: str, entry: Entry) -> Span:
        """The content of an entry as a file to seek in, in place where it is stored as it is.

        Raises:
            DataError: refused, encrypted, or damaged.
        """
        path = f"{self.path}!{name}"
        if refusal := unsafe(name) or entry.refusal:
            raise DataError(f"{path}: {refusal}")
        if isinstance(entry.place, _Joined):
            return joined([self._span(f"{self.path}!{part}", below) for part, below in entry.place.pieces])
        return self._span(path, entry)


@dataclass(frozen=True, slots=True)
class _Joined:
    pieces: list[tuple[str, Entry]]


def _with_groups(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    """Parts give way to the file they make, where the first of them stood; beside the whole file they are told and left."""
    found = groups((name, entry.size) for name, entry in entries)
    if not found:
        return entries
    by_name, names = dict(reversed(entries)), {name for name, _ in entries}
    kept: list[tuple[str, Entry]] = []
    for name, entry in entries:
        whole = (part_of(name) or (name, 0))[0]
        group = found.get(whole)
        if group is None or name == whole or whole in names:
            kept.append((name, entry if name == whole or group is None else Entry(entry.size, entry.stamp, None, beside(whole))))
        elif group.numbered:
            kept.append((nfc(whole), _join(group, by_name)))
            group.numbered.clear()
    return kept


def beside(whole: str) -> str:
    """Why a part is not read whose whole file is there."""
    return f"is a part of {whole.rsplit('/', 1)[-1]}, which lies beside it and is read instead."


def _join(group: Group, by_name: dict[str, Entry]) -> Entry:
    pieces = [(name, by_name[name]) for name in group.order()]
    stamp = zlib.crc32(repr([entry.stamp for _, entry in pieces]).encode())
    return Entry(sum(entry.size for _, entry in pieces), stamp, _Joined(pieces), group.fault())
