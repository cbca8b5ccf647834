"""Recipes that make a part of the miniature suite."""

from typing import Any, Literal

from pydantic import Field

from .strict import Strict


class MiniPartRecipe(Strict):
    """One part of the miniature suite, trained from nothing on the sample world."""

    unhashed = frozenset({"name", "out"})

    kind: Literal["mini"]
    name: str
    """What progress and cards call this run."""
    part: Literal["vae", "vae_decoder", "clip", "unet", "korean_clip", "recogniser", "recogniser_paint", "recogniser_last", "llava", "llama"]
    """Which part: a file of kimchi/training/mini/."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(ge=1)
    """Samples per step."""
    learning_rate: float = Field(gt=0)
    """Peak rate of AdamW."""
    per_concept: int = Field(default=200, ge=1)
    """Pictures drawn per concept."""
    seed: int = 0
    """Everything random follows from this."""
    minutes: float = Field(default=60, gt=0)
    """Stop early, cleanly, when this much time has passed."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Constructor arguments of the network."""
    out: str
    """Folder to write."""
