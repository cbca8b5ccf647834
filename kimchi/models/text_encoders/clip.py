"""A CLIP text tower in the ordinary transformers format: Stable Diffusion's own, Korean-CLIP, and their miniatures."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi.errors import ModelError

from ._base import Encoder


class TextEncoder(Encoder):
    """A CLIPTextModel with its tokenizer; the states are those after the final norm."""

    model: CLIPTextModel

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.width = model.config.hidden_size
        self.length = model.config.max_position_embeddings
        if len(tokenizer) != model.config.vocab_size:
            raise ModelError(
                f"{name}: the tokenizer has {len(tokenizer)} tokens and the model {model.config.vocab_size} embeddings; "
                "words would be read as other words. Take both from the same folder."
            )

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: str | Path | None = None, dtype: torch.dtype = torch.float32, **hub: Any) -> Self:
        """From a CLIPTextModel folder, a whole CLIPModel repository (the vision half is left out), or a hub id.

        Args:
            tokenizer: where the tokenizer lies when not beside the model, as in a diffusers folder.
        """
        model = CLIPTextModel.from_pretrained(str(folder), dtype=dtype, **hub)
        return cls(model, CLIPTokenizer.from_pretrained(str(tokenizer or folder)), Path(folder).name)

    def ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts => token ids B L: start, content, end, and the end token again up to the last position."""
        batch = self.tokenizer(list(prompts), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt")
        return batch.input_ids

    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Token ids => last hidden states B L D, after the final norm, on the model's device; differentiable."""
        return self.model(input_ids=ids_BL.to(self.device)).last_hidden_state

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write model and tokenizer as one folder that stock transformers and diffusers open."""
        # A copy: the encoder in hand goes on as it is.
        cast(Any, copy.deepcopy(self.model)).to(dtype).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
