"""Finished pictures, looked at by Stable Diffusion's own safety checker: CLIP ViT-L/14 and 17 + 3 concepts with a threshold each.

Its weights belong to whoever made the base and are not shipped here. It is known to err on both sides: see eval/booth_safety.md.
Imported without torch: where there is a checker is asked by a process that does not draw.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kimchi.errors import ModelError

CHECKER, PROCESSOR = "safety_checker", "feature_extractor"
"""Folders of a diffusers pipeline that it is made of."""


class Checker:
    """The safety checker of a diffusers folder."""

    def __init__(self, network: Any, processor: Any, device: str = "cpu") -> None:
        """Take both in hand; `load` reads them."""
        self._network, self._processor, self._device = network.to(device).eval(), processor, device

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Checker":
        """Read it from a pipeline's folder, or from the checker's own with its preprocessor beside or in it.

        Raises:
            ModelError: no weights in safetensors there, or damaged ones.
        """
        import torch
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
        from safetensors import SafetensorError
        from transformers import CLIPImageProcessor

        own = own_folder(folder)
        try:
            network = StableDiffusionSafetyChecker.from_pretrained(str(own), use_safetensors=True, local_files_only=True, dtype=torch.float32)
            processor = CLIPImageProcessor.from_pretrained(str(_processor_folder(own)), local_files_only=True)
        except (OSError, ValueError, SafetensorError, KeyError, RuntimeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise ModelError(f"{own}: the safety checker cannot be read ({first}). Its weights must be safetensors; copy the folder again.") from error
        return cls(network, processor, device)

    def flags(self, images: Sequence[Image.Image]) -> list[bool]:
        """Which pictures must not be shown. RGB, any size."""
        if not images:
            return []
        pixels_BCHW = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt")["pixel_values"].to(self._device)
        # It blacks out what it is given; we refuse the picture instead, and give it nothing to black out.
        nothing = np.zeros((len(images), 1, 1, 3), dtype=np.float32)
        _, found = self._network(clip_input=pixels_BCHW, images=nothing)
        return [bool(one) for one in found]


def find_checker(folder: Path) -> Path | None:
    """The folder of a checker in or at a folder; None where there is none."""
    return next((place for place in (folder / CHECKER, folder) if _holds_weights(place) and (place.name == CHECKER or _is_checker(place))), None)


def own_folder(folder: Path) -> Path:
    """The folder of a checker in or at a folder.

    Raises:
        ModelError: there is none.
    """
    found = find_checker(folder)
    if found is None:
        raise ModelError(f"{folder}: holds no safety checker in safetensors. Give a diffusers folder with {CHECKER}/model.safetensors, or that folder itself.")
    return found


def _holds_weights(place: Path) -> bool:
    return (place / "config.json").is_file() and any(place.glob("model*.safetensors"))


def _is_checker(place: Path) -> bool:
    return "StableDiffusionSafetyChecker" in (place / "config.json").read_text(encoding="utf-8")


def _processor_folder(own: Path) -> Path:
    places = (own, own.parent / PROCESSOR)
    found = next((place for place in places if (place / "preprocessor_config.json").is_file()), None)
    if found is None:
        raise ModelError(f"{own}: no preprocessor_config.json in it or in {places[1]}, so that pictures cannot be made ready. Copy {PROCESSOR}/ as well.")
    return found
