"""The tables of study.db. Nothing here says who a rater is, or which model drew a picture.

Portable SQL, so that PostgreSQL can follow; what is SQLite's own (STRICT, triggers, PRAGMA) stands in TRIGGERS and in engine.py.
Times are UTC milliseconds since 1970, durations milliseconds, JSON is text.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()
# Milliseconds need 64 bits; SQLite's INTEGER has them, and a STRICT table knows no BIGINT.
_TIME = BigInteger().with_variant(Integer(), "sqlite")


def _time(name: str, *, nullable: bool = True) -> Column[int]:
    return Column(name, _TIME, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


study = Table(
    "study",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    _text("name"),
    _text("protocol_hash"),  # set by lock; empty until then, and nothing is collected while it is
    _time("locked_at"),
    _text("app_version"),
    Column("by_invitation", Integer, nullable=False),
    Column("prompts_a_slot", Integer, nullable=False),  # what a refill slot is filled up to
    Column("abandoned_ms", _TIME),  # a place without a tap for so long is passed on; never where this is NULL
    Column("salt", LargeBinary, nullable=False),  # of personal codes and invitations
    sqlite_strict=True,
)
prompt = Table(
    "prompt",
    metadata,
    Column("id", Text, primary_key=True),
    _text("domain"),
    _text("texts"),  # JSON: language => what the rater reads
    _text("criteria"),  # JSON: the criteria asked about its pictures, in order
    sqlite_strict=True,
)
stimulus = Table(
    "stimulus",
    metadata,
    Column("id", Text, primary_key=True),  # 128 random bits; also the file's name in pictures/
    Column("prompt_id", Text, ForeignKey("prompt.id"), nullable=False),
    _text("sha256"),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("padded_bytes", Integer, nullable=False),  # every serving is padded to this and a little more: the same for all pictures of a prompt
    sqlite_strict=True,
)
slot = Table(
    "slot",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ordinal", Integer, nullable=False, unique=True),
    Column("kind", Text, CheckConstraint("kind IN ('main', 'spare', 'refill')"), nullable=False),
    Column("state", Text, CheckConstraint("state IN ('free', 'claimed', 'done', 'withdrawn', 'expired')"), nullable=False),
    _time("claimed_at"),
    _time("ended_at"),
    Column("code_hash", Text, unique=True),
    sqlite_strict=True,
)
invite = Table(
    "invite",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("slot_id", Integer, ForeignKey("slot.id")),
    _time("created_at", nullable=False),
    _time("revoked_at"),
    sqlite_strict=True,
)
session = Table(
    "session",
    metadata,
    Column("id", Text, primary_key=True),  # 128 random bits; what the browser's cookie holds
    Column("slot_id", Integer, ForeignKey("slot.id"), nullable=False),
    _time("started_at", nullable=False),
    _time("ended_at"),  # ended by finishing, or by a later session of the same rater
    _time("consent_at"),
    _text("consent_hash"),
    Column("release_consent", Integer, nullable=False),  # the separate tick: the answers may be published without names
    _text("device_class"),
    _text("language"),
    sqlite_strict=True,
)
trial = Table(
    "trial",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slot_id", Integer, ForeignKey("slot.id"), nullable=False),
    Column("seq", Integer, nullable=False),  # from 0, in the order of showing
    Column("kind", Text, CheckConstraint("kind IN ('practice', 'main', 'gold', 'repeat', 'trap')"), nullable=False),
    Column("prompt_id", Text, ForeignKey("prompt.id"), nullable=False),  # of the text; a gold trial shows another prompt's picture
    Column("stimulus_id", Text, ForeignKey("stimulus.id"), nullable=False),
    Column("position", Integer, nullable=False),  # which of the prompt's pictures this is for this rater, from 1; 0 outside the main trials
    Column("repeat_of", Integer, ForeignKey("trial.id")),
    Column("expected", Integer),  # what a trap asks the rater to press
    Column("picture", Text, nullable=False, unique=True),  # 128 random bits: the picture's name for this rater and trial alone
    Column("passed_on", Integer, nullable=False),  # 1 once a refill slot has taken it over
    sqlite_strict=True,
)
rating = Table(
    "rating",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trial.id"), nullable=False),
    _text("criterion"),
    Column("value", Integer, CheckConstraint("value BETWEEN 0 AND 5")),  # 0: cannot judge; NULL: withdrawn
    Column("rt_ms", Integer),  # from the picture's appearance to the tap, by the browser's own steady clock
    Column("shown_ms", Integer),  # of that, how long the page was in view
    Column("client_uuid", Text, nullable=False, unique=True),  # the tap's own name: sent twice, it is one tap
    Column("rev", Integer, nullable=False),  # the highest is the answer; of two alike, the later to arrive
    _time("created_at", nullable=False),
    Column("salt", LargeBinary),
    sqlite_strict=True,
)
comment = Table(
    "comment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trial.id"), nullable=False),
    Column("text", Text),
    _time("created_at", nullable=False),
    Column("client_uuid", Text, nullable=False, unique=True),
    Column("salt", LargeBinary),
    sqlite_strict=True,
)
event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", Text, ForeignKey("session.id")),  # none for what the study itself does
    Column("slot_id", Integer, ForeignKey("slot.id")),
    _text("kind"),
    Column("detail", Text),  # JSON
    _time("created_at", nullable=False),
    Column("salt", LargeBinary),
    sqlite_strict=True,
)
link = Table(
    "link",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('rating', 'comment', 'event')"), nullable=False),
    Column("row_id", Integer, nullable=False),
    _text("commitment"),
    _text("hash"),
    sqlite_strict=True,
)
Index("trial_of_slot", trial.c.slot_id, trial.c.seq, unique=True)
Index("rating_of_trial", rating.c.trial_id, rating.c.criterion)
Index("comment_of_trial", comment.c.trial_id)
Index("session_of_slot", session.c.slot_id)
Index("event_of_slot", event.c.slot_id)
Index("link_of_row", link.c.kind, link.c.row_id, unique=True)

_APPENDED = {
    "rating": (("value", "salt", "rt_ms", "shown_ms"), ("id", "trial_id", "criterion", "client_uuid", "rev", "created_at")),
    "comment": (("text", "salt"), ("id", "trial_id", "created_at", "client_uuid")),
    "event": (("detail", "salt"), ("id", "session_id", "slot_id", "kind", "created_at")),
}
"""Append-only tables: what a withdrawal erases, and what it leaves."""
_SLOT_OF = {
    "rating": "(SELECT slot_id FROM trial WHERE id = OLD.trial_id)",
    "comment": "(SELECT slot_id FROM trial WHERE id = OLD.trial_id)",
    "event": "OLD.slot_id",
}


def triggers() -> list[str]:
    """SQLite triggers that refuse every change of what was collected, but for the erasure of a rater who has withdrawn."""
    made: list[str] = []
    for name, (erased, kept) in _APPENDED.items():
        gone = " AND ".join(f"NEW.{column} IS NULL" for column in erased)
        same = " AND ".join(f"NEW.{column} IS OLD.{column}" for column in kept)
        left = f"EXISTS (SELECT 1 FROM slot WHERE id = {_SLOT_OF[name]} AND state = 'withdrawn')"
        made.append(f"CREATE TRIGGER {name}_kept BEFORE UPDATE ON {name} WHEN NOT ({gone} AND {same} AND {left}) {_refuse(name)}")
        made.append(f"CREATE TRIGGER {name}_stays BEFORE DELETE ON {name} {_refuse(name)}")
    made += [f"CREATE TRIGGER link_{verb.lower()} BEFORE {verb} ON link {_refuse('link')}" for verb in ("UPDATE", "DELETE")]
    return made


def _refuse(name: str) -> str:
    return f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
