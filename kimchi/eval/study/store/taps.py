"""Answers and comments: one idempotent write each."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from . import chain, guard
from .records import MAX_COMMENT, MAX_REVISIONS, Receipt, Refused, Why
from .tables import comment, link, prompt, rating, trial

_UUID = re.compile(r"[0-9A-Za-z-]{16,64}")
_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """An answer on its way in."""

    trial: int
    criterion: str
    value: int
    client_uuid: str
    rt_ms: int | None
    shown_ms: int | None
    rev: int | None


def rate(connection: Connection, session_id: str, tap: Tap, now: int) -> Receipt:
    """Store a tap once, however often it arrives."""
    _check(tap)
    known = connection.execute(select(rating).where(rating.c.client_uuid == tap.client_uuid)).first()
    # A tap that is stored already is acknowledged even when its place has since been closed: its rater must stop sending it.
    place = guard.open_slot(connection, session_id, after_end=known is not None)
    guard.consented(connection, place.id)
    _check_trial(connection, place.id, tap)
    if known is not None:
        return _again(connection, known, tap)
    highest = connection.execute(
        select(func.max(rating.c.rev)).where(rating.c.trial_id == tap.trial, rating.c.criterion == tap.criterion),
    ).scalar()
    rev = tap.rev if tap.rev is not None else (highest or 0) + 1
    times = {"rt_ms": _duration(tap.rt_ms), "shown_ms": _duration(tap.shown_ms)}
    values = {"trial_id": tap.trial, "criterion": tap.criterion, "value": tap.value, "client_uuid": tap.client_uuid, "rev": rev, "created_at": now}
    number, chained = chain.append(connection, "rating", {**values, **times})
    return Receipt(rating=number, rev=rev, hash=chained, again=False)


def _check(tap: Tap) -> None:
    if not _UUID.fullmatch(tap.client_uuid):
        raise Refused(Why.VALUE, f"client_uuid of {len(tap.client_uuid)} characters: 16 to 64 letters, digits and hyphens. Send crypto.randomUUID()")
    if type(tap.value) is not int or not 0 <= tap.value <= 5:
        raise Refused(Why.VALUE, f"value {str(tap.value)[:20]!r}: a whole number from 1 to 5, or 0 for 'cannot judge'. Send one of these")
    if tap.rev is not None and (type(tap.rev) is not int or not 1 <= tap.rev <= MAX_REVISIONS):
        raise Refused(Why.VALUE, f"rev {str(tap.rev)[:20]!r}: a whole number from 1 to {MAX_REVISIONS:,}. Send one more than the answer that stands")


def _check_trial(connection: Connection, slot_id: int, tap: Tap) -> None:
    found = connection.execute(select(trial.c.slot_id, prompt.c.criteria).join(prompt, prompt.c.id == trial.c.prompt_id).where(trial.c.id == tap.trial)).first()
    if found is None or found.slot_id != slot_id:
        raise Refused(Why.NOT_YOURS, "the screen belongs to another place. Load the page again")
    if f'"{tap.criterion}"' not in found.criteria or '"' in tap.criterion:
        raise Refused(Why.CRITERION, f"criterion {tap.criterion[:40]!r} is not asked of this picture. Load the page again")


def _again(connection: Connection, known: Row[Any], tap: Tap) -> Receipt:
    if (known.trial_id, known.criterion, known.value) != (tap.trial, tap.criterion, tap.value):
        raise Refused(Why.REUSED, "the tap's name belongs to another answer. Give every tap a name of its own")
    chained = connection.execute(select(link.c.hash).where(link.c.kind == "rating", link.c.row_id == known.id)).scalar_one()
    return Receipt(rating=known.id, rev=known.rev, hash=chained, again=True)


def _duration(ms: int | None) -> int | None:
    """A duration that can be true; a clock that jumped leaves none, and the answer is kept."""
    return ms if type(ms) is int and 0 <= ms <= _DAY_MS else None


def remark(connection: Connection, session_id: str, *, trial_id: int, text: str, client_uuid: str, now: int) -> bool:
    """Store a comment once; False where it had arrived before."""
    if len(text) > MAX_COMMENT:
        raise Refused(Why.TOO_LONG, f"comment of {len(text):,} characters: at most {MAX_COMMENT:,} are kept. Shorten it")
    if not _UUID.fullmatch(client_uuid):
        raise Refused(Why.VALUE, f"client_uuid of {len(client_uuid)} characters: 16 to 64 letters, digits and hyphens. Send crypto.randomUUID()")
    place = guard.open_slot(connection, session_id, after_end=True)
    guard.consented(connection, place.id)
    owner = connection.execute(select(trial.c.slot_id).where(trial.c.id == trial_id)).scalar()
    if owner != place.id:
        raise Refused(Why.NOT_YOURS, "the screen belongs to another place. Load the page again")
    if connection.execute(select(comment.c.id).where(comment.c.client_uuid == client_uuid)).first():
        return False
    # SQLite would take a lone surrogate and a NUL only to fail when they are read.
    clean = text.encode("utf-8", "replace").decode().replace("\0", "")
    chain.append(connection, "comment", {"trial_id": trial_id, "text": clean, "created_at": now, "client_uuid": client_uuid})
    return True
