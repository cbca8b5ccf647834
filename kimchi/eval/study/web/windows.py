"""Which of a rater's windows may answer: the first that asked, while it is alive."""

import time

_ALIVE_S = 20.0
"""A window says that it is alive each 8 s; after this silence another may answer."""


class Windows:
    """Place of a rater => the window that answers there. It is a courtesy to the rater: answers are safe without it, by their revisions."""

    def __init__(self) -> None:
        """No window is open."""
        self._held: dict[int, tuple[str, float]] = {}

    def ask(self, slot: int, window: str, *, take: bool = False) -> bool:
        """Whether this window may answer; `take` puts it in the place of another."""
        now = time.monotonic()
        holder, until = self._held.get(slot, ("", 0.0))
        if holder not in ("", window) and until > now and not take:
            return False
        self._held[slot] = (window, now + _ALIVE_S)
        return True

    def leave(self, slot: int, window: str) -> None:
        """The window was closed."""
        if self._held.get(slot, ("", 0.0))[0] == window:
            del self._held[slot]

    def forget(self, slot: int) -> None:
        """The rater goes on elsewhere."""
        self._held.pop(slot, None)
