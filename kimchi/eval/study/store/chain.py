"""The hash chain: each link binds a salted commitment to what was collected to the link before.

commitment = SHA-256(salt, canonical JSON of the row); hash = SHA-256(hash before, kind, row's number, commitment). Hashes of the answers
themselves could be guessed, there being six of them; a salt of 128 bits that is destroyed with the answer leaves a link that verifies
and tells nothing.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Table, insert, select

from .records import ChainReport
from .tables import comment, event, link, rating, slot, trial

START = hashlib.sha256(b"kimchi study").hexdigest()
"""What the first link stands on."""
_TABLES: dict[str, Table] = {"rating": rating, "comment": comment, "event": event}
_NAMED = 5
"""How many faults a report names."""


def append(connection: Connection, kind: str, values: Mapping[str, Any]) -> tuple[int, str]:
    """Insert a row into rating, comment or event, with its link; its number and the link's hash come back."""
    row = {**values, "salt": secrets.token_bytes(16)}
    row["id"] = number_of(connection.execute(insert(_TABLES[kind]).values(row)))
    last = connection.execute(select(link.c.seq, link.c.hash).order_by(link.c.seq.desc()).limit(1)).first()
    commitment = _commitment(kind, row)
    chained = _chained(last.hash if last else START, kind, row["id"], commitment)
    connection.execute(
        insert(link).values(seq=last.seq + 1 if last else 1, kind=kind, row_id=row["id"], commitment=commitment, hash=chained),
    )
    return row["id"], chained


def number_of(inserted: CursorResult[Any]) -> int:
    """The number that an inserted row was given."""
    key = inserted.inserted_primary_key
    assert key is not None
    return int(key[0])


def head(connection: Connection) -> str:
    """Hash of the last link."""
    return connection.execute(select(link.c.hash).order_by(link.c.seq.desc()).limit(1)).scalar() or START


def verify(connection: Connection) -> ChainReport:
    """Walk the whole chain."""
    faults, links, erased, before = list[str](), 0, 0, START
    withdrawn = _withdrawn(connection)
    for seq, kind, row_id, commitment, chained, row in _rows(connection):
        links += 1
        if seq != links:
            faults.append(f"link {links} is missing")
            links = seq
        if chained != _chained(before, kind, row_id, commitment):
            faults.append(f"link {seq} does not follow the one before")
        if row is None:
            faults.append(f"{kind} {row_id} is gone")
        elif row["salt"] is None:
            erased += 1
            if _slot_of(kind, row, withdrawn[1]) not in withdrawn[0]:
                faults.append(f"{kind} {row_id} was erased, and its rater has not withdrawn")
        elif commitment != _commitment(kind, row):
            faults.append(f"{kind} {row_id} was changed")
        before = chained
    faults += _loose(connection)
    more = (f"and {len(faults) - _NAMED} more",) if len(faults) > _NAMED else ()
    return ChainReport(links=links, erased=erased, head=before, broken=(*faults[:_NAMED], *more))


def _commitment(kind: str, row: Mapping[str, Any]) -> str:
    content = {column.name: row[column.name] for column in _TABLES[kind].columns if column.name != "salt"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(row["salt"] + kind.encode() + b"\0" + text.encode()).hexdigest()


def _chained(before: str, kind: str, row_id: int, commitment: str) -> str:
    return hashlib.sha256(f"{before}\n{kind}\n{row_id}\n{commitment}".encode()).hexdigest()


_Link = tuple[int, str, int, str, str, "Mapping[str, Any] | None"]


def _rows(connection: Connection) -> Iterator[_Link]:
    """The links in order, each with its row. The rows of each table come in the order of their numbers, as they were written."""
    readers = {kind: _Reader(connection, table) for kind, table in _TABLES.items()}
    for one in connection.execute(select(link).order_by(link.c.seq)).yield_per(1000):
        yield one.seq, one.kind, one.row_id, one.commitment, one.hash, readers[one.kind].find(one.row_id)


class _Reader:
    """Rows of one table by rising number, read once."""

    def __init__(self, connection: Connection, table: Table) -> None:
        found: Any = connection.execute(select(table).order_by(table.c.id)).yield_per(1000).mappings()
        self._rows: Iterator[Mapping[str, Any]] = iter(found)
        self._next = next(self._rows, None)

    def find(self, row_id: int) -> Mapping[str, Any] | None:
        while self._next is not None and self._next["id"] < row_id:
            self._next = next(self._rows, None)
        return self._next if self._next is not None and self._next["id"] == row_id else None


def _withdrawn(connection: Connection) -> tuple[set[int], dict[int, int]]:
    """The withdrawn slots, and the slot of each of their trials. A withdrawal is proved by its event, which is itself in the chain."""
    told = {int(row) for row in connection.execute(select(event.c.slot_id).where(event.c.kind == "withdraw")).scalars() if row is not None}
    held = {int(row) for row in connection.execute(select(slot.c.id).where(slot.c.state == "withdrawn")).scalars()}
    gone = told & held
    trials = connection.execute(select(trial.c.id, trial.c.slot_id).where(trial.c.slot_id.in_(gone)))
    return gone, {row.id: row.slot_id for row in trials}


def _slot_of(kind: str, row: Mapping[str, Any], slots: Mapping[int, int]) -> int | None:
    return row["slot_id"] if kind == "event" else slots.get(row["trial_id"])


def _loose(connection: Connection) -> list[str]:
    """Rows that no link knows."""
    faults = list[str]()
    for kind, table in _TABLES.items():
        known = select(link.c.row_id).where(link.c.kind == kind)
        faults += [f"{kind} {row} stands outside the chain" for row in connection.execute(select(table.c.id).where(table.c.id.not_in(known))).scalars()]
    return faults
