"""Codes that people type: each try takes the same time whatever comes of it, and each code has few tries a minute.

Limits hold per code, never per address: a class room behind one router would lock itself out. Codes nobody has tried
before cannot be slowed that way; 63 random bits and the time a try takes are what stands against guessing.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_TRIES, _WITHIN_S = 5, 60.0
_KEPT = 10_000
"""Codes remembered: more, and inventing codes would fill the memory."""
TRY_S = 0.4
"""How long every try takes, seconds."""


class TooMany(Exception):
    """A code was tried too often."""


class Attempts:
    """The tries of the last minute."""

    def __init__(self) -> None:
        """Nobody has tried anything."""
        self._tries: OrderedDict[bytes, list[float]] = OrderedDict()

    @asynccontextmanager
    async def one(self, code: str) -> AsyncGenerator[None]:
        """A try with a code; it ends TRY_S after its begin, however it ends.

        Raises:
            TooMany: the code has had its tries for this minute.
        """
        began = time.monotonic()
        try:
            self._count(code, began)
            yield
        finally:
            # Longer than any answer takes: a right, a spent and an invented code cannot be told apart by the clock.
            await asyncio.sleep(max(0.0, began + TRY_S - time.monotonic()))

    def _count(self, code: str, now: float) -> None:
        key = hashlib.sha256(code.encode("utf-8", "replace")).digest()
        recent = [at for at in self._tries.pop(key, ()) if at > now - _WITHIN_S]
        self._tries[key] = [*recent, now][-_TRIES:]
        while len(self._tries) > _KEPT:
            self._tries.popitem(last=False)
        if len(recent) >= _TRIES:
            raise TooMany


class Pace:
    """How fast one rater may send: far above any finger and any queue that is emptied, far below what fills a disk."""

    def __init__(self, most: int = 600, within_s: float = 10.0) -> None:
        """At most `most` writes a rater in `within_s` seconds."""
        self._most, self._within_s = most, within_s
        self._sent: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allows(self, seat: str) -> bool:
        """Whether the rater may send one more now."""
        now = time.monotonic()
        began, sent = self._sent.pop(seat, (now, 0))
        if now - began > self._within_s:
            began, sent = now, 0
        self._sent[seat] = (began, sent + 1)
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)
        return sent < self._most
