"""A delivery as a tree of members: a folder, a zip, zips inside zips; read in place, nothing is unpacked.

A member's path joins the levels with "!": "kfood.zip!김치.zip!배추김치/Img_033_0001.jpg". Paths are NFC, whatever the disk or
the archive says. Nothing is ever written below the names an archive brings.
"""

import contextlib
import hashlib
import io
import os
import re
import stat
import struct
import tempfile
import threading
import unicodedata
import weakref
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi.errors import DataError

MAX_MEMBER_BYTES = 256 * 2**20
"""Largest member that is read into memory, bytes."""
MAX_INNER_BYTES = 16 * 2**30
"""Largest compressed inner zip that is spilled to a temporary file, bytes; stored ones are read in place and have no limit."""
MAX_RATIO = 200
"""Largest compression ratio of a member beyond SMALL_BYTES. Photographs hardly shrink; a blank BMP of ordinary size stays below SMALL_BYTES."""
SMALL_BYTES = 64 * 2**20
MAX_DEPTH = 4
"""Archives within archives; a zip that contains itself would otherwise never end."""
_OPEN_ARCHIVES = 40
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a delivery, not read yet."""

    path: str
    """NFC, levels joined by "!"; what read_member takes."""
    parts: tuple[str, ...]
    """Path below the delivery, folder by folder and archive by archive (without .zip), the file's own name last."""
    size: int
    """Bytes when read, as declared."""
    stamp: str
    """Changes when the content does: the CRC in an archive, the time of change on a disk."""
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


class _Span(io.RawIOBase):
    """Bytes start .. start + length of an open file. Reads name their place, so threads and nested archives may share the file."""

    def __init__(self, descriptor: int, start: int, length: int, owner: object) -> None:
        self.descriptor, self.start, self.length, self._at = descriptor, start, length, 0
        self.owner = owner  # keeps the descriptor open for as long as anything reads through it

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, (0, self._at, self.length)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), max(0, self.length - self._at))
        data = os.pread(self.descriptor, wanted, self.start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Owner:
    """An open descriptor, closed when the last span on it is gone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class _LenientInfo:
    """Some copies of kfood.zip carry damaged extra fields, which Python refuses and other tools pass over."""

    lock = threading.Lock()

    @staticmethod
    def open(file: io.RawIOBase) -> zipfile.ZipFile:
        with _LenientInfo.lock:
            strict: Any = vars(zipfile.ZipInfo)["_decodeExtra"]

            def lenient(*arguments: Any) -> None:
                # A zip64 size stands first in the field and has been taken by then; what follows is dates and owners.
                with contextlib.suppress(zipfile.BadZipFile):
                    strict(*arguments)

            setattr(zipfile.ZipInfo, "_decodeExtra", lenient)  # noqa: B010  (a private name, on purpose)
            try:
                return zipfile.ZipFile(file)  # pyright: ignore[reportArgumentType]  (a raw reader is all it needs)
            finally:
                setattr(zipfile.ZipInfo, "_decodeExtra", strict)  # noqa: B010


def decode_name(info: zipfile.ZipInfo) -> str:
    """An entry's name as it was meant, NFC, with forward slashes: UTF-8 by flag bit 0x800, else UTF-8 or CP949 by trial."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        raw = name.encode("cp437", errors="replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    # No CP949 character has a backslash for its second byte, so this is safe once decoded (it is not on raw Shift-JIS).
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _unsafe(name: str) -> str:
    if "\0" in name or not name.strip("/"):
        return "its name holds a NUL or nothing; left out, as no tool would write it."
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "its name climbs out of the archive; left out, as an honest delivery never does that. Fetch the archive again from AIHub."
    return ""


def _oversized(info: zipfile.ZipInfo, limit: int) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted, and no password is known. Unpack it and give the folder as source."
    if info.file_size > limit:
        return f"says it unpacks to {info.file_size:,} bytes; the limit is {limit:,}. Is it a picture?"
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"unpacks {info.compress_size:,} bytes to {info.file_size:,}, over {MAX_RATIO} to one, as a zip bomb does. Left unread."
    return ""


class _Archive:
    """One open zip and its names."""

    def __init__(self, span: _Span, path: str) -> None:
        self.span, self.path = span, path
        try:
            self.zip = _LenientInfo.open(span)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            # Both a download that stopped early and parts joined in the wrong order (1, 10, 11, 2) end like this.
            remedy = "If it came in parts, join them in the order of their numbers; else fetch it again."
            raise DataError(f"{path}: not a whole zip archive ({error}). {remedy}") from error
        self.entries: list[tuple[str, zipfile.ZipInfo]] = [(decode_name(info), info) for info in self.zip.infolist()]
        self.index: dict[str, zipfile.ZipInfo] = {}
        for name, info in self.entries:
            self.index.setdefault(name, info)

    def read(self, name: str, info: zipfile.ZipInfo, limit: int) -> bytes:
        path = f"{self.path}!{name}"
        if refusal := _unsafe(name) or _oversized(info, limit):
            raise DataError(f"{path}: {refusal}")
        try:
            with self.zip.open(info) as file:
                # The declared size may lie: never take more than the limit, whatever the stream goes on to give.
                content = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, struct.error) as error:
            raise DataError(f"{path}: damaged within the archive ({error}). Fetch the archive again.") from error
        if len(content) > limit or len(content) != info.file_size:
            raise DataError(f"{path}: gives {len(content):,} bytes and declares {info.file_size:,}. Fetch the archive again.")
        return content

    def inner(self, name: str, info: zipfile.ZipInfo) -> "_Archive":
        path = f"{self.path}!{name}"
        if refusal := _unsafe(name) or (_oversized(info, MAX_INNER_BYTES) if info.compress_type or info.flag_bits & _ENCRYPTED else ""):
            raise DataError(f"{path}: {refusal}")
        if info.compress_type != zipfile.ZIP_STORED:
            return _Archive(self._spill(path, info), path)
        # ZipFile.open would seek in an inner zip by reading up to the place (Python 3.11): minutes for each picture. A span seeks at once.
        self.span.seek(0)
        header = os.pread(self.span.descriptor, _LOCAL_HEADER.size, self.span.start + info.header_offset)
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
            raise DataError(f"{path}: its place in the archive holds something else. Fetch the archive again.")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        length = min(info.file_size, max(0, self.span.length - start))
        return _Archive(_Span(self.span.descriptor, self.span.start + start, length, self.span.owner), path)

    def _spill(self, path: str, info: zipfile.ZipInfo) -> _Span:
        """A compressed inner zip cannot be seeked in: copy it to a nameless temporary file."""
        with tempfile.TemporaryFile() as file:
            try:
                with self.zip.open(info) as source:
                    while chunk := source.read(2**20):
                        file.write(chunk)
                        if file.tell() > info.file_size:
                            raise DataError(f"{path}: unpacks to more than it declares. Left unread.")
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
                raise DataError(f"{path}: damaged within the archive, or no room for it in {tempfile.gettempdir()} ({error}).") from error
            file.flush()
            owner = _Owner(os.dup(file.fileno()))
            return _Span(owner.descriptor, 0, file.tell(), owner)


