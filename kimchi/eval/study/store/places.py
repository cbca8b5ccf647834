"""Places and the raters on them: claimed, resumed, consented to, finished, withdrawn."""

import json
import secrets
from typing import Any

from sqlalchemy import Connection, Row, case, insert, or_, select, update

from ..codes import hash_code, new_code, tidy
from . import chain, guard
from .records import MAX_DETAIL, Erased, Expired, Refused, Session, Why
from .refills import refill
from .tables import comment, event, invite, rating, session, slot, trial

DEVICES = ("", "phone", "tablet", "laptop", "kiosk")
"""All that is kept of a device."""
_FIRST = case({"main": 0, "refill": 1}, value=slot.c.kind, else_=2)


def claim(connection: Connection, *, now: int, invited_by: str | None, language: str) -> Session:
    """Take the next free place: first those of the target, then refills, then spare ones. Places that stood still are passed on first."""
    own = guard.locked(connection)
    invitation = _invitation(connection, invited_by, own) if own.by_invitation else None
    if own.abandoned_ms is not None:
        expire(connection, now=now, after_ms=own.abandoned_ms)
    free = select(slot).where(slot.c.state == "free").order_by(_FIRST, slot.c.ordinal).limit(1)
    place = connection.execute(free).first()
    if place is None and refill(connection):
        place = connection.execute(free).first()
    if place is None:
        raise Refused(Why.FULL, "every place is taken. Wait for one that is passed on, or make a study with more raters")
    code = tidy(new_code()) or ""
    connection.execute(update(slot).where(slot.c.id == place.id).values(state="claimed", claimed_at=now, code_hash=hash_code(code, own.salt)))
    if invitation is not None:
        connection.execute(update(invite).where(invite.c.code_hash == invitation).values(slot_id=place.id))
    return _opened(connection, place.id, {"started_at": now, "language": language}, code)


def resume(connection: Connection, *, code: str, now: int) -> Session:
    """Go on at the place of a personal code, in a new session; those before end, so that two windows do not answer at once."""
    place = guard.slot_by_code(connection, code)
    if place.state in ("withdrawn", "expired"):
        guard.refuse_state(place)
    rows = connection.execute(select(session).where(session.c.slot_id == place.id).order_by(session.c.started_at, session.c.id)).all()
    given = next((row for row in rows if row.consent_at is not None), rows[0])
    connection.execute(update(session).where(session.c.slot_id == place.id, session.c.ended_at.is_(None)).values(ended_at=now))
    keep = ("consent_at", "consent_hash", "release_consent", "device_class", "language")
    opened = _opened(connection, place.id, {"started_at": now, **{name: getattr(given, name) for name in keep}})
    note(connection, session_id=opened.id, slot_id=place.id, kind="resume", now=now)
    return opened


def _invitation(connection: Connection, code: str | None, own: Row[Any]) -> str:
    found = connection.execute(select(invite).where(invite.c.code_hash == hash_code(code or "", own.salt))).first() if code and tidy(code) else None
    if found is None:
        raise Refused(Why.UNKNOWN_CODE, "no invitation of this study has this code. Check its twenty digits")
    if found.slot_id is not None or found.revoked_at is not None:
        raise Refused(Why.SPENT_INVITE, "the invitation has been used or called back. Go on by the personal code, or ask for another invitation")
    return found.code_hash


def _opened(connection: Connection, slot_id: int, values: dict[str, Any], code: str = "") -> Session:
    blank = {"consent_hash": "", "release_consent": 0, "device_class": "", "language": ""}
    session_id = secrets.token_hex(16)
    connection.execute(insert(session).values(id=session_id, slot_id=slot_id, **{**blank, **values}))
    return find(connection, session_id, code)


def find(connection: Connection, session_id: str, code: str = "") -> Session:
    """A session by its id.

    Raises:
        Refused: none has it.
    """
    row = connection.execute(select(session).where(session.c.id == session_id)).first()
    if row is None:
        raise Refused(Why.NO_SESSION, "no such session. Resume by the personal code, or claim a place")
    return guard.as_session(row, connection.execute(select(slot).where(slot.c.id == row.slot_id)).one(), code)


