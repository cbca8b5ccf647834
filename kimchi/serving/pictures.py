"""Pictures that are given as addresses: kept in memory for a while, under names that cannot be guessed.

In memory, since a full disk then stops nothing; and so each server knows only its own. Behind a balancer ask for b64_json.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class Pictures:
    """Bounded in bytes and in time; the oldest go first."""

    def __init__(self, most_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Empty.

        Args:
            most_bytes: of all together.
            seconds: how long each is kept.
            clock: seconds.
        """
        self._most, self._seconds, self._clock = most_bytes, seconds, clock
        self._held: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of all that are kept."""
        return self._bytes

    def add(self, png: bytes) -> str:
        """Keep a picture; its name comes back, 128 random bits."""
        name = secrets.token_hex(16)
        with self._lock:
            self._held[name] = (self._clock() + self._seconds, png)
            self._bytes += len(png)
            self._tidy()
        return name

    def get(self, name: str) -> bytes | None:
        """The picture of a name; None when it is gone or never was."""
        with self._lock:
            self._tidy()
            found = self._held.get(name)
        return found[1] if found else None

    def _tidy(self) -> None:
        now = self._clock()
        while self._held:
            until, png = next(iter(self._held.values()))
            if until > now and self._bytes <= self._most:
                return
            self._held.popitem(last=False)
            self._bytes -= len(png)
