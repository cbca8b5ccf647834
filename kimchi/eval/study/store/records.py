"""What the store gives and takes: plain records, and why it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kimchi.errors import StudyError

UNABLE = 0
"""판단 불가: an answer like the others, missing to the statistics."""
MAX_COMMENT = 2000
"""Longest comment, characters."""
MAX_DETAIL = 4000
"""Longest detail of an event, characters of JSON."""
MAX_REVISIONS = 100_000
"""Highest revision a browser may name: a number beyond it could never be corrected again."""


class Why(StrEnum):
    """Why a rater's request is refused; the pages say it in the rater's language."""

    NOT_LOCKED = "not_locked"
    """The study is not locked yet: nothing is collected."""
    FULL = "full"
    """No place is free."""
    UNKNOWN_CODE = "unknown_code"
    """No code of this study: invented, or mistyped."""
    SPENT_INVITE = "spent_invite"
    """The invitation has been used or called back; its rater resumes by the personal code."""
    WITHDRAWN = "withdrawn"
    """The rater has withdrawn; everything was erased."""
    EXPIRED = "expired"
    """The place stood still for too long and was passed on; what was finished is kept."""
    DONE = "done"
    """The rater has finished; answers no longer change."""
    NO_SESSION = "no_session"
    """No such session."""
    NO_CONSENT = "no_consent"
    """Nothing is stored before consent."""
    NOT_YOURS = "not_yours"
    """The trial is another rater's, or none."""
    CRITERION = "criterion"
    """Not asked of this picture."""
    VALUE = "value"
    """Not one of the answers, or a number out of its range."""
    TOO_LONG = "too_long"
    """A text longer than is kept."""
    REUSED = "reused"
    """The tap's own name belongs to another answer."""


class Refused(StudyError):
    """A request of a rater that is not accepted; nothing of it is stored."""

    def __init__(self, why: Why, said: str) -> None:
        """Refuse.

        Args:
            why: for the page.
            said: for the log: value, rule, next step. It never holds a code or a text of the rater.
        """
        super().__init__(said)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """A text that raters read, and what is asked about its pictures."""

    id: str
    domain: str
    texts: Mapping[str, str]
    """Language => text."""
    criteria: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusRow:
    """A blinded picture. Which condition it belongs to, only the vault knows."""

    id: str
    """128 random bits in hex; pictures/ID.png is the file."""
    prompt_id: str
    sha256: str
    """Of that file."""
    width: int
    height: int
    padded_bytes: int
    """What every serving is padded to, and a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A screen of the sealed plan."""

    seq: int
    kind: str
    """practice, main, gold, repeat or trap."""
    prompt_id: str
    stimulus_id: str
    picture: str
    """The picture's name for this rater and this trial: 128 random bits in hex."""
    position: int = 0
    repeat_of: int | None = None
    """seq of the main trial that this one repeats."""
    expected: int | None = None
    """What a trap asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """A place for one rater, with its screens."""

    ordinal: int
    kind: str
    """main or spare; refill is made by the store."""
    trials: tuple[TrialRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A rater at a browser."""

    id: str
    """128 random bits in hex: what a cookie may hold."""
    slot: int
    ordinal: int
    """Of the slot: the rater's number, from 0."""
    state: str
    """Of the slot: claimed, done, withdrawn or expired."""
    started_at: int
    ended_at: int | None
    """Set when the rater has finished, or has gone on in a later session."""
    consent_at: int | None
    consent_hash: str
    release_consent: bool
    device_class: str
    language: str
    code: str = ""
    """The personal code in plain digits: only when the place is claimed, and nowhere ever again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer that stands."""

    value: int
    """1 to 5; 0 is 판단 불가."""
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A screen, as a page needs it."""

    id: int
    slot: int
    seq: int
    """From 0, in the order of showing."""
    kind: str
    """practice, main, gold, repeat or trap. A page may tell practice and trap from the others, and nothing else."""
    prompt: str
    """Id of the prompt whose text is shown."""
    domain: str
    texts: Mapping[str, str]
    """Language => text."""
    criteria: tuple[str, ...]
    """What is asked, in order."""
    stimulus: str
    """The file in pictures/. Never told to a browser: the same for all raters, it would let them compare."""
    picture: str
    """The picture's name in addresses: this rater's and this trial's alone."""
    width: int
    height: int
    position: int
    """Which of the prompt's pictures this is for this rater, from 1; 0 outside the main trials."""
    repeat_of: int | None
    """Id of the trial that this one repeats."""
    expected: int | None
    """What a trap asks for."""
    answers: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    """Criterion => the answer that stands."""

    @property
    def complete(self) -> bool:
        """Whether every criterion has an answer."""
        return all(criterion in self.answers for criterion in self.criteria)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the server must know to send one picture."""

    stimulus: str
    slot: int
    padded_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an answer is on the disk."""

    rating: int
    rev: int
    hash: str
    """Of its link in the chain."""
    again: bool
    """It had arrived before; nothing was stored twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What a withdrawal destroyed."""

    ordinal: int
    ratings: int
    comments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What `expire` did."""

    slots: int
    """Places that stood still for too long."""
    refills: int
    """Places made of what they and withdrawn raters left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What became of the chain."""

    links: int
    erased: int
    """Links whose content a withdrawal destroyed."""
    head: str
    """Hash of the last link; noted elsewhere, it proves later that nothing was cut off the end."""
    broken: tuple[str, ...]
    """What does not hold, in words; empty when everything does."""

    @property
    def ok(self) -> bool:
        """Whether everything collected is as it was written."""
        return not self.broken


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterProgress:
    """How far one rater is. No name, no code: only the place's number."""

    ordinal: int
    kind: str
    state: str
    answered: int
    """Answers that stand, practice left out."""
    asked: int
    """Answers that the plan asks for, practice left out."""
    claimed_at: int | None
    last_at: int | None
    """Of the last tap."""
    median_rt_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the study is."""

    locked: bool
    slots: Mapping[str, int]
    """State => how many places."""
    raters: tuple[RaterProgress, ...]
    """Everyone who has claimed a place, in the order of the places."""
    ratings: int
    """Rows, revisions and practice included."""
    comments: int
    rejected: int
    """Answers refused, which the server reports as events of the kind `rejected`."""
