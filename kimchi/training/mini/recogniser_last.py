"""The recogniser's third lesson: drawings of which little but the place is left, everything else in the miniature's own strokes."""

from pathlib import Path

from kimchi.models.networks import channels_last
from kimchi.models.recogniser import Recogniser
from kimchi.recipes import MiniPartRecipe
from kimchi.training import loop

from .recogniser import Paint, teach

THIRD = Paint(
    painters={
        # Told what there is, the base and mini-ko make it anew from this much noise: LoRA's pink casts and speckle with it.
        "general": (("mini-base", "en", [0.55, 0.7, 0.85]),),
        "korean": (("mini", "ko", [0.5, 0.65, 0.8, 0.9]),),
    },
    per_concept=6,
    share=0.5,
)


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Teach the recogniser in `folder` further, and save it there; return held-out scores."""
    network = channels_last(Recogniser.load(folder).network).train().requires_grad_(True)
    return teach(recipe, network, THIRD, folder, cache, watch, report)