def consent(connection: Connection, *, session_id: str, version_hash: str, device_class: str, release: bool, language: str, now: int) -> Session:
    """Note that a rater has agreed to the text of that hash."""
    place = guard.open_slot(connection, session_id)
    if device_class not in DEVICES:
        raise Refused(Why.VALUE, f"device class {device_class[:20]!r}: one of {', '.join(DEVICES[1:])}. Nothing finer is kept")
    values = {"consent_at": now, "consent_hash": version_hash, "device_class": device_class, "release_consent": int(release), "language": language}
    connection.execute(update(session).where(session.c.id == session_id, session.c.consent_at.is_(None)).values(values))
    note(connection, session_id=session_id, slot_id=place.id, kind="consent", now=now, detail={"text": version_hash, "release": release})
    return find(connection, session_id)


def finish(connection: Connection, *, session_id: str, now: int) -> None:
    """The rater is done; once more changes nothing."""
    place = guard.open_slot(connection, session_id, after_end=True)
    guard.consented(connection, place.id)
    if place.state == "done":
        return
    connection.execute(update(slot).where(slot.c.id == place.id).values(state="done", ended_at=now))
    connection.execute(update(session).where(session.c.slot_id == place.id, session.c.ended_at.is_(None)).values(ended_at=now))
    note(connection, session_id=session_id, slot_id=place.id, kind="finish", now=now)


def note(connection: Connection, *, session_id: str | None, slot_id: int | None, kind: str, now: int, detail: dict[str, Any] | None = None) -> None:
    """Append an event."""
    text = json.dumps(detail or {}, ensure_ascii=False, sort_keys=True)
    if len(text) > MAX_DETAIL or len(kind) > 40:
        raise Refused(Why.TOO_LONG, f"event of {len(text):,} characters: at most {MAX_DETAIL:,} are kept. Send less")
    chain.append(connection, "event", {"session_id": session_id, "slot_id": slot_id, "kind": kind, "detail": text, "created_at": now})


def withdraw(connection: Connection, *, code: str, now: int) -> Erased:
    """Erase a rater: every answer, comment and detail with its salt. The chain keeps their links, which verify and tell nothing."""
    place = guard.slot_by_code(connection, code)
    if place.state == "withdrawn":
        return Erased(ordinal=place.ordinal, ratings=0, comments=0)
    note(connection, session_id=None, slot_id=place.id, kind="withdraw", now=now)
    connection.execute(update(slot).where(slot.c.id == place.id).values(state="withdrawn", ended_at=now))
    own = select(trial.c.id).where(trial.c.slot_id == place.id)
    ratings = connection.execute(update(rating).where(rating.c.trial_id.in_(own)).values(value=None, salt=None, rt_ms=None, shown_ms=None))
    comments = connection.execute(update(comment).where(comment.c.trial_id.in_(own)).values(text=None, salt=None))
    connection.execute(update(event).where(event.c.slot_id == place.id, event.c.kind != "withdraw").values(detail=None, salt=None))
    blank = {"device_class": "", "language": "", "ended_at": now}
    connection.execute(update(session).where(session.c.slot_id == place.id).values(blank))
    return Erased(ordinal=place.ordinal, ratings=ratings.rowcount, comments=comments.rowcount)


def _stale(connection: Connection, before: int) -> list[int]:
    """Claimed places without a tap or a session since `before`."""
    seen = select(trial.c.slot_id).join(rating, rating.c.trial_id == trial.c.id).where(rating.c.created_at >= before)
    came = select(session.c.slot_id).where(or_(session.c.started_at >= before, session.c.consent_at >= before))
    found = select(slot.c.id).where(slot.c.state == "claimed", slot.c.claimed_at < before, slot.c.id.not_in(seen), slot.c.id.not_in(came))
    return [int(one) for one in connection.execute(found.order_by(slot.c.ordinal)).scalars()]


def expire(connection: Connection, *, now: int, after_ms: int) -> Expired:
    """Close places that stood still; what their raters finished is kept, the rest is passed on."""
    gone = _stale(connection, now - after_ms)
    for slot_id in gone:
        connection.execute(update(slot).where(slot.c.id == slot_id).values(state="expired", ended_at=now))
        connection.execute(update(session).where(session.c.slot_id == slot_id, session.c.ended_at.is_(None)).values(ended_at=now))
        note(connection, session_id=None, slot_id=slot_id, kind="expire", now=now)
    return Expired(slots=len(gone), refills=refill(connection))
