"""A delivery as a tree of members, listed and read: folders, archives, archives in archives, parts as the file they make."""

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kimchi.data.archives import columns
from kimchi.data.archives.base import Archive, Entry, beside
from kimchi.data.archives.names import is_archive, nfc, stem, steps, unsafe
from kimchi.data.archives.parts import Group, groups, part_of
from kimchi.data.archives.spans import Span, joined
from kimchi.data.archives.tars import TarArchive, is_tar
from kimchi.data.archives.zips import ZipArchive
from kimchi.errors import DataError

MAX_MEMBER_BYTES = 256 * 2**20
"""Largest member that is read into memory, bytes."""
MAX_DEPTH = 5
"""Archives within archives; a zip that contains itself would otherwise never end."""
OPEN_ARCHIVES = 40
OPEN_ENTRIES = 300_000
"""Names held by the archives that stay open, unless one alone has more; a zip's name costs about 800 bytes of memory."""
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a delivery, not read yet."""

    path: str
    """NFC, levels joined by "!"; what read_member takes."""
    parts: tuple[str, ...]
    """Path below the delivery, folder by folder and archive by archive (without .zip or .tar), the file's own name last."""
    size: int
    """Bytes when read, as declared."""
    stamp: str
    """Changes when the content does: the CRC in a zip, the time of change on a disk or in a tar."""
    refusal: str
    """Why it must not be read; empty when it may be."""
    _read: Callable[[int], bytes]

    def read(self, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """The content, at most `limit` bytes.

        Raises:
            DataError: refused, larger than the limit, encrypted, or damaged.
        """
        if self.refusal:
            raise DataError(f"{self.path}: {self.refusal}")
        return self._read(limit)


def _open(span: Span, path: str) -> Archive:
    try:
        head = span.pread(512, 0)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Make it readable.") from error
    if not head:
        # A shell that could not match Hangul names has written empty zips and removed the parts.
        raise DataError(f"{path}: is empty. Fetch it again.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{"):
        # aihubshell saves an error reply under the name of the download.
        raise DataError(f"{path}: holds text, not an archive; an error reply saved as the download looks like this. Read it, and fetch the delivery again.")
    # By content, not by name: a zip that lies stored in a tar would be found from the tar's end, and every picture missed.
    return TarArchive(span, path) if is_tar(head) else ZipArchive(span, path)


class _Cache:
    """The archives last used, so that reading a delivery picture by picture opens each of them once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.archives: OrderedDict[Key, Archive] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Archive]) -> tuple[Archive, Key]:
        with self.lock:
            archive = self.archives.pop(key, None) or make()
            self.archives[key] = archive
            while len(self.archives) > 1 and self._full():
                # Not closed here: another thread may be reading. Its files close with their last reader.
                self.archives.popitem(last=False)
            return archive, key

    def _full(self) -> bool:
        return len(self.archives) > OPEN_ARCHIVES or sum(len(archive.entries) for archive in self.archives.values()) > OPEN_ENTRIES

    def root(self, reals: list[Path], path: str) -> tuple[Archive, Key]:
        """The archive that a file, or the parts of one in order, make."""
        span = joined([Span.of_file(real) for real in reals])
        return self.get(tuple(getattr(store, "key", None) for store, _, _ in span.pieces) or (path,), lambda: _open(span, path))

    def inner(self, archive: Archive, key: Key, name: str, entry: Entry) -> tuple[Archive, Key]:
        return self.get((*key, name), lambda: _open(archive.inner(name, entry), f"{archive.path}!{name}"))


_CACHE = _Cache()


def _refused(path: str, parts: tuple[str, ...], reason: str) -> Member:
    def read(limit: int) -> bytes:
        raise DataError(f"{path}: {reason}")

    return Member(path, parts, 0, "", reason.removeprefix(f"{path}: "), read)


def _in_archive(archive: Archive, key: Key, parts: tuple[str, ...], depth: int) -> Iterator[Member]:
    for name, entry in archive.entries:
        if name.endswith("/"):
            continue
        path, below = f"{archive.path}!{name}", (*parts, *steps(name))
        refusal = unsafe(name) or entry.refusal
        if not refusal and archive.index[name] is not entry:
            refusal = "a second member of this name in the archive; only the first is read."
        if refusal:
            yield _refused(path, below, refusal)
        elif is_archive(name):
            yield from _within(archive, key, name, entry, (*below[:-1], stem(below[-1])), depth)
        else:
            yield Member(path, below, entry.size, f"{entry.stamp:08x}", "", lambda limit, name=name, entry=entry: archive.read(name, entry, limit))


def _within(archive: Archive, key: Key, name: str, entry: Entry, parts: tuple[str, ...], depth: int) -> Iterator[Member]:
    path = f"{archive.path}!{name}"
    if depth >= MAX_DEPTH:
        yield _refused(path, parts, f"lies {depth} archives deep, and {MAX_DEPTH} is the limit. Unpack it and give the folder as source.")
        return
    try:
        inner, below = _CACHE.inner(archive, key, name, entry)
    except DataError as error:
        # One broken archive of many must not cost the rest; it is counted among the dropped, with this reason.
        yield _refused(path, parts, str(error))
        return
    yield from _in_archive(inner, below, parts, depth + 1)


def _read_file(path: str, real: Path, limit: int) -> bytes:
    try:
        with real.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if len(content) > limit:
        raise DataError(f"{path}: is larger than {limit:,} bytes. Is it a picture?")
    return content


def _in_folder(root: Path) -> Iterator[Member]:
    def failed(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror}). Make it readable.") from error

    for folder, folders, files in os.walk(root, onerror=failed):
        folders.sort(key=nfc)
        together = groups((name, _size(Path(folder, name))) for name in files if part_of(name))
        for name in sorted({*files, *together}, key=nfc):
            # The key is NFC, the file is opened by the name the disk has: a macOS copy holds decomposed names.
            real = Path(folder, name)
            path, parts = nfc(os.fspath(real)), tuple(nfc(part).strip() for part in real.relative_to(root).parts)
            if (part := part_of(name)) and part[0] in together:
                if part[0] in files and _opens(Path(folder, part[0])):
                    yield _refused(path, parts, beside(part[0]))
            elif name in together and not (name in files and _opens(real)):
                yield from _of_parts(together[name], Path(folder), path, parts)
            else:
                yield from _on_disk(real, path, parts)


def _size(real: Path) -> int:
    try:
        return real.stat().st_size
    except OSError:
        return 0


def _opens(real: Path) -> bool:
    """Whether a file that lies beside its parts is whole. One that a shell joined in the wrong order has a directory at its end all the same."""
    if not is_archive(real.name):
        return True
    try:
        archive, _ = _CACHE.root([real], nfc(os.fspath(real)))
    except (DataError, OSError):
        return False
    return archive.sound()


def _of_parts(group: Group, folder: Path, path: str, parts: tuple[str, ...]) -> Iterator[Member]:
    """The members of a file that lies in parts on the disk."""
    if fault := group.fault():
        yield _refused(path, parts, fault)
        return
    reals = [folder / name for name in group.order()]
    if is_archive(group.whole):
        yield from _opened_on_disk(reals, path, parts)
    else:
        size, stamp = sum(_size(real) for real in reals), max(real.stat().st_mtime_ns for real in reals)
        yield Member(path, parts, size, str(stamp), "", lambda limit: _read_parts(path, reals, limit))


def _read_parts(path: str, reals: list[Path], limit: int) -> bytes:
    span = joined([Span.of_file(real) for real in reals])
    if span.length > limit:
        raise DataError(f"{path}: is larger than {limit:,} bytes. Is it a picture?")
    return span.pread(span.length, 0)


def _opened_on_disk(reals: list[Path], path: str, parts: tuple[str, ...]) -> Iterator[Member]:
    try:
        archive, key = _CACHE.root(reals, path)
    except (DataError, OSError) as error:
        yield _refused(path, parts, str(error))
        return
    yield from _in_archive(archive, key, (*parts[:-1], stem(parts[-1])), 1)


def _on_disk(real: Path, path: str, parts: tuple[str, ...]) -> Iterator[Member]:
    if path != path.encode("utf-8", "backslashreplace").decode():
        safe = path.encode("utf-8", "backslashreplace").decode()
        yield _refused(
            safe, (*parts[:-1], Path(safe).name), "its name on disk is not UTF-8. Unpack the delivery with `unzip -O cp949`, or give the zip itself."
        )
        return
    try:
        status = real.stat()
    except OSError as error:
        yield _refused(path, parts, f"cannot be read ({error.strerror}).")
        return
    if not stat.S_ISREG(status.st_mode):
        yield _refused(path, parts, "is not an ordinary file.")
    elif is_archive(real.name):
        yield from _opened_on_disk([real], path, parts)
    else:
        yield Member(path, parts, status.st_size, str(status.st_mtime_ns), "", lambda limit: _read_file(path, real, limit))


def _parts_of(whole: Path) -> list[Path]:
    """The parts on disk of a file that is not there itself, in order; none where there are none.

    Raises:
        DataError: parts that do not make one file.
    """
    folder = _real(whole.parent)
    if folder is None or not folder.is_dir():
        return []
    named = [(name, nfc(name)) for name in os.listdir(folder) if part_of(name)]
    group = groups((name, _size(folder / name)) for name, key in named if (part_of(key) or ("",))[0] == nfc(whole.name))
    if not group:
        return []
    (found,) = group.values()
    if fault := found.fault():
        raise DataError(f"{whole}: {fault}")
    return [folder / name for name in found.order()]


def _root(root: Path) -> tuple[Archive, Key]:
    part = part_of(root.name)
    whole = root.with_name(part[0]) if part else root
    reals = [whole] if whole.is_file() else _parts_of(whole) or [root]
    try:
        return _CACHE.root(reals, nfc(os.fspath(whole)))
    except OSError as error:
        raise DataError(
            f"{root}: cannot be read ({error.strerror or error}). Give the zip or the unpacked folder as source, for example --set source=/data/kfood.zip."
        ) from error


def members(root: Path) -> Iterator[Member]:
    """Every file of a delivery, in a fixed order, none read yet. What must not be read comes too, with its refusal.

    Args:
        root: a folder, a zip, an uncompressed tar, or any one of the parts (X.zip.part0) of such an archive.

    Raises:
        DataError: there is no such archive or folder, or the outermost archive cannot be opened.
    """
    if root.is_dir():
        yield from _in_folder(root)
    elif root.suffix.lower() in columns.ENDINGS and root.is_file():
        yield from _on_disk(root, nfc(os.fspath(root)), (nfc(root.name),))
    else:
        archive, key = _root(root)
        yield from _in_archive(archive, key, (), 1)


def fingerprint(root: Path) -> str:
    """16 hex digits that change when any member's name, size or content does; reads directories only, so it takes seconds on 16 GB."""
    total = hashlib.sha256()
    for member in members(root):
        total.update(f"{'/'.join(member.parts)}\0{member.size}\0{member.stamp}\0{member.refusal}\n".encode())
    return total.hexdigest()[:16]


def comment(root: Path) -> str:
    """The comment of an archive; empty for a folder or none."""
    return "" if root.is_dir() else _root(root)[0].comment


def _real(path: Path) -> Path | None:
    """The path as the disk spells it: as given, or part by part up to Unicode normal form."""
    if path.exists():
        return path
    real = Path(path.anchor or ".")
    for part in path.parts[1:] if path.anchor else path.parts:
        if not real.is_dir():
            return None
        if part == "..":
            real = real / part
            continue
        found = next((name for name in os.listdir(real) if nfc(name) == nfc(part)), None)
        if found is None:
            return None
        real = real / found
    return real


def read_member(path: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
    """The bytes at a record's path, "a.zip!b.zip!c.jpg" or an ordinary file. Archives stay open between calls.

    Raises:
        DataError: no such file or member, or one that must not be read.
    """
    if Path(path).is_file():
        return _read_file(path, Path(path), limit)
    levels = nfc(path).split("!")
    # A folder or file may hold "!" in its own name, so each level is the shortest prefix that exists.
    for i in range(1, len(levels) + 1):
        level = "!".join(levels[:i])
        real = _real(Path(level))
        whole = real is not None and real.is_file()
        reals = [real] if real is not None and whole else [] if real is not None else _parts_of(Path(level))
        if reals and i == len(levels):
            return _read_file(path, reals[0], limit) if whole else _read_parts(path, reals, limit)
        if reals and whole and reals[0].suffix.lower() in columns.ENDINGS:
            return columns.read_cell(path, reals[0], levels[i:], limit)
        if reals:
            return _read_below(path, *_opened(reals, level), levels[i:], limit)
    raise DataError(
        f"{path}: no such file. Relative paths start where `kimchi` runs: run it from the folder it was prepared in, or prepare again with the new source."
    )


def _opened(reals: list[Path], path: str) -> tuple[Archive, Key]:
    try:
        return _CACHE.root(reals, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Make it readable.") from error


def _read_below(path: str, archive: Archive, key: Key, levels: list[str], limit: int) -> bytes:
    for i in range(1, len(levels) + 1):
        name = "!".join(levels[:i])
        entry = archive.index.get(name)
        if entry is not None and i == len(levels):
            return archive.read(name, entry, limit)
        if entry is not None:
            return _read_below(path, *_CACHE.inner(archive, key, name, entry), levels[i:], limit)
    raise DataError(f"{path}: no such member in {archive.path}. The archive has changed since it was read; prepare again.")
