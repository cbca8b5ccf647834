"""API keys: a file of hashes, read again whenever it changes, and keys from the environment.

A key is 256 bits from the system's generator. Of such a key plain SHA-256 is as good as a slow hash: there is no dictionary to try, and a
slow one would hand everybody who sends wrong keys a lever on this machine's processor.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kimchi.data.files import write_json
from kimchi.errors import ServeError

PREFIX = "kimchi-"
"""What every key begins with, so that a scanner of repositories knows one when it sees it."""
_LONGEST = 512
"""Of what a client sends as a key, characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key, as it is stored: nobody can use what is here."""

    name: str
    """Whose it is."""
    sha256: str
    """64 hex digits."""
    created: str = ""
    """Day, ISO 8601."""
    rate_per_minute: int | None = None
    """Pictures a minute; None for the server's own limit."""


def digest(key: str) -> str:
    """The SHA-256 of a key, 64 hex digits."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """The keys of a file; none where there is no file.

    Raises:
        ServeError: it cannot be read, or is no file of keys.
    """
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        return [Key(**one) for one in held["keys"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServeError(f"{path}: cannot be read as a file of keys ({type(error).__name__}). Restore it, or remove it and add the keys again.") from error


def _write(path: Path, keys: Iterable[Key]) -> None:
    write_json(path, {"keys": [asdict(key) for key in keys]})
    path.chmod(0o600)


def add_key(path: Path, name: str, rate_per_minute: int | None = None) -> str:
    """Make a key and store its hash. The key itself is returned, and is nowhere else.

    Raises:
        ServeError: the name is taken or empty, or the file cannot be read. OutputError: it cannot be written.
    """
    keys = read_keys(path)
    if not name.strip() or len(name) > 100 or any(not c.isprintable() for c in name):
        raise ServeError(f"name {name[:100]!r}: must be 1 to 100 printable characters. Say whose key it is.")
    if any(key.name == name for key in keys):
        raise ServeError(f"{name!r}: has a key already. Revoke it first, or choose another name.")
    made = PREFIX + secrets.token_urlsafe(32)
    _write(path, [*keys, Key(name=name, sha256=digest(made), created=datetime.now(UTC).date().isoformat(), rate_per_minute=rate_per_minute)])
    return made


def revoke_key(path: Path, name: str) -> None:
    """Take a key away; a running server refuses it from the next request on.

    Raises:
        ServeError: nobody of that name has one.
    """
    keys = read_keys(path)
    left = [key for key in keys if key.name != name]
    if len(left) == len(keys):
        raise ServeError(f"{name!r}: has no key. There are: {', '.join(key.name for key in keys) or 'none'}.")
    _write(path, left)


class Keys:
    """The keys of a running server."""

    def __init__(self, file: Path | None = None, plain: Iterable[str] = ()) -> None:
        """Read them.

        Args:
            file: of hashed keys; it may come, change and go while the server runs.
            plain: KEY or NAME=KEY each; only their hashes are kept.

        Raises:
            ServeError: the file is there and cannot be read.
        """
        self._file = file
        self._given = [_from_text(number, text) for number, text in enumerate(plain, start=1)]
        self._seen: object = None
        self._stored: list[Key] = []
        # Once keys were asked for, a file that vanishes or is emptied must shut the door, not open it.
        self._asked = bool(self._given)
        self._refresh(strict=True)

    @property
    def required(self) -> bool:
        """Whether a key is asked for."""
        self._refresh()
        return self._asked

    def find(self, presented: str) -> Key | None:
        """Whose key it is. Every stored hash is compared, in constant time, whether or not one has matched."""
        self._refresh()
        sought, found = digest(presented[: _LONGEST + 1]), None
        for key in (*self._given, *self._stored):
            if hmac.compare_digest(key.sha256.encode(), sought.encode()):
                found = key
        return found if len(presented) <= _LONGEST else None

    def _refresh(self, *, strict: bool = False) -> None:
        mark = _mark(self._file)
        if mark == self._seen and not strict:
            return
        self._seen = mark
        self._asked = self._asked or mark is not None
        try:
            self._stored = read_keys(self._file) if self._file is not None else []
        except ServeError:
            # Half edited: the keys that held so far go on holding until the file can be read again.
            if strict:
                raise


def _from_text(number: int, text: str) -> Key:
    name, equals, key = text.partition("=")
    return Key(name=name, sha256=digest(key)) if equals and key and not name.startswith(PREFIX) else Key(name=f"environment-{number}", sha256=digest(text))


def _mark(file: Path | None) -> object:
    """What changes when a file does: os.replace gives a new inode even within one tick of the clock."""
    if file is None:
        return None
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
