"""What may be asked of a picture beside its prompt, and what is refused. Without torch: a booth checks seeds before any model is loaded."""

import secrets
from typing import TYPE_CHECKING, TypedDict

from kimchi.errors import RequestError

if TYPE_CHECKING:
    from kimchi.generation.sampler import OnStep

DDIM, LCM = "DDIM", "LCM"
MOST_STEPS = {DDIM: 1000, LCM: 50}
"""LCM-LoRAs are distilled on a schedule of fifty steps, of which the sampler takes some."""
MAX_SEED = 2**32 - 1
"""PyTorch's CPU generator reads the lower 32 bits of a seed: 7 and 7 + 2**32 would draw the same picture under two names."""


class Settings(TypedDict, total=False):
    """What `Kimchi.generate` takes beside the prompt; described there."""

    seed: int | None
    steps: int | None
    guidance: float | None
    negative: str
    size_px: int | None
    batch: int
    on_step: "OnStep | None"


def pick_seed(seed: int | None, count: int) -> int:
    """The first of `count` seeds in a row: the one asked for, or one drawn by lot.

    Raises:
        RequestError: out of range, the last of them included.
    """
    last = MAX_SEED - max(count - 1, 0)
    if seed is None:
        return secrets.randbelow(last + 1)
    check_whole("seed", seed, 0, last)
    return seed


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number from `low` to `high`.

    Raises:
        RequestError: says which.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"{name} {value!r}: must be a whole number from {low} to {high}. Change it, or leave it out.")
