"""Progress pictures: the same prompts with the same noise, drawn by the network as it is at this step.

They are there to be looked at. On the miniature the recogniser says what it sees in them; its answers are shown and choose nothing, since
what has chosen a checkpoint can no longer judge it.
"""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kimchi import __version__
from kimchi.data.files import write_bytes, write_json
from kimchi.generation.generate import GUIDANCE
from kimchi.generation.provenance import SOURCE_TYPE
from kimchi.generation.sampler import decode, sample
from kimchi.models.load import Model
from kimchi.models.recogniser import Recogniser

from .prompts import Prompt
from .quiet import undisturbed

FOLDER = "samples"
COLUMNS = 4
SHOWN = "Shown, never used to choose anything."
_CHUNK = "kimchi-samples"
"""Keyword of the PNG chunk that holds the record."""


class Samples:
    """Draws the same list at any step."""

    def __init__(self, model: Model, prompts: Sequence[Prompt], *, size_px: int, steps: int, recogniser: Recogniser | None = None, batch: int = 4) -> None:
        """Take a model in hand; nothing is computed or moved yet.

        Args:
            model: its UNet carries the adapter under training.
            size_px: side of the pictures: the recipe's resolution.
            steps: denoising steps.
            recogniser: for a miniature whose prompts are of the sample world.
            batch: the most pictures denoised at once.
        """
        self.model, self.prompts, self.steps, self.recogniser, self.batch = model, tuple(prompts), steps, recogniser, batch
        side = size_px // 2 ** (len(model.vae.config["block_out_channels"]) - 1)
        self._shape = (int(model.unet.config["in_channels"]), side, side)

    def draw(self, folder: Path, step: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext) -> str:
        """Draw every prompt; leave RUN/samples/step-0000300.png, a sheet row by row, and a JSON beside it that says what is on it.

        The same weights give the same bytes. Nothing random and no mode of the training is touched, and what the drawing held is let go.

        Returns:
            The sheet's path within the run folder.

        Raises:
            OutputError: the place cannot be written. ModelError: the pictures hold NaN.
        """
        images = self._images(autocast)
        record = self._record(step, images)
        name = f"{FOLDER}/step-{step:07d}.png"
        write_bytes(folder / name, _png(_sheet(images), record))
        write_json((folder / name).with_suffix(".json"), record)
        return name

    def _images(self, autocast: Callable[[], AbstractContextManager[Any]]) -> list[Image.Image]:
        model, device = self.model, self.model.unet.device
        home = model.vae.device
        vae: Any = model.vae
        with undisturbed(model.unet, model.vae, model.text.model), autocast():
            # Each prompt alone, as `generate` encodes: in a batch the last bits would differ.
            text_BLD = torch.cat([model.text.encode([p.text]) for p in self.prompts])
            latents_BCHW = sample(
                model.unet, model.scheduler_config, text_BLD, model.text.empty(), seeds=[p.seed for p in self.prompts], steps=self.steps,
                guidance=GUIDANCE, latent_shape=self._shape, chunk=self.batch,
            )  # fmt: skip
        try:
            with undisturbed(model.vae):
                return decode(vae.to(device), latents_BCHW)
        finally:
            # The VAE goes back to where the training keeps it, and what it used to others.
            vae.to(home)
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def _record(self, step: int, images: Sequence[Image.Image]) -> dict[str, Any]:
        sights = self.recogniser.see(images) if self.recogniser else []
        pictures: list[dict[str, Any]] = [{"prompt": p.text, "kind": p.kind, "seed": p.seed} for p in self.prompts]
        for entry, prompt, sight in zip(pictures, self.prompts, sights, strict=False):
            entry |= {"asked": prompt.slug, "seen": sight.concept, "confidence": round(sight.confidence, 3)}
        return {
            "step": step, "columns": COLUMNS, "size_px": images[0].width, "steps": self.steps, "guidance": GUIDANCE, "scheduler": "DDIM",
            "base": self.model.name, "hashes": dict(self.model.hashes), "miniature": self.model.miniature, "kimchi": __version__, "pictures": pictures,
            **({"recognised": _shares(pictures), "note": SHOWN} if sights else {}),
        }  # fmt: skip


def _shares(pictures: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Of each kind, how many of how many show what was asked for."""
    kinds = dict.fromkeys(p["kind"] for p in pictures if p["asked"])
    judged = {kind: [p["seen"] == p["asked"] for p in pictures if p["kind"] == kind and p["asked"]] for kind in kinds}
    return {kind: f"{sum(right)}/{len(right)}" for kind, right in judged.items()}


def _sheet(images: Sequence[Image.Image]) -> Image.Image:
    width, height = images[0].size
    sheet = Image.new("RGB", (width * min(COLUMNS, len(images)), height * -(-len(images) // COLUMNS)), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (i % COLUMNS * width, i // COLUMNS * height))
    return sheet


def _png(sheet: Image.Image, record: dict[str, Any]) -> bytes:
    """The sheet with its record inside: a file that is passed on alone still says that a model drew it, and which."""
    chunks = PngInfo()
    chunks.add_itxt("Software", f"KIMCHI {record['kimchi']}")
    chunks.add_itxt("DigitalSourceType", SOURCE_TYPE)
    chunks.add_itxt(_CHUNK, json.dumps(record, ensure_ascii=False))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()
