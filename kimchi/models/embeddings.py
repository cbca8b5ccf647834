"""Pictures => 256 bits that say what they look like: near-duplicates that a difference hash misses, such as one plate from two sides."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from kimchi.errors import ModelError

BITS = 256
_SEED = 79


class Embedder:
    """A vision model of transformers (CLIP, SigLIP, DINOv2, ViT ...) and a fixed set of random planes."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval().requires_grad_(False), processor
        width = int(model.config.hidden_size)
        self.planes_DK = torch.randn(width, BITS, generator=torch.Generator().manual_seed(_SEED))

    @torch.inference_mode()
    def bits(self, images: Sequence[Image.Image]) -> list[str]:
        """Which side of each random plane a picture's pooled state lies on, as 64 hex digits (Charikar 2002, section 3).

        Two pictures whose states have the angle a differ in 256 a / pi bits on average: 26 for a cosine of 0.95.
        """
        pixels = self.processor(images=list(images), return_tensors="pt").pixel_values.to(self.model.device)
        out = self.model(pixel_values=pixels)
        pooled_BD = out.pooler_output if getattr(out, "pooler_output", None) is not None else out.last_hidden_state[:, 0]
        sides_BK = (pooled_BD.float().cpu() @ self.planes_DK > 0).numpy()
        return [np.packbits(row).tobytes().hex() for row in sides_BK]


@cache
def load_embedder(name: str) -> Embedder:
    """A folder or hub id; of a CLIP or SigLIP, its vision half.

    Raises:
        ModelError: no such model, or one without a vision part.
    """
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionModel, SiglipVisionModel

    halves: dict[str, Any] = {"clip": CLIPVisionModel, "siglip": SiglipVisionModel}
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        model = halves.get(kind, AutoModel).from_pretrained(name, dtype=torch.float32, use_safetensors=True)
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"embedder {name}: cannot be loaded ({reason}). Name a folder or hub id of a vision model with safetensors weights, or leave it empty."
        ) from error
    if torch.cuda.is_available():
        model = model.to("cuda")
    return Embedder(model, processor)
