"""What the store tells: screens, columns for the analysis, and how far everyone is."""

import json
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from .records import Answer, Progress, RaterProgress, Serving, Trial
from .tables import comment, event, prompt, rating, session, slot, stimulus, study, trial

COLUMNS = (
    *("rating", "slot", "ordinal", "slot_kind", "state", "trial", "seq", "kind", "prompt", "domain", "stimulus", "position"),
    *("repeat_of", "expected", "criterion", "value", "rev", "rt_ms", "shown_ms", "created_at"),
)
"""What `ratings` gives, a list each; all of one length, a place a standing answer."""


def trials(connection: Connection, slot_id: int) -> list[Trial]:
    """A rater's screens in the order of showing, each with the answers that stand."""
    answers = defaultdict[int, dict[str, Answer]](dict)
    for row in connection.execute(_standing(select(rating).join(trial, trial.c.id == rating.c.trial_id).where(trial.c.slot_id == slot_id))):
        if row.value is not None:
            answers[row.trial_id][row.criterion] = Answer(value=row.value, rev=row.rev)
    found = connection.execute(_screens().where(trial.c.slot_id == slot_id).order_by(trial.c.seq))
    return [_trial(row, answers[row.id]) for row in found]


def _standing(query: Select[Any]) -> Select[Any]:
    """Answers so that of one trial and criterion the one that stands comes last."""
    return query.order_by(rating.c.trial_id, rating.c.criterion, rating.c.rev, rating.c.id)


def _screens() -> Select[Any]:
    columns = (*trial.c, prompt.c.domain, prompt.c.texts, prompt.c.criteria, stimulus.c.width, stimulus.c.height)
    return select(*columns).join(prompt, prompt.c.id == trial.c.prompt_id).join(stimulus, stimulus.c.id == trial.c.stimulus_id)


def _trial(row: Row[Any], answers: Mapping[str, Answer]) -> Trial:
    criteria = tuple(json.loads(row.criteria))
    return Trial(
        id=row.id,
        slot=row.slot_id,
        seq=row.seq,
        kind=row.kind,
        prompt=row.prompt_id,
        domain=row.domain,
        texts=json.loads(row.texts),
        # A trap is one instructed tap.
        criteria=criteria[:1] if row.kind == "trap" else criteria,
        stimulus=row.stimulus_id,
        picture=row.picture,
        width=row.width,
        height=row.height,
        position=row.position,
        repeat_of=row.repeat_of,
        expected=row.expected,
        answers=answers,
    )


def serving(connection: Connection, picture: str) -> Serving | None:
    """Which file a picture's name for one rater stands for; None where it stands for none."""
    query = select(trial.c.stimulus_id, trial.c.slot_id, stimulus.c.padded_bytes).join(stimulus, stimulus.c.id == trial.c.stimulus_id)
    row = connection.execute(query.where(trial.c.picture == picture)).first()
    return Serving(stimulus=row.stimulus_id, slot=row.slot_id, padded_bytes=row.padded_bytes) if row else None


def ratings(connection: Connection) -> dict[str, list[Any]]:
    """Columns of COLUMNS: the answer that stands for each trial and criterion, of every rater who has not withdrawn, in a fixed order."""
    made = {
        "rating": rating.c.id, "slot": slot.c.id, "slot_kind": slot.c.kind, "trial": trial.c.id, "prompt": trial.c.prompt_id, "stimulus": trial.c.stimulus_id,
        "kind": trial.c.kind, "domain": prompt.c.domain, "state": slot.c.state,
    }  # fmt: skip
    tables = {column.name: column for table in (slot, trial, rating) for column in table.c}
    query = select(*((tables | made)[name].label(name) for name in COLUMNS)).select_from(rating)
    query = query.join(trial, trial.c.id == rating.c.trial_id).join(slot, slot.c.id == trial.c.slot_id).join(prompt, prompt.c.id == trial.c.prompt_id)
    query = query.where(slot.c.state != "withdrawn").order_by(slot.c.ordinal, trial.c.seq, rating.c.criterion, rating.c.rev, rating.c.id)
    last = {(row.trial, row.criterion): row for row in connection.execute(query)}
    return {name: [getattr(row, name) for row in last.values()] for name in COLUMNS}


