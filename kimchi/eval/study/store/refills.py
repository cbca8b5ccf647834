"""What abandoned and withdrawn places left undone => new places, whole prompts at a time, the orders of their pictures kept."""

import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ..assign import fill_bins
from .chain import number_of
from .reads import trials
from .records import Trial
from .tables import slot, study, trial

_CHECKS = ("practice", "gold", "trap")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A prompt that one rater left undone."""

    prompt: str
    screens: tuple[Trial, ...]
    """By position."""


def refill(connection: Connection) -> int:
    """Make places of what was left, as many as can be filled; a part-filled one only where no place is free. Their number comes back."""
    pieces = [piece for place in _left(connection) for piece in _pieces(connection, place)]
    size = int(connection.execute(select(study.c.prompts_a_slot)).scalar_one())
    free = connection.execute(select(slot.c.id).where(slot.c.state == "free").limit(1)).first()
    bins = [one for one in fill_bins([piece.prompt for piece in pieces], size) if free is None or len(one) == size]
    for chosen in bins:
        _make(connection, [pieces[number] for number in chosen])
    return len(bins)


def _left(connection: Connection) -> list[Row[Any]]:
    return list(connection.execute(select(slot).where(slot.c.state.in_(("expired", "withdrawn"))).order_by(slot.c.ordinal)).all())


def _pieces(connection: Connection, place: Row[Any]) -> list[_Piece]:
    passed = set(connection.execute(select(trial.c.id).where(trial.c.slot_id == place.id, trial.c.passed_on == 1)).scalars())
    screens = defaultdict[str, list[Trial]](list)
    for one in trials(connection, place.id):
        if one.kind == "main":
            screens[one.prompt].append(one)
    # A prompt counts as finished when all its pictures are rated: half of it would compare some models without the others.
    undone = {prompt: found for prompt, found in screens.items() if not passed & {t.id for t in found} and not all(t.complete for t in found)}
    return [_Piece(prompt, tuple(sorted(found, key=lambda t: t.position))) for prompt, found in undone.items()]


def _make(connection: Connection, pieces: list[_Piece]) -> None:
    origin = pieces[0].screens[0].slot
    checks = [one for one in trials(connection, origin) if one.kind in _CHECKS]
    practice, others = [t for t in checks if t.kind == "practice"], [t for t in checks if t.kind != "practice"]
    # The checks stand between prompts, evenly spread.
    after = Counter(ceil((number + 1) * len(pieces) / (len(others) + 1)) for number in range(len(others)))
    screens, left = list(practice), iter(others)
    for number, piece in enumerate(pieces, start=1):
        screens += [*piece.screens, *islice(left, after[number])]
    highest = int(connection.execute(select(func.max(slot.c.ordinal))).scalar_one())
    made = number_of(connection.execute(insert(slot).values(ordinal=highest + 1, kind="refill", state="free")))
    connection.execute(insert(trial), [_copy(one, made, seq) for seq, one in enumerate(screens)])
    given = [one.id for piece in pieces for one in piece.screens]
    connection.execute(update(trial).where(trial.c.id.in_(given)).values(passed_on=1))


def _copy(one: Trial, slot_id: int, seq: int) -> dict[str, Any]:
    return {
        "slot_id": slot_id, "seq": seq, "kind": one.kind, "prompt_id": one.prompt, "stimulus_id": one.stimulus, "position": one.position,
        "repeat_of": None, "expected": one.expected, "picture": secrets.token_hex(16), "passed_on": 0,
    }  # fmt: skip
