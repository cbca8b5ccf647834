"""The gallery of the day: the latest pictures, in memory, without the words that asked for them."""

from collections import OrderedDict
from threading import Lock

from PIL import Image

from .pictures import thumb


class Gallery:
    """A bounded row of pictures; the oldest makes room."""

    def __init__(self, most: int) -> None:
        """Start empty.

        Args:
            most: pictures kept.
        """
        self._most = most
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._next = 1
        self._lock = Lock()
        self.version = 0
        """Grows with every change; the page asks again when it differs."""

    def add(self, image: Image.Image) -> None:
        """Hang a picture."""
        content = thumb(image)
        with self._lock:
            self._held[self._next] = content
            self._next += 1
            self.version += 1
            while len(self._held) > self._most:
                self._held.popitem(last=False)

    def numbers(self) -> list[int]:
        """Those that hang, newest first."""
        with self._lock:
            return list(reversed(self._held))

    def get(self, number: int) -> bytes | None:
        """A picture as WebP; None when it was taken down."""
        with self._lock:
            return self._held.get(number)

    def remove(self, number: int) -> bool:
        """Take a picture down; whether it was there."""
        with self._lock:
            there = self._held.pop(number, None) is not None
            self.version += there
            return there
