"""Whether an encoder fits a base, as far as their configurations say, before any weights are read."""

import json
from pathlib import Path
from typing import Any

from kimchi.errors import RecipeError
from kimchi.models.places import weights_folder
from kimchi.recipes import AlignRecipe

STABLE_DIFFUSION_1 = 768
"""Width of the text states that every Stable Diffusion 1.x reads."""


def check(recipe: AlignRecipe) -> None:
    """Refuse an encoder whose width is known and differs from the base's, unless an adapter stands between.

    Raises:
        RecipeError: both widths, and what to add.
    """
    wanted, given = _read_width(recipe.base, "unet"), _encoder_width(recipe)
    if recipe.adapter == "none" and wanted and given and wanted != given:
        raise RecipeError(
            f"text_encoder: {recipe.text_encoder!r} gives {given}-wide states; {recipe.base} reads {wanted}. "
            "Add `adapter: mlp`, or choose an encoder of that width."
        )


def _encoder_width(recipe: AlignRecipe) -> int:
    return STABLE_DIFFUSION_1 if recipe.encoder == "korean_clip" else _read_width(recipe.text_encoder, "")


def _read_width(name: str, sub: str) -> int:
    """From the configuration on this machine; 0 where there is none, and then it is seen at load."""
    shipped = weights_folder() / name
    folder = (shipped if shipped.is_dir() else Path(name).expanduser()) / sub
    try:
        said: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return STABLE_DIFFUSION_1 if "stable-diffusion-v1" in name else 0
    # A whole CLIPModel keeps its text half's numbers a level down.
    said = said.get("text_config", said)
    return int(next((said[key] for key in ("cross_attention_dim", "hidden_size", "d_model", "width") if said.get(key)), 0))
