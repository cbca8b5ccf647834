"""What metrics have measured, kept by what it depends on: a picture's content, the model, the question. Nothing is measured twice."""

import hashlib
import json
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kimchi.errors import OutputError

_KEPT = (
    "PRAGMA journal_mode = WAL",
    # A lost power supply may cost the last answers, a killed process none.
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)


def key_of(*depends: Any) -> str:
    """Address of an answer: a hash over JSON values. Names of conditions and places are never among them: they change no answer."""
    return hashlib.sha256(json.dumps(depends, ensure_ascii=False).encode()).hexdigest()[:32]


class Answers:
    """A table of JSON values on disk. Each is there for good once put() has returned, whatever becomes of the process.

    Raises:
        OutputError: from any of its calls: the place cannot be written, is full, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            for statement in _KEPT:
                self._connection.execute(statement)
        except (sqlite3.Error, OSError) as error:
            raise self._told(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def get(self, key: str) -> Any:
        """The value, or None when nobody has measured it yet."""
        found = self._run("SELECT value FROM answers WHERE key = ?", key).fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, key: str, value: Any) -> None:
        """Keep a value that is not None; the first one of a key stays."""
        self._run("INSERT OR IGNORE INTO answers VALUES (?, ?)", key, json.dumps(value, ensure_ascii=False))

    def _run(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> OutputError:
        return OutputError(
            f"{self.path}: what was measured cannot be kept there ({error}). Make the folder writable and free some space; "
            "if the file is damaged, delete it, and everything is measured again."
        )
