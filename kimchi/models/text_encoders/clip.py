"""A CLIP text tower in the ordinary transformers format: Stable Diffusion's own, Korean-CLIP, and their miniatures."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi.errors import ModelError


class TextEncoder:
    """Prompts => the states a UNet attends to. The one owner of the empty prompt, for caption dropout and guidance alike.

    Legend: B prompts, L positions (77 for CLIP), D width.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.width: int = model.config.hidden_size
        self.length: int = model.config.max_position_embeddings
        """Positions, the start and end tokens among them."""
        self.max_tokens: int = self.length - 2
        """Content tokens that fit."""
        if len(tokenizer) != model.config.vocab_size:
            raise ModelError(
                f"{name}: the tokenizer has {len(tokenizer)} tokens and the model {model.config.vocab_size} embeddings; "
                "words would be read as other words. Take both from the same folder."
            )

    @classmethod
    def load(cls, folder: str | Path, *, tokenizer: str | Path | None = None, dtype: torch.dtype = torch.float32, **hub: Any) -> "TextEncoder":
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

    def ends(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Position of the end token of each prompt, B: content lies between 0 and it, padding after it."""
        return torch.eq(ids_BL, cast(int, self.tokenizer.eos_token_id)).int().argmax(1)

    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Token ids => last hidden states B L D, after the final norm, on the model's device; differentiable."""
        return self.model(input_ids=ids_BL.to(self.model.device)).last_hidden_state

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts => last hidden states B L D, after the final norm, fp32, on the model's device."""
        return self.states(self.ids(prompts)).float()

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write model and tokenizer as one folder that stock transformers and diffusers open."""
        # A copy: the encoder in hand goes on as it is.
        cast(Any, copy.deepcopy(self.model)).to(dtype).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def empty(self) -> torch.Tensor:
        """The states of the empty prompt, 1 L D."""
        return self.encode([""])

    def token_count(self, prompt: str) -> int:
        """Content tokens of a prompt, uncut."""
        return len(self.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids)

    def cut_words(self, prompt: str) -> str:
        """The tail of the prompt that lies beyond the limit, from the first word that is cut; empty when all of it is read."""
        if self.token_count(prompt) <= self.max_tokens:
            return ""
        words = prompt.split()
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.token_count(" ".join(words[:middle])) <= self.max_tokens else (low, middle - 1)
        return " ".join(words[low:])
