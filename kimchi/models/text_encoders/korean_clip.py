"""Korean-CLIP (Bingsu/clip-vit-large-patch14-ko): a CLIPModel repository of SD 1.5's text shape, read straight into a CLIPTextModel."""

from pathlib import Path
from typing import Any, Self

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi.errors import ModelError

from . import clip

WIDTH, LENGTH = 768, 77


class TextEncoder(clip.TextEncoder):
    """Its text half; the vision half of the file is left out."""

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer, name: str) -> None:
        super().__init__(model, tokenizer, name)
        if (self.width, self.length) != (WIDTH, LENGTH):
            raise ModelError(
                f"{name}: {self.length} positions of width {self.width}, and Korean-CLIP has {LENGTH} of {WIDTH}. "
                "Use `encoder: clip` for other CLIPs, or name Bingsu/clip-vit-large-patch14-ko."
            )

    @classmethod
    def load(
        cls, folder: str | Path = "Bingsu/clip-vit-large-patch14-ko", *, tokenizer: str | Path | None = None, dtype: torch.dtype = torch.float32, **hub: Any
    ) -> Self:
        """From the hub, or a folder that holds a copy."""
        return super().load(folder, tokenizer=tokenizer, dtype=dtype, **hub)
