"""The whole pipeline with the adapter merged in, which stock `StableDiffusionPipeline.from_pretrained` opens."""

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors import SafetensorError
from torch import nn

from kimchi.data.files import write_json
from kimchi.errors import ModelError, OutputError
from kimchi.models.load import Model, encoder_folder, load_run
from kimchi.models.text_encoders import adapted, clip

from ._base import Exporter, Run


def write_pipeline(model: Model, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` as a StableDiffusionPipeline of standard classes, without a safety checker, since none came with it.

    The model's networks are turned to `dtype` where they stand: load it again before drawing with it.

    Raises:
        ModelError: its encoder stands behind an adapter, which no stock class holds.
        OutputError: the folder cannot be written.
    """
    text: Any = model.text
    if not isinstance(text, clip.TextEncoder):
        raise _not_stock(model.name)
    # As kimchi draws: with "leading" spacing or clipped latents stock diffusers would draw other pictures from the same seed.
    scheduler: Any = DDIMScheduler.from_config(cast(Any, {**model.scheduler_config, "clip_sample": False, "timestep_spacing": "trailing"}))
    none: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False}
    pipe = StableDiffusionPipeline(vae=model.vae, text_encoder=text.model, tokenizer=text.tokenizer, unet=model.unet, scheduler=scheduler, **none)
    for network in (model.vae, model.unet, text.model):
        # diffusers' own `to` warns of layers to be kept in fp32, of which Stable Diffusion has none.
        nn.Module.to(network, dtype)
    try:
        cast(Any, pipe).save_pretrained(folder, safe_serialization=True)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{folder}: cannot be written ({error}). Choose a folder that exists, is yours and has room.") from error
    if model.miniature:
        # A miniature is never passed off as the full model: whoever loads this folder reads it here.
        write_json(folder / "unet" / "card.json", {"name": model.name, "miniature": True})


def _not_stock(name: str) -> ModelError:
    return ModelError(
        f"{name}: its encoder stands behind an adapter of kimchi's, which no class of transformers or diffusers reads, so no merged folder can hold it. "
        "Open the run with kimchi, or align a CLIP of the UNet's width and train with that."
    )


class Format(Exporter):
    """unet with the adapter in its weights, vae, scheduler, and the run's own text encoder and tokenizer."""

    relation = "finetune"

    def write(self, run: Run, folder: Path, dtype: torch.dtype | None) -> str:
        """A pipeline folder; None for fp16."""
        # Before gigabytes of the base are read.
        config = Path(encoder_folder(run.card["text_encoder"])) / "config.json"
        if config.is_file() and f'"{adapted.MODEL_TYPE}"' in config.read_text(encoding="utf-8"):
            raise _not_stock(run.card["text_encoder"])
        write_pipeline(load_run(run.adapter.parent, run.name), folder, dtype or torch.float16)
        return ""
