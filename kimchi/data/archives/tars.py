"""Uncompressed tar archives, read in place: what aihubshell saves as download.tar.

Formats: ustar, GNU (long names), pax (path and size), as POSIX.1-2017 "pax" and the GNU tar manual describe the headers. Only the names and
places are kept; Python's tarfile would hold a kilobyte a member and read a long name of any length.
"""

from collections.abc import Iterator

from kimchi.data.archives.base import Archive, Entry
from kimchi.data.archives.names import decode_raw
from kimchi.data.archives.spans import Span
from kimchi.errors import DataError

_BLOCK = 512
_MAX_HEADER_BYTES = 2**20
"""Largest long name or pax header that is read."""
_ORDINARY, _FOLDER, _LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = (b"0", b"\0", b"7"), b"5", b"L", b"K", b"x", b"g"


def is_tar(head: bytes) -> bool:
    """Whether these first 512 bytes are a tar header: by its checksum, which every tar has."""
    return len(head) == _BLOCK and _checksum(head)


def _checksum(head: bytes) -> bool:
    try:
        return sum(head[:148]) + sum(head[156:]) + 8 * ord(" ") == _number(head[148:156]) and any(head)
    except ValueError:
        return False


def _number(field: bytes) -> int:
    """Octal text, or base 256 where the first bit is set: files over 8 GiB have sizes that octal cannot hold."""
    if field[:1] and field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.split(b"\0")[0].strip() or b"0", 8)


def _pax(content: bytes) -> dict[bytes, bytes]:
    """ "LENGTH KEY=VALUE\\n" records."""
    found: dict[bytes, bytes] = {}
    while content:
        length, space, _ = content.partition(b" ")
        if not space or not length.isdigit() or not 0 < int(length) <= len(content):
            raise ValueError("a pax header is damaged")
        key, _, value = content[len(length) + 1 : int(length)].rstrip(b"\n").partition(b"=")
        found[key], content = value, content[int(length) :]
    return found


def _name(head: bytes) -> bytes:
    name, prefix = (part.split(b"\0")[0] for part in (head[:100], head[345:500]))
    # GNU keeps times where ustar has a prefix; only ustar proper has the NUL after its mark.
    return prefix + b"/" + name if prefix and head[257:263] == b"ustar\0" else name


def _entries(span: Span) -> Iterator[tuple[str, Entry]]:
    at, long_name, extra = 0, b"", dict[bytes, bytes]()
    while at < span.length:
        head = span.pread(_BLOCK, at)
        if not any(head):
            return
        if not is_tar(head):
            raise ValueError(f"no header at byte {at:,}")
        kind, stated = head[156:157], _number(head[124:136])
        size = int(extra.get(b"size", stated)) if kind not in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL) else stated
        start = at + _BLOCK
        if size < 0 or start + size > span.length:
            raise ValueError(f"it ends at byte {span.length:,}, within a member of {size:,} bytes")
        at = start + -(-size // _BLOCK) * _BLOCK
        if kind in (_LONG_NAME, _PAX):
            if size > _MAX_HEADER_BYTES:
                raise ValueError(f"a name of {size:,} bytes")
            content = span.pread(size, start)
            long_name, extra = (content.split(b"\0")[0], extra) if kind == _LONG_NAME else (long_name, _pax(content))
        elif kind not in (_LONG_LINK, _PAX_GLOBAL):
            name = decode_raw(extra.get(b"path") or long_name or _name(head)).replace("\\", "/")
            yield _entry(name, kind, size, start, head)
            long_name, extra = b"", {}


def _entry(name: str, kind: bytes, size: int, start: int, head: bytes) -> tuple[str, Entry]:
    name = name.removeprefix("./")
    if kind == _FOLDER or name.endswith("/"):
        return name.rstrip("/") + "/", Entry(0, 0, start)
    # The time of change is all a tar says about content.
    refusal = "" if kind in _ORDINARY else "is a link or a device, not a file; left out."
    return name, Entry(size, _number(head[136:148]), start, refusal)


class TarArchive(Archive):
    """One open tar."""

    def __init__(self, span: Span, path: str) -> None:
        try:
            super().__init__(span, path, _entries(span))
        except (ValueError, OSError) as error:
            # A part that is missing at the end of the download looks exactly like this.
            raise DataError(f"{path}: not a whole tar archive ({error}). The download stopped early or is damaged; fetch it again.") from error

    def _content(self, path: str, entry: Entry, limit: int) -> bytes:
        if entry.size > limit:
            raise DataError(f"{path}: says it has {entry.size:,} bytes; the limit is {limit:,}. Is it a picture?")
        try:
            content = self.span.pread(entry.size, entry.place)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error}).") from error
        if len(content) != entry.size:
            raise DataError(f"{path}: the archive ends within it. Fetch the archive again.")
        return content

    def _span(self, path: str, entry: Entry) -> Span:
        return self.span.part(entry.place, entry.size)
