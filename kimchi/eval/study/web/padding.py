"""A PNG => the same picture in a file whose length tells nothing."""

import secrets
import struct
import zlib

_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_EMPTY_CHUNK = 12
"""Bytes of a chunk without content: its length, name and checksum."""
_CHUNK = b"paDd"
"""Small first letter: ancillary, viewers skip it; small second: private; small last: safe to copy (PNG, 3rd edition, 5.4)."""
_MORE = 4096
"""A serving is up to this much longer than `padded_bytes`, by lot: two servings of one picture differ in length."""


def padded(png: bytes, padded_bytes: int) -> bytes:
    """The file with a chunk of random bytes before its end, so that its length is `padded_bytes` and up to 4095 more.

    The same for all pictures of a prompt, `padded_bytes` must be at least their longest and 12.
    """
    if not png.endswith(_END):
        raise ValueError("not a whole PNG file")
    room = max(0, padded_bytes - len(png) - _EMPTY_CHUNK) + secrets.randbelow(_MORE)
    content = _CHUNK + secrets.token_bytes(room)  # zeros would shrink to nothing in transit, if anybody on the way compresses
    return png[: -len(_END)] + struct.pack(">I", room) + content + struct.pack(">I", zlib.crc32(content)) + _END
