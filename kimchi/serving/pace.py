"""How many pictures a minute each caller may ask for: a bucket that fills evenly and holds one minute's worth."""

import time
from collections import OrderedDict
from collections.abc import Callable

_KEPT = 10_000
"""Callers remembered: more, and inventing addresses would fill the memory. Who was forgotten starts with a full bucket."""


class Pace:
    """The buckets of all callers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """All are full.

        Args:
            clock: seconds.
        """
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, pictures: int, rate_per_minute: int) -> float:
        """Take pictures out of a caller's bucket.

        Returns:
            Seconds to wait before asking again, nothing being taken; 0 when they were taken.
        """
        if rate_per_minute <= 0:
            return 0.0
        now, per_second = self._clock(), rate_per_minute / 60
        held, since = self._buckets.pop(caller, (float(rate_per_minute), now))
        held = min(float(rate_per_minute), held + (now - since) * per_second)
        # A request of more than a minute's worth goes when the bucket is full, or it would never go.
        need = min(pictures, rate_per_minute)
        wait = 0.0 if held >= need else (need - held) / per_second
        self._buckets[caller] = (held if wait else held - pictures, now)
        while len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        return wait

    def give_back(self, caller: str, pictures: int) -> None:
        """Return what was taken for pictures that were not drawn after all."""
        if caller in self._buckets:
            held, since = self._buckets[caller]
            self._buckets[caller] = (held + pictures, since)
