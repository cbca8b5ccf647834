"""Zip archives, stored members read in place and at once from several threads."""

import contextlib
import struct
import tempfile
import threading
import zipfile
import zlib
from bisect import bisect_left
from itertools import pairwise
from typing import Any

from kimchi.data.archives.base import Archive, Entry
from kimchi.data.archives.names import decode_name
from kimchi.data.archives.spans import Span, Spill
from kimchi.errors import DataError

MAX_INNER_BYTES = 16 * 2**30
"""Largest compressed inner archive that is spilled to a temporary file, bytes; stored ones are read in place and have no limit."""
MAX_RATIO = 200
"""Largest compression ratio of a member beyond SMALL_BYTES. Photographs hardly shrink; a blank BMP of ordinary size stays below SMALL_BYTES."""
SMALL_BYTES = 64 * 2**20
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LOCAL_HEADER = struct.Struct("<26xHH")  # bytes of name, bytes of extra
_CHECKED_PER_PIECE = 8
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, struct.error)


class _Lenient:
    """Some copies of kfood.zip carry damaged extra fields, which Python refuses and other tools pass over."""

    lock = threading.Lock()

    @staticmethod
    def open(file: Span) -> zipfile.ZipFile:
        with _Lenient.lock:
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


def _oversized(info: zipfile.ZipInfo, limit: int) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted, and no password is known. Unpack it and give the folder as source."
    if info.file_size > limit:
        return f"says it unpacks to {info.file_size:,} bytes; the limit is {limit:,}. Is it a picture?"
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"unpacks {info.compress_size:,} bytes to {info.file_size:,}, over {MAX_RATIO} to one, as a zip bomb does. Left unread."
    return ""


class ZipArchive(Archive):
    """One open zip. What was joined from parts is checked entry by entry before it is used."""

    def __init__(self, span: Span, path: str) -> None:
        try:
            self.zip = _Lenient.open(span)
            if any(info.header_offset < 0 for info in self.zip.infolist()):
                # Python moves every entry by what is missing in front, and would read all but the first ones.
                raise zipfile.BadZipFile("its beginning is missing, part0 perhaps")
            if len(span.pieces) > 1:
                self._verify(span, span.starts)
        except _DAMAGE as error:
            # A download that stopped early, a last part that is missing, and parts joined as 1, 10, 11, 2 all end like this.
            remedy = "If it came in parts, leave them as they are and give their folder: they are read in the order of their numbers. Else fetch it again."
            if len(span.pieces) > 1:
                remedy = f"It is made of {len(span.pieces)} parts, in the order of their numbers: the last may be missing, or one is damaged. Fetch it again."
            raise DataError(f"{path}: not a whole zip archive ({error}). {remedy}") from error
        self.comment = self.zip.comment.decode("utf-8", "replace")
        super().__init__(span, path, ((decode_name(info), Entry(info.file_size, info.CRC, info)) for info in self.zip.infolist()))

    def sound(self) -> bool:
        """Whether entries throughout it lie where the directory puts them."""
        step = max(1, self.span.length // 256)
        try:
            self._verify(self.span, list(range(0, self.span.length + step, step)))
        except _DAMAGE:
            return False
        return True

    def _verify(self, span: Span, borders: list[int]) -> None:
        """Compare local headers with the directory in every piece: a directory at the right place alone proves nothing about the pieces before it."""
        infos = sorted(self.zip.infolist(), key=lambda info: info.header_offset)
        places = [info.header_offset for info in infos]
        for start, end in pairwise(borders):
            within = infos[bisect_left(places, start) : bisect_left(places, end)]
            for info in {id(info): info for info in (*within[:: max(1, len(within) // _CHECKED_PER_PIECE)], *within[-1:])}.values():
                _local(span, info)

    def _content(self, path: str, entry: Entry, limit: int) -> bytes:
        info: zipfile.ZipInfo = entry.place
        if refusal := _oversized(info, limit):
            raise DataError(f"{path}: {refusal}")
        try:
            content = self._stored(info) if info.compress_type == zipfile.ZIP_STORED else self._unpacked(info, limit)
        except _DAMAGE as error:
            raise DataError(f"{path}: damaged within the archive ({error}). Fetch the archive again.") from error
        if len(content) > limit or len(content) != info.file_size:
            raise DataError(f"{path}: gives {len(content):,} bytes and declares {info.file_size:,}. Fetch the archive again.")
        return content

    def _stored(self, info: zipfile.ZipInfo) -> bytes:
        content = self.span.pread(info.file_size, _local(self.span, info))
        if zlib.crc32(content) != info.CRC:
            raise zipfile.BadZipFile("bad CRC-32")
        return content

    def _unpacked(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        with self.zip.open(info) as file:
            # The declared size may lie: never take more than the limit, whatever the stream goes on to give.
            return file.read(limit + 1)

    def _span(self, path: str, entry: Entry) -> Span:
        info: zipfile.ZipInfo = entry.place
        if refusal := _oversized(info, MAX_INNER_BYTES) if info.compress_type or info.flag_bits & _ENCRYPTED else "":
            raise DataError(f"{path}: {refusal}")
        if info.compress_type != zipfile.ZIP_STORED:
            return self._spill(path, info)
        # ZipFile.open would seek in an inner zip by reading up to the place (Python 3.11): minutes for each picture. A span seeks at once.
        try:
            start = _local(self.span, info)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path}: its place in the archive holds something else ({error}). Fetch the archive again.") from error
        return self.span.part(start, info.file_size)

    def _spill(self, path: str, info: zipfile.ZipInfo) -> Span:
        """A compressed inner archive cannot be seeked in: copy it to a nameless temporary file."""
        with tempfile.TemporaryFile() as file:
            try:
                with self.zip.open(info) as source:
                    while chunk := source.read(2**20):
                        file.write(chunk)
                        if file.tell() > info.file_size:
                            raise DataError(f"{path}: unpacks to more than it declares. Left unread.")
            except _DAMAGE as error:
                raise DataError(f"{path}: damaged within the archive, or no room for it in {tempfile.gettempdir()} ({error}).") from error
            file.flush()
            return Span([(Spill(file.fileno()), 0, file.tell())])


def _local(span: Span, info: zipfile.ZipInfo) -> int:
    """The byte at which an entry's content begins.

    Raises:
        BadZipFile: the header there is not this entry's.
    """
    header = span.pread(_LOCAL_HEADER.size, info.header_offset)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
        raise zipfile.BadZipFile(f"no entry begins at byte {info.header_offset:,}, where the directory puts {decode_name(info)!r}")
    name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    at = info.header_offset + _LOCAL_HEADER.size
    if span.pread(name_bytes, at) != info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "replace"):
        raise zipfile.BadZipFile(f"the entry at byte {info.header_offset:,} is not {decode_name(info)!r}, as the directory says")
    return at + name_bytes + extra_bytes
