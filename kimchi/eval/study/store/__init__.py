"""study.db: what is collected. Every write is one transaction, on the disk before it is acknowledged; nothing collected is ever changed.

The collecting server opens this file and pictures/, and nothing else: no table here says which model drew what.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kimchi import __version__
from kimchi.errors import StudyError

from . import chain, fill, guard, places, reads, taps
from .engine import Database
from .records import (
    MAX_COMMENT,
    MAX_DETAIL,
    UNABLE,
    Answer,
    ChainReport,
    Erased,
    Expired,
    Progress,
    PromptRow,
    RaterProgress,
    Receipt,
    Refused,
    Serving,
    Session,
    SlotRow,
    StimulusRow,
    Trial,
    TrialRow,
    Why,
)

__all__ = [
    "MAX_COMMENT",
    "MAX_DETAIL",
    "UNABLE",
    "Answer",
    "ChainReport",
    "Erased",
    "Expired",
    "Progress",
    "PromptRow",
    "RaterProgress",
    "Receipt",
    "Refused",
    "Serving",
    "Session",
    "SlotRow",
    "StimulusRow",
    "Store",
    "Trial",
    "TrialRow",
    "Why",
    "create_store",
    "open_store",
]


class Store:
    """A study's database, safe from all threads of a process and beside other processes. `now` is always UTC milliseconds, given by the caller."""

    def __init__(self, database: Database) -> None:
        """Take a database in hand; `open_store` is the way in."""
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    # A rater comes and goes.

    def claim(self, *, now: int, invite: str | None = None, language: str = "") -> Session:
        """Take the next free place; the session holds the personal code, which is told this once and kept only as a hash.

        Args:
            now: UTC milliseconds.
            invite: the invitation's code, where the study is by invitation.
            language: what the rater reads, a language of the instrument.

        Raises:
            Refused: not locked, every place taken, an invitation invented or spent.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return places.claim(connection, now=now, invited_by=invite, language=language)

    def resume(self, code: str, *, now: int) -> Session:
        """Go on at the place of a personal code, typed with or without spaces. Earlier sessions end; a finished rater gets state `done`.

        Raises:
            Refused: no such code, withdrawn or expired.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return places.resume(connection, code=code, now=now)

    def session(self, session_id: str) -> Session:
        """The session of a cookie.

        Raises:
            Refused: there is none.
        """
        with self._database.read() as connection:
            return places.find(connection, session_id)

    def consent(self, session_id: str, version_hash: str, device_class: str, *, now: int, release: bool = False, language: str = "") -> Session:
        """Note that the rater agreed to the consent text of that hash; the first time counts.

        Args:
            session_id: whose.
            version_hash: of the text that was shown.
            device_class: phone, tablet, laptop or kiosk; nothing finer is kept.
            now: UTC milliseconds.
            release: the separate tick: the answers may be published without names.
            language: of the text.

        Raises:
            Refused: no such session, or its place is closed.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return places.consent(
                connection, session_id=session_id, version_hash=version_hash, device_class=device_class, release=release, language=language, now=now
            )

    def finish(self, session_id: str, *, now: int) -> None:
        """The rater is done; a second time changes nothing.

        Raises:
            Refused: no such session, no consent, or its place is expired or withdrawn.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            places.finish(connection, session_id=session_id, now=now)

    def withdraw(self, code: str, *, now: int) -> Erased:
        """Erase everything a rater has given, by the personal code: the only deletion there is. A second time erases nothing more.

        Raises:
            Refused: no such code.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            erased = places.withdraw(connection, code=code, now=now)
        self._database.fold()
        return erased

    # What a rater sees and does.

    def trials(self, slot: int) -> list[Trial]:
        """The screens of a place in the order of showing, each with the answers that stand."""
        with self._database.read() as connection:
            return reads.trials(connection, slot)

    def serving(self, picture: str) -> Serving | None:
        """The file behind a picture's name for one rater; None where it names none. The caller checks that the slot is the rater's."""
        with self._database.read() as connection:
            return reads.serving(connection, picture)

    def rate(
        self,
        session_id: str,
        trial: int,
        criterion: str,
        value: int,
        client_uuid: str,
        *,
        now: int,
        rt_ms: int | None = None,
        shown_ms: int | None = None,
        rev: int | None = None,
    ) -> Receipt:
        """Store a tap; it is on the disk when the receipt comes back. Sent twice it is one tap.

        Args:
            session_id: whose; an ended session of the same rater may still deliver what it had queued.
            trial: Trial.id.
            criterion: one of Trial.criteria.
            value: 1 to 5; 0 is 판단 불가.
            client_uuid: the tap's own name, made by the browser when the finger came down.
            now: UTC milliseconds.
            rt_ms: from the picture's appearance to the tap, by the browser's steady clock. What cannot be true is left out.
            shown_ms: of that, how long the page was in view.
            rev: one more than the answer the rater saw when changing it, so that taps which arrive out of order end in the order they were
                made. None: one more than the highest there is.

        Raises:
            Refused: nothing was stored; `why` says why.
            OutputError: the disk is full; nothing was stored.
        """
        tap = taps.Tap(trial=trial, criterion=criterion, value=value, client_uuid=client_uuid, rt_ms=rt_ms, shown_ms=shown_ms, rev=rev)
        with self._database.write() as connection:
            return taps.rate(connection, session_id, tap, now)

    def comment(self, session_id: str, trial: int, text: str, client_uuid: str, *, now: int) -> bool:
        """Store a rater's words, plain text of at most MAX_COMMENT characters; False where they had arrived before.

        Raises:
            Refused: too long, not this rater's screen, or the place is expired or withdrawn.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return taps.remark(connection, session_id, trial_id=trial, text=text, client_uuid=client_uuid, now=now)

    def event(self, session_id: str | None, kind: str, *, now: int, detail: dict[str, Any] | None = None) -> None:
        """Append what happened: blur, break, exit, rejected ... Never an address, a name or a browser's description.

        Args:
            session_id: whose; None for what the study itself does.
            kind: a word.
            now: UTC milliseconds.
            detail: JSON, at most MAX_DETAIL characters; erased when the rater withdraws.

        Raises:
            Refused: no such session, or too long.
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            slot = guard.open_slot(connection, session_id, after_end=True).id if session_id is not None else None
            places.note(connection, session_id=session_id, slot_id=slot, kind=kind, now=now, detail=detail)

    # The study as a whole.

    def expire(self, *, now: int, after_ms: int) -> Expired:
        """Pass on places without a tap for `after_ms`: finished prompts are kept, the others become refill places. `claim` does it too.

        Raises:
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return places.expire(connection, now=now, after_ms=after_ms)

    def lock(self, protocol_hash: str, *, now: int) -> None:
        """Begin to collect.

        Raises:
            StudyError: it is locked already.
        """
        with self._database.write() as connection:
            fill.lock(connection, protocol_hash, now)

    def protocol_hash(self) -> str | None:
        """What the study was locked with; None before."""
        with self._database.read() as connection:
            return fill.protocol_hash(connection)

    def plan_hash(self) -> str:
        """SHA-256 over the sealed plan: prompts, pictures, places and screens; refills, made later, left out."""
        with self._database.read() as connection:
            return fill.plan_hash(connection)

    def invite(self, count: int, *, now: int) -> list[str]:
        """Make invitations; their codes come back this once.

        Raises:
            OutputError: the disk is full.
        """
        with self._database.write() as connection:
            return fill.invite(connection, count, now)

    def verify_chain(self) -> ChainReport:
        """Walk the chain over all that was collected."""
        with self._database.read() as connection:
            return chain.verify(connection)

    def ratings(self) -> dict[str, list[Any]]:
        """The answers that stand, columns of `reads.COLUMNS`, in a fixed order; withdrawn raters are not in it."""
        with self._database.read() as connection:
            return reads.ratings(connection)

    def comments(self) -> list[dict[str, Any]]:
        """Comments of raters who have not withdrawn: ordinal, trial, prompt, stimulus, text, created_at."""
        with self._database.read() as connection:
            return reads.comments(connection)

    def events(self) -> list[dict[str, Any]]:
        """Events in order: ordinal (None for the study's own), kind, created_at, detail (None once erased)."""
        with self._database.read() as connection:
            return reads.events(connection)

    def sessions(self) -> list[dict[str, Any]]:
        """Sessions in order, without their ids: ordinal, state, started_at, ended_at, consent_at, consent_hash, release_consent, device_class, language."""
        with self._database.read() as connection:
            return reads.sessions(connection)

    def stimuli(self) -> list[StimulusRow]:
        """Every picture that may be served."""
        with self._database.read() as connection:
            return fill.stimuli(connection)

    def progress(self) -> Progress:
        """How far everyone is."""
        with self._database.read() as connection:
            return reads.progress(connection)