def comments(connection: Connection) -> list[dict[str, Any]]:
    """Comments of raters who have not withdrawn: ordinal, trial, prompt, stimulus, text, created_at."""
    columns = (slot.c.ordinal, trial.c.id.label("trial"), trial.c.prompt_id.label("prompt"), trial.c.stimulus_id.label("stimulus"))
    query = select(*columns, comment.c.text, comment.c.created_at).join(trial, trial.c.id == comment.c.trial_id)
    query = query.join(slot, slot.c.id == trial.c.slot_id).where(comment.c.text.is_not(None)).order_by(comment.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def events(connection: Connection) -> list[dict[str, Any]]:
    """Events in order: ordinal (None for the study's own), kind, created_at, detail (None once erased)."""
    query = select(slot.c.ordinal, event.c.kind, event.c.created_at, event.c.detail).outerjoin(slot, slot.c.id == event.c.slot_id).order_by(event.c.id)
    return [{**row, "detail": json.loads(row["detail"]) if row["detail"] else None} for row in connection.execute(query).mappings()]


def sessions(connection: Connection) -> list[dict[str, Any]]:
    """Sessions in order, without their ids, which are keys."""
    keep = ("started_at", "ended_at", "consent_at", "consent_hash", "release_consent", "device_class", "language")
    query = select(slot.c.ordinal, slot.c.state, *(session.c[name] for name in keep)).join(slot, slot.c.id == session.c.slot_id)
    return [dict(row) for row in connection.execute(query.order_by(session.c.started_at, slot.c.ordinal)).mappings()]


def progress(connection: Connection) -> Progress:
    """How far the study is."""
    states = connection.execute(select(slot.c.state, func.count()).group_by(slot.c.state).order_by(slot.c.state)).all()
    claimed = connection.execute(select(slot).where(slot.c.state != "free").order_by(slot.c.ordinal)).all()
    asked, answered, times, last = _asked(connection), defaultdict[int, int](int), defaultdict[int, list[int]](list), dict[int, int]()
    columns = ratings(connection)
    for place, kind, rt_ms, at in zip(columns["slot"], columns["kind"], columns["rt_ms"], columns["created_at"], strict=True):
        answered[place] += kind != "practice"
        last[place] = max(at, last.get(place, 0))
        if rt_ms is not None and kind != "practice":
            times[place].append(rt_ms)
    raters = tuple(
        RaterProgress(
            ordinal=row.ordinal,
            kind=row.kind,
            state=row.state,
            answered=answered[row.id],
            asked=asked[row.id],
            claimed_at=row.claimed_at,
            last_at=last.get(row.id),
            median_rt_ms=median(times[row.id]) if times[row.id] else None,
        )
        for row in claimed
    )
    return Progress(
        locked=connection.execute(select(study.c.locked_at)).scalar() is not None,
        slots={state: number for state, number in states},
        raters=raters,
        ratings=_count(connection, select(func.count()).select_from(rating)),
        comments=_count(connection, select(func.count()).select_from(comment)),
        rejected=_count(connection, select(func.count()).select_from(event).where(event.c.kind == "rejected")),
    )


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())


def _asked(connection: Connection) -> dict[int, int]:
    """Slot => how many answers its plan asks for."""
    sizes = {row.id: len(json.loads(row.criteria)) for row in connection.execute(select(prompt.c.id, prompt.c.criteria))}
    asked = defaultdict[int, int](int)
    query = select(trial.c.slot_id, trial.c.kind, trial.c.prompt_id, func.count().label("n")).group_by(trial.c.slot_id, trial.c.kind, trial.c.prompt_id)
    for row in connection.execute(query.where(trial.c.kind != "practice")):
        asked[row.slot_id] += row.n * (1 if row.kind == "trap" else sizes[row.prompt_id])
    return asked