class _Cache:
    """The archives last used, so that reading a delivery picture by picture opens each of them once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.archives: OrderedDict[tuple[object, ...], _Archive] = OrderedDict()

    def get(self, key: tuple[object, ...], make: Callable[[], _Archive]) -> _Archive:
        with self.lock:
            archive = self.archives.pop(key, None) or make()
            self.archives[key] = archive
            while len(self.archives) > _OPEN_ARCHIVES:
                # Not closed here: another thread may be reading. The descriptor closes with its last reader.
                self.archives.popitem(last=False)
            return archive

    def root(self, real: Path, path: str) -> tuple[_Archive, tuple[object, ...]]:
        status = real.stat()
        key = (os.fspath(real.absolute()), status.st_mtime_ns, status.st_size, status.st_ino)

        def make() -> _Archive:
            owner = _Owner(os.open(real, os.O_RDONLY))
            return _Archive(_Span(owner.descriptor, 0, status.st_size, owner), path)

        return self.get(key, make), key

    def inner(self, archive: _Archive, key: tuple[object, ...], name: str, info: zipfile.ZipInfo) -> tuple[_Archive, tuple[object, ...]]:
        below = (*key, name)
        return self.get(below, lambda: archive.inner(name, info)), below


_CACHE = _Cache()


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _stem(name: str) -> str:
    return name[:-4] if _is_zip(name) else name


def _steps(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split("/") if part not in ("", "."))


def _refused(path: str, parts: tuple[str, ...], reason: str) -> Member:
    def read(limit: int) -> bytes:
        raise DataError(f"{path}: {reason}")

    return Member(path, parts, 0, "", reason, read)


def _in_archive(archive: _Archive, key: tuple[object, ...], parts: tuple[str, ...], depth: int) -> Iterator[Member]:
    for name, info in archive.entries:
        if name.endswith("/"):
            continue
        path, below = f"{archive.path}!{name}", (*parts, *_steps(name))
        refusal = _unsafe(name)
        if not refusal and archive.index[name] is not info:
            refusal = "a second member of this name in the archive; only the first is read."
        if refusal:
            yield _refused(path, below, refusal)
        elif _is_zip(name) and not name.rsplit("/", 1)[-1].startswith("._") and "__MACOSX" not in below:
            yield from _within(archive, key, name, info, (*below[:-1], _stem(below[-1])), depth)
        else:
            yield Member(path, below, info.file_size, f"{info.CRC:08x}", "", lambda limit, name=name, info=info: archive.read(name, info, limit))


def _within(archive: _Archive, key: tuple[object, ...], name: str, info: zipfile.ZipInfo, parts: tuple[str, ...], depth: int) -> Iterator[Member]:
    path = f"{archive.path}!{name}"
    if depth >= MAX_DEPTH:
        yield _refused(path, parts, f"lies {depth} archives deep, and {MAX_DEPTH} is the limit. Unpack it and give the folder as source.")
        return
    try:
        inner, below = _CACHE.inner(archive, key, name, info)
    except DataError as error:
        # One broken archive of many must not cost the rest; it is counted among the dropped, with this reason.
        yield _refused(path, parts, str(error).removeprefix(f"{path}: "))
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
        folders.sort(key=_nfc)
        for name in sorted(files, key=_nfc):
            real = Path(folder, name)
            # The key is NFC, the file is opened by the name the disk has: a macOS copy holds decomposed names.
            path = _nfc(os.fspath(real))
            parts = tuple(_nfc(part).strip() for part in real.relative_to(root).parts)
            yield from _on_disk(real, path, parts)


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
    elif _is_zip(real.name) and not real.name.startswith("._"):
        try:
            archive, key = _CACHE.root(real, path)
        except (DataError, OSError) as error:
            yield _refused(path, parts, str(error).removeprefix(f"{path}: "))
            return
        yield from _in_archive(archive, key, (*parts[:-1], _stem(parts[-1])), 1)
    else:
        yield Member(path, parts, status.st_size, str(status.st_mtime_ns), "", lambda limit: _read_file(path, real, limit))


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _root(root: Path) -> tuple[_Archive, tuple[object, ...]]:
    try:
        with root.open("rb") as file:
            head = file.read(512)
        if not head:
            raise DataError(f"{root}: is empty. Fetch it again.")
        if head.lstrip()[:1] in (b"<", b"{"):
            # aihubshell saves an error reply under the name of the download.
            raise DataError(f"{root}: holds text, not an archive; an error reply saved as the download looks like this. Read it, and fetch the delivery again.")
        return _CACHE.root(root, _nfc(os.fspath(root)))
    except OSError as error:
        raise DataError(
            f"{root}: cannot be read ({error.strerror or error}). Give the zip or the unpacked folder as source, for example --set source=/data/kfood.zip."
        ) from error


def members(root: Path) -> Iterator[Member]:
    """Every file of a delivery, in a fixed order, none read yet. What must not be read comes too, with its refusal.

    Raises:
        DataError: there is no such zip or folder, or the outermost zip cannot be opened.
    """
    if root.is_dir():
        yield from _in_folder(root)
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
    return "" if root.is_dir() else _root(root)[0].zip.comment.decode("utf-8", "replace")


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
        found = next((name for name in os.listdir(real) if _nfc(name) == _nfc(part)), None)
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
    steps = _nfc(path).split("!")
    # A folder or file may hold "!" in its own name, so each level is the shortest prefix that exists.
    for i in range(1, len(steps) + 1):
        level = "!".join(steps[:i])
        real = _real(Path(level))
        if real is not None and real.is_file():
            return _read_file(path, real, limit) if i == len(steps) else _read_below(path, *_opened(real, level), steps[i:], limit)
    raise DataError(
        f"{path}: no such file. Relative paths start where `kimchi` runs: run it from the folder it was prepared in, or prepare again with the new source."
    )


def _opened(real: Path, path: str) -> tuple[_Archive, tuple[object, ...]]:
    try:
        return _CACHE.root(real, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Make it readable.") from error


def _read_below(path: str, archive: _Archive, key: tuple[object, ...], steps: list[str], limit: int) -> bytes:
    for i in range(1, len(steps) + 1):
        name = "!".join(steps[:i])
        info = archive.index.get(name)
        if info is not None and i == len(steps):
            return archive.read(name, info, limit)
        if info is not None:
            return _read_below(path, *_CACHE.inner(archive, key, name, info), steps[i:], limit)
    raise DataError(f"{path}: no such member in {archive.path}. The archive has changed since it was read; prepare again.")