def create_store(
    path: Path,
    *,
    name: str,
    prompts: Iterable[PromptRow],
    stimuli: Iterable[StimulusRow],
    slots: Sequence[SlotRow],
    prompts_a_slot: int,
    by_invitation: bool = False,
    abandoned_ms: int | None = None,
) -> Store:
    """Make a study's database with its sealed plan; it collects nothing before `Store.lock`.

    Args:
        path: of the file.
        name: of the instrument.
        prompts: all texts, practice included.
        stimuli: all pictures, practice included.
        slots: all places.
        prompts_a_slot: what a refill place is filled up to.
        by_invitation: whether a place is claimed by an invitation's code only.
        abandoned_ms: a place without a tap for so long is passed on when another rater comes; None for never.

    Raises:
        StudyError: something of that name is there.
        OutputError: it cannot be written.
    """
    if path.exists():
        raise StudyError(f"{path}: is there already, and a study is never written over. Name another folder.")
    database = Database(path)
    with database.write() as connection:
        fill.create(connection, name, __version__, prompts_a_slot, by_invitation, abandoned_ms)
        fill.insert_plan(connection, list(prompts), list(stimuli), slots)
    return Store(database)


def open_store(path: Path, *, read_only: bool = False) -> Store:
    """Open a study's database.

    Raises:
        StudyError: there is none.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such file. Name the folder that `kimchi study new` made.")
    return Store(Database(path, read_only=read_only))
