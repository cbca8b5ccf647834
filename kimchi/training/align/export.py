"""An aligned encoder and its base as one folder that stock diffusers opens."""

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from kimchi.errors import ModelError, OutputError
from kimchi.models.load import Model
from kimchi.models.text_encoders import clip


def write_pipeline(model: Model, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` as a StableDiffusionPipeline of standard classes, without a safety checker, since none came with it.

    The model's networks are turned to `dtype` where they stand: load it again before drawing with it.

    Raises:
        ModelError: its encoder stands behind an adapter, which no stock class holds.
        OutputError: the folder is not empty; nothing is overwritten.
    """
    text: Any = model.text
    if not isinstance(text, clip.TextEncoder):
        raise ModelError(
            f"{text.name}: stands behind an adapter, which stock diffusers has no class for. Open it with kimchi, or align a CLIP of the UNet's width."
        )
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty, and a pipeline overwrites nothing. Name another folder.")
    said: Any = DDIMScheduler.from_config(model.scheduler_config)
    none: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False}
    pipe = StableDiffusionPipeline(vae=model.vae, text_encoder=text.model, tokenizer=text.tokenizer, unet=model.unet, scheduler=said, **none)
    cast(Any, pipe).to(dtype).save_pretrained(folder, safe_serialization=True)
