"""A new database: tables, triggers, the sealed plan; and its lock."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update

from kimchi.errors import StudyError

from ..codes import grouped, hash_code, new_code, tidy
from .places import note
from .records import PromptRow, SlotRow, StimulusRow, TrialRow
from .tables import invite as invites
from .tables import metadata, prompt, slot, stimulus, study, trial, triggers

_PLANNED = {
    "prompt": (prompt, ("id", "domain", "texts", "criteria")),
    "stimulus": (stimulus, ("id", "prompt_id", "sha256", "width", "height", "padded_bytes")),
    "slot": (slot, ("id", "ordinal", "kind")),
    "trial": (trial, ("id", "slot_id", "seq", "kind", "prompt_id", "stimulus_id", "position", "repeat_of", "expected", "picture")),
}
"""What the lock seals."""


def create(connection: Connection, name: str, version: str, prompts_a_slot: int, by_invitation: bool, abandoned_ms: int | None) -> None:
    """Tables, triggers and the study's own row."""
    metadata.create_all(connection)
    for statement in triggers():
        connection.exec_driver_sql(statement)
    values = {"id": 1, "name": name, "protocol_hash": "", "app_version": version, "prompts_a_slot": prompts_a_slot, "by_invitation": int(by_invitation)}
    connection.execute(insert(study).values(**values, abandoned_ms=abandoned_ms, salt=secrets.token_bytes(16)))


def insert_plan(connection: Connection, prompts: list[PromptRow], stimuli: list[StimulusRow], slots: Sequence[SlotRow]) -> None:
    """Prompts, pictures, places and screens."""
    texts = [{"id": p.id, "domain": p.domain, "texts": _json(dict(p.texts)), "criteria": _json(p.criteria)} for p in prompts]
    connection.execute(insert(prompt), texts)
    connection.execute(insert(stimulus), [asdict(one) for one in stimuli])
    connection.execute(insert(slot), [{"id": one.ordinal + 1, "ordinal": one.ordinal, "kind": one.kind, "state": "free"} for one in slots])
    first = 1
    for one in slots:
        connection.execute(insert(trial), [_trial(row, first, one.ordinal + 1) for row in one.trials])
        first += len(one.trials)


def _trial(row: TrialRow, first: int, slot_id: int) -> dict[str, object]:
    repeated = None if row.repeat_of is None else first + row.repeat_of
    return {**asdict(row), "id": first + row.seq, "slot_id": slot_id, "repeat_of": repeated, "passed_on": 0}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def lock(connection: Connection, protocol_hash: str, now: int) -> None:
    """Begin to collect."""
    if connection.execute(select(study.c.locked_at)).scalar_one() is not None:
        raise StudyError("The study is locked already, and a lock is never renewed. Make a new study for another protocol: kimchi study new.")
    connection.execute(update(study).values(protocol_hash=protocol_hash, locked_at=now))
    note(connection, session_id=None, slot_id=None, kind="lock", now=now, detail={"protocol": protocol_hash})


def protocol_hash(connection: Connection) -> str | None:
    """What it was locked with."""
    return connection.execute(select(study.c.protocol_hash)).scalar_one() or None


def plan_hash(connection: Connection) -> str:
    """SHA-256 over the rows that the lock seals."""
    total = hashlib.sha256()
    sealed = select(slot.c.id).where(slot.c.kind != "refill")
    for name, (table, columns) in _PLANNED.items():
        query = select(*(table.c[column] for column in columns)).order_by(table.c.id)
        if name in ("slot", "trial"):
            query = query.where((table.c.id if name == "slot" else table.c.slot_id).in_(sealed))
        for row in connection.execute(query).yield_per(1000):
            total.update(_json([name, *row]).encode() + b"\n")
    return total.hexdigest()


def stimuli(connection: Connection) -> list[StimulusRow]:
    """Every picture, by its id."""
    return [StimulusRow(**row) for row in connection.execute(select(stimulus).order_by(stimulus.c.id)).mappings()]


def invite(connection: Connection, count: int, now: int) -> list[str]:
    """Make invitations; only hashes are kept."""
    salt = connection.execute(select(study.c.salt)).scalar_one()
    codes = [tidy(new_code()) or "" for _ in range(count)]
    if codes:
        connection.execute(insert(invites), [{"code_hash": hash_code(code, salt), "slot_id": None, "created_at": now, "revoked_at": None} for code in codes])
    return [grouped(code) for code in codes]
