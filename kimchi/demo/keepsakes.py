"""Pictures to take home: each under a name that cannot be guessed, for a while, labelled as made by AI before it leaves."""

import io
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

import segno


class Keepsake(NamedTuple):
    """One picture, ready to leave."""

    png: bytes
    """Labelled visibly and in its metadata."""
    until: float
    """When it is forgotten, seconds of the store's clock."""


class Keepsakes:
    """A bounded store in memory; the oldest makes room."""

    def __init__(self, most: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty.

        Args:
            most: pictures kept.
            keep_s: how long each is kept, seconds.
        """
        self._most, self._keep_s, self._clock = most, keep_s, clock
        self._held: OrderedDict[str, Keepsake] = OrderedDict()
        self._lock = Lock()

    def add(self, png: bytes) -> str:
        """Keep a picture; its name comes back: 128 bits by lot."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._held[name] = Keepsake(png, self._clock() + self._keep_s)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        """The PNG; None when the name is unknown or its time is over."""
        with self._lock:
            found = self._held.get(name)
            if found is not None and found.until < self._clock():
                del self._held[name]
                return None
            return found and found.png

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._held.clear()


def qr_svg(url: str) -> str:
    """A QR code as SVG, dark on light with its quiet zone, whatever the hall: cameras want it so."""
    buffer = io.BytesIO()
    segno.make(url, error="m", micro=False).save(buffer, kind="svg", xmldecl=False, svgns=True, omitsize=True, dark="#16140f", light="#ffffff", border=4)
    return buffer.getvalue().decode()
