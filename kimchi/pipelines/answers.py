"""What models have written, kept by what it depends on: nothing is asked twice, and a change redoes exactly what depends on it."""

import dataclasses
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from kimchi.errors import OutputError
from kimchi.records import MadeBy

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=dataclasses.asdict).encode
_KEPT = (
    "PRAGMA journal_mode = WAL",
    # A lost power supply may cost the last answers, a killed process none.
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, en TEXT NOT NULL) WITHOUT ROWID",
    # Of this run alone, in a file of its own that goes with it.
    "CREATE TEMP TABLE passed (key TEXT PRIMARY KEY) WITHOUT ROWID",
)


def key_of(made_by: MadeBy, identity: str, *depends: Any) -> str:
    """Address of an answer: a hash over the part, its model and prompt, and everything it was given.

    Args:
        depends: JSON values; a version of kimchi or a recipe's name is not among them, since it changes no answer.
    """
    what = [made_by.part, made_by.model, made_by.model_hash, made_by.prompt_hash, identity, *depends]
    return hashlib.sha256(_ENCODE(what).encode()).hexdigest()[:32]


class Answers:
    """A table of answers on disk. Each is there for good once put() has returned, whatever becomes of the process.

    Raises:
        OutputError: from any of its calls: the place cannot be written, is full, holds something else, or another run has it open.
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

    def get(self, key: str) -> tuple[str, str] | None:
        """Text and English meaning of an answer, or None when nobody has written it yet."""
        return self._run("SELECT text, en FROM answers WHERE key = ?", key).fetchone()

    def put(self, key: str, text: str, en: str = "") -> None:
        """Keep an answer; the first one of a key stays."""
        self._run("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", key, text, en)

    def passed(self, key: str) -> bool:
        """Whether note_passed() was called in this run."""
        return self._run("SELECT 1 FROM passed WHERE key = ?", key).fetchone() is not None

    def note_passed(self, key: str) -> None:
        """Remember until close() that an answer passed the checks, which take longer than writing it took."""
        self._run("INSERT OR IGNORE INTO passed VALUES (?)", key)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _run(self, statement: str, *values: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> OutputError:
        return OutputError(
            f"{self.path}: the answers of the models cannot be kept there ({error}). Make the folder writable and free some space; "
            "if the file is damaged, delete it, and they are asked again."
        )
