"""A recipe => trained weights in a run folder. What `kimchi train` calls."""

import importlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi.data.files import hash_file, write_json
from kimchi.recipes import LoraRecipe, MiniPartRecipe, recipe_hash

from . import checkpoints, loop

STANDS_ON = {"vae_decoder": ("vae",), "recogniser_paint": ("recogniser",), "recogniser_last": ("recogniser", "recogniser_paint")}
"""Parts that improve the weights of another part: its stage stays on the card."""


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
    digest = recipe_hash(recipe)
    stages = _stages(folder)
    done = stages.get(recipe.part, {})
    if done.get("recipe_hash") == digest:
        return TrainOutcome(folder=folder, steps=done["steps"], final_loss=done["scores"]["loss"], seconds=0.0)
    began = time.monotonic()
    module = importlib.import_module(f"kimchi.training.mini.{recipe.part}")
    cache = Path("runs/mini/cache")
    scores: dict[str, float] = module.train(recipe, folder, cache, watch, report)
    seconds, steps = time.monotonic() - began, int(scores.pop("steps", recipe.steps))
    kept = {part: stages[part] for part in STANDS_ON.get(recipe.part, ()) if part in stages}
    stage = {
        "recipe": recipe.model_dump(mode="json"),
        "recipe_hash": digest,
        "seed": recipe.seed,
        # A part that ran out of its minutes has done fewer than its recipe says.
        "steps": steps,
        "seconds": round(seconds),
        "scores": scores,
    }
    hashes = {p.name: hash_file(p) for p in sorted(folder.glob("*.safetensors"))}
    # The card last: its existence says that the part is finished.
    write_json(folder / "card.json", {"stages": kept | {recipe.part: stage}, "sha256": hashes, "miniature": True})
    checkpoints.clear(cache.parent / recipe.name)
    return TrainOutcome(folder=folder, steps=steps, final_loss=scores["loss"], seconds=seconds)


def _stages(folder: Path) -> dict[str, Any]:
    card = folder / "card.json"
    return json.loads(card.read_text(encoding="utf-8")).get("stages", {}) if card.is_file() else {}
