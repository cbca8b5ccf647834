"""The recogniser's second lesson: pictures almost as generation makes them, drawn with guidance from little of a drawing."""

from pathlib import Path

from kimchi.models.networks import channels_last
from kimchi.models.recogniser import Recogniser
from kimchi.recipes import MiniPartRecipe
from kimchi.training import loop

from .recogniser import Paint, teach

SECOND = Paint(
    painters={
        # Most of all the base with guidance: what it drew from English was called "none" more often than anything else.
        "general": (("mini-base", "en", [0.4, 0.55, 0.7, 0.8]), ("mini", "en", [0.4, 0.6])),
        "korean": (("mini", "ko", [0.3, 0.45, 0.6, 0.7]),),
    },
    per_concept=24,
    share=0.5,
)


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Teach the recogniser in `folder` further, and save it there; return held-out scores."""
    network = channels_last(Recogniser.load(folder).network).train().requires_grad_(True)
    return teach(recipe, network, SECOND, folder, cache, watch, report)
