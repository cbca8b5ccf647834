"""Who may open the staff page: a PIN, compared in constant time, with a growing pause after wrong tries."""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

_TRIES = 5
"""Wrong PINs before the door stays shut for a while. A PIN of six digits then lasts for years."""
_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 900.0
_SESSION_S = 12 * 60 * 60
"""A shift: after it the PIN is asked again."""
_SESSIONS = 16


def new_pin() -> str:
    """Six digits by lot."""
    return f"{secrets.randbelow(10**6):06}"


class Door:
    """The lock of the staff page. One for all who try: a crowd with many phones gets no more tries than one."""

    def __init__(self, pin: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Hang the door.

        Args:
            pin: opens it; empty: nothing does.
        """
        self._pin, self._clock = pin, clock
        self._wrong, self._shut_until = 0, 0.0
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    @property
    def there(self) -> bool:
        """Whether there is a staff page at all."""
        return bool(self._pin)

    def pause_s(self) -> float:
        """Seconds until the next try is heard; 0: now."""
        return max(0.0, self._shut_until - self._clock())

    def enter(self, pin: str) -> str:
        """Try a PIN; the session's secret comes back, or "" when it is wrong or the door is shut."""
        with self._lock:
            if not self._pin or self.pause_s():
                return ""
            if not hmac.compare_digest(pin.encode(), self._pin.encode()):
                self._wrong += 1
                if self._wrong >= _TRIES:
                    self._shut_until = self._clock() + min(_PAUSE_S * 2 ** (self._wrong - _TRIES), _LONGEST_PAUSE_S)
                return ""
            self._wrong = 0
            session = secrets.token_urlsafe(24)
            self._sessions[session] = self._clock() + _SESSION_S
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
            return session

    def knows(self, session: str) -> bool:
        """Whether a session is open."""
        with self._lock:
            until = self._sessions.get(session)
            return until is not None and until > self._clock()

    def leave(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session, None)


def temperatures(root: Path = Path("/sys/class/thermal")) -> dict[str, float]:
    """Degrees Celsius by sensor, where the machine tells them; empty where it does not."""
    found: dict[str, float] = {}
    for zone in sorted(root.glob("thermal_zone*")):
        try:
            degrees = int((zone / "temp").read_text()) / 1000
            name = (zone / "type").read_text().strip()
        except (OSError, ValueError):
            continue
        # A sensor that is not wired reads 0 or nonsense.
        if 0 < degrees < 150:
            found[name] = round(degrees, 1)
    return found
