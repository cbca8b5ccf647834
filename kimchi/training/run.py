"""A recipe => trained weights in a run folder. What `kimchi train` calls."""

import importlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from kimchi.data.files import hash_files, write_json
from kimchi.recipes import LoraRecipe, MiniPartRecipe, recipe_hash

from . import checkpoints, loop


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutcome:
    """What a training run left."""

    folder: Path
    steps: int
    final_loss: float
    """Mean loss of the last 50 steps."""
    seconds: float


def train(recipe: LoraRecipe | MiniPartRecipe, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> TrainOutcome:
    """Run a recipe of kind lora or mini. Rerunning a finished run does nothing; rerunning a stopped one goes on.

    Raises:
        TrainingError, ModelError, DataError: what the message says, before anything is overwritten.
    """
    if isinstance(recipe, LoraRecipe):
        from .lora import train_lora

        return train_lora(recipe, watch, report)
    return _train_part(recipe, watch, report)


def _train_part(recipe: MiniPartRecipe, watch: loop.Watcher | None, report: loop.Report | None) -> TrainOutcome:
    folder = Path(recipe.out)
    card_path = folder / "card.json"
    digest = recipe_hash(recipe)
    if card_path.is_file():
        card = json.loads(card_path.read_text(encoding="utf-8"))
        if card.get("recipe_hash") == digest:
            return TrainOutcome(folder=folder, steps=recipe.steps, final_loss=card["scores"]["loss"], seconds=0.0)
    began = time.monotonic()
    module = importlib.import_module(f"kimchi.training.mini.{recipe.part}")
    cache = Path("runs/mini/cache")
    scores: dict[str, float] = module.train(recipe, folder, cache, watch, report)
    seconds = time.monotonic() - began
    card = {
        "part": recipe.part,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_hash": digest,
        "steps": recipe.steps,
        "seconds": round(seconds),
        "scores": scores,
        "sha256": {p.name: hash_files([p], 64) for p in sorted(folder.glob("*.safetensors"))},
        "miniature": True,
    }
    # The card last: its existence says that the part is finished.
    write_json(card_path, card)
    checkpoints.clear(cache.parent / recipe.name)
    return TrainOutcome(folder=folder, steps=recipe.steps, final_loss=scores["loss"], seconds=seconds)
