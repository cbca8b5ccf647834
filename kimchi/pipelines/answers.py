"""What models have written, kept by what it depends on: nothing is asked twice, and a change redoes exactly what depends on it."""

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kimchi.errors import OutputError
from kimchi.records import MadeBy


def key_of(made_by: MadeBy, identity: str, *depends: Any) -> str:
    """Address of an answer: a hash over the part, its model and prompt, and everything it was given.

    Args:
        depends: JSON values; a version of kimchi or a recipe's name is not among them, since it changes no answer.
    """
    what = [made_by.part, made_by.model, made_by.model_hash, made_by.prompt_hash, identity, *depends]
    return hashlib.sha256(json.dumps(what, ensure_ascii=False, default=dataclasses.asdict).encode()).hexdigest()[:32]


class Answers:
    """A table of answers on disk. Each is there for good once put() has returned, whatever becomes of the process.

    Raises:
        OutputError: from any of its calls: the place cannot be written, is full, holds something else, or another run has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            # A lost power supply may cost the last answers, a killed process none.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, en TEXT NOT NULL) WITHOUT ROWID")

    def get(self, key: str) -> tuple[str, str] | None:
        """Text and English meaning of an answer, or None when nobody has written it yet."""
        with self._told():
            return self._connection.execute("SELECT text, en FROM answers WHERE key = ?", (key,)).fetchone()

    def put(self, key: str, text: str, en: str = "") -> None:
        """Keep an answer; the first one of a key stays."""
        with self._told():
            self._connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, text, en))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"{self.path}: the answers of the models cannot be kept there ({error}). Make the folder writable and free some space; "
                "if the file is damaged, delete it, and they are asked again."
            ) from error
