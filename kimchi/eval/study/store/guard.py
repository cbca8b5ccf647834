"""Who may write what: the checks that every request of a rater passes."""

from typing import Any

from sqlalchemy import Connection, Row, select

from ..codes import hash_code, tidy
from .records import Refused, Session, Why
from .tables import session, slot, study

_STATES = {
    "withdrawn": (Why.WITHDRAWN, "the rater has withdrawn, and everything was erased. Nothing more is stored"),
    "expired": (Why.EXPIRED, "the place stood still for too long and was passed on. What was finished is kept; claim a new place to go on"),
    "done": (Why.DONE, "the rater has finished, and answers no longer change. Nothing is to be done"),
}


def locked(connection: Connection) -> Row[Any]:
    """The study's own row.

    Raises:
        Refused: it is not locked.
    """
    row = connection.execute(select(study)).one()
    if row.locked_at is None:
        raise Refused(Why.NOT_LOCKED, "the study is not locked, and nothing is collected before. Run: kimchi study lock STUDY")
    return row


def slot_by_code(connection: Connection, code: str) -> Row[Any]:
    """The place that a personal code opens.

    Raises:
        Refused: no code of this study.
    """
    own = locked(connection)
    found = connection.execute(select(slot).where(slot.c.code_hash == hash_code(code, own.salt))).first() if tidy(code) else None
    if found is None:
        raise Refused(Why.UNKNOWN_CODE, "no place has this personal code. Check its twenty digits")
    return found


def open_slot(connection: Connection, session_id: str, *, after_end: bool = False) -> Row[Any]:
    """The place of a session that may still write.

    Args:
        after_end: also after finishing, for a comment or the exit question.

    Raises:
        Refused: no such session, or the place is done, expired or withdrawn.
    """
    locked(connection)
    found = connection.execute(select(slot).join(session, session.c.slot_id == slot.c.id).where(session.c.id == session_id)).first()
    if found is None:
        raise Refused(Why.NO_SESSION, "no such session. Resume by the personal code, or claim a place")
    if not (after_end and found.state == "done"):
        refuse_state(found)
    return found


def refuse_state(place: Row[Any]) -> None:
    """Refuse a place that takes no more answers.

    Raises:
        Refused: it is done, expired or withdrawn.
    """
    if place.state in _STATES:
        raise Refused(*_STATES[place.state])


def consented(connection: Connection, slot_id: int) -> None:
    """Nothing is stored before consent, given in whichever session of the rater.

    Raises:
        Refused: there was none.
    """
    given = connection.execute(select(session.c.id).where(session.c.slot_id == slot_id, session.c.consent_at.is_not(None)).limit(1)).first()
    if given is None:
        raise Refused(Why.NO_CONSENT, "no consent was given, and nothing is stored before. Show the consent page")


def as_session(row: Row[Any], place: Row[Any], code: str = "") -> Session:
    """Rows of session and slot => the record."""
    return Session(
        id=row.id,
        slot=place.id,
        ordinal=place.ordinal,
        state=place.state,
        started_at=row.started_at,
        ended_at=row.ended_at,
        consent_at=row.consent_at,
        consent_hash=row.consent_hash,
        release_consent=bool(row.release_consent),
        device_class=row.device_class,
        language=row.language,
        code=code,
    )
