"""What a plan says, as records."""

from dataclasses import dataclass

from .memory import Memory
from .words import Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What fitting does to the pictures of a source; numbers of all of them, scaled up where only some were looked at."""

    buckets: dict[str, int]
    """Width x height, pixels => how many pictures; the fullest first."""
    cut_much: int
    """Pictures that lose more than a tenth of their area."""
    cut_very_much: int
    """Pictures that lose more than a quarter."""
    enlarged: int
    """Pictures smaller than what they are trained as."""
    looked_at: int
    """Sizes that were known or read."""
    unreadable: int
    """Among those looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a machine trains."""

    machine: str
    per_second: float | None
    """Pictures; None where it cannot be told."""
    hours: float | None
    """Of the whole run, watching included."""
    source: str
    """Measured or estimated, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """One source of a LoRA recipe."""

    captions: str
    learn: str
    a_batch: float
    """Samples of each batch, on average."""
    pictures: int | None
    """None where the source is not on this machine."""
    held_out: int | None
    """Pictures of the held-out split; None where nothing is held out."""
    epochs: float | None
    """How often each picture is seen."""
    fitted: Fitted | None
    cut: tuple[Cut, ...]
    """Captions that the encoder does not read whole, by form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The run on a machine with so much memory."""

    memory_gib: float
    micro_batch: int | None
    """None where not even one sample fits."""
    checkpointing: bool
    peak_gib: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What a run writes, bytes."""

    latents: int | None
    """None where a source's pictures are not known."""
    text: int | None
    checkpoints: int
    """Two of them, which is as many as are kept."""
    adapter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """What `kimchi train` will do with a LoRA recipe."""

    kind: str
    name: str
    steps: int
    """Optimiser steps."""
    batch: int
    """Samples a step."""
    samples: int
    """Seen in all, with repetition."""
    pictures: int | None
    """Different ones; None where a source is not on this machine."""
    trained: int
    """Weights that are trained."""
    precision: str
    resolution_px: int
    sources: tuple[SourcePlan, ...]
    memory: Memory
    memory_gib: float
    """What `memory` was chosen for."""
    memory_here: bool
    """Whether this machine has so much; otherwise it is the smallest card that holds the run."""
    cards: tuple[Card, ...]
    tflop_a_picture: float
    paces: tuple[Pace, ...]
    disk: Disk
    lacking: tuple[str, ...]
    """What is not on this machine; `kimchi train` refuses until it is, or fetches it."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is known of an alignment, or of a part of the miniature."""

    kind: str
    steps: int
    """Optimiser steps, of all stages."""
    batch: int
    """Samples a step, of the widest stage."""
    samples: int
    """Seen in all, with repetition."""
    pictures: int | None
    """Different ones; None where the recipe does not say."""
    notes: tuple[str, ...]
