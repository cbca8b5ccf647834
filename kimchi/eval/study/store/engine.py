"""A database file => connections that write whole or not at all, and durably."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from kimchi.errors import OutputError, StudyError

_BUSY_MS = 20_000
"""How long a write waits for another process, milliseconds."""
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # in WAL mode only FULL syncs at each commit: what was acknowledged survives a power cut
    "foreign_keys = ON",
    "recursive_triggers = ON",  # without it INSERT OR REPLACE deletes a row and no trigger hears of it
    "secure_delete = ON",  # what a withdrawal erases is overwritten, not only forgotten
    f"busy_timeout = {_BUSY_MS}",
)


class Database:
    """One database file, for all threads of a process."""

    def __init__(self, path: Path, *, read_only: bool = False, log: bool = True) -> None:
        """Open it; nothing is read yet.

        Args:
            path: made when it is first written.
            read_only: refuses to write and to make it.
            log: keep a write-ahead log beside it, so that readers and a writer do not wait for each other.
        """
        self.path = path
        mode = "ro" if read_only else "rwc"
        address = f"sqlite:///file:{_quoted(path)}?mode={mode}&uri=true"
        # A server answers from forty threads; a pool that makes them wait would be slower than the disk.
        self.engine: Engine = create_engine(address, poolclass=QueuePool, pool_size=8, max_overflow=-1)
        pragmas = tuple(p for p in _PRAGMAS if (log and not read_only) or not p.startswith("journal_mode"))
        event.listen(self.engine, "connect", partial(_prepare, pragmas))
        event.listen(self.engine, "begin", _begin)
        # Waiting for SQLite's own lock is a poll that may sleep 100 ms; threads of one process wait here instead.
        self._turn = threading.Lock()

    def close(self) -> None:
        """Give the file back; the write-ahead log is folded into it when nobody else has it open."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A consistent view.

        Raises:
            StudyError: no such file, or no database.
        """
        with _told(self.path), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[Connection]:
        """One transaction, on the disk when the block ends well; rolled back when it does not.

        Raises:
            OutputError: the disk is full or cannot be written. Nothing of the block is stored.
        """
        with self._turn, _told(self.path), self.engine.connect().execution_options(kimchi_writes=True) as connection, connection.begin():
            yield connection

    def fold(self) -> None:
        """Fold the write-ahead log into the file, so that nothing erased lies on in it."""
        with self._turn, _told(self.path), self.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _prepare(pragmas: tuple[str, ...], raw: Any, record: Any) -> None:
    # The driver's own transactions begin late and as readers; ours begin when and as we say.
    raw.isolation_level = None
    for pragma in pragmas:
        raw.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("kimchi_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig)
        if any(word in said for word in ("append-only", "constraint")):
            raise
        if any(word in said for word in ("full", "I/O", "locked", "readonly", "read-only")):
            raise OutputError(f"{path}: nothing was stored ({said}). Make room on the disk, or end what holds the file, and send it again.") from error
        if any(word in said for word in ("unable to open", "no such table", "not a database", "malformed")):
            raise StudyError(f"{path}: cannot be read as a study's database ({said}). Name the folder that `kimchi study new` made.") from error
        raise
