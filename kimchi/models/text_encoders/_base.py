"""What every text encoder offers beside its own way of reading: the empty prompt, token counts, and what is cut off."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


class Encoder(ABC):
    """Prompts => the states a UNet attends to. The one owner of the empty prompt, for caption dropout and guidance alike.

    Legend: B prompts, L positions (77 for CLIP), D width.
    """

    name: str
    width: int
    length: int
    """Positions, the start and end tokens among them."""
    model: Any
    """A torch module."""
    tokenizer: Any
    """A transformers tokenizer."""

    @property
    def max_tokens(self) -> int:
        """Content tokens that fit."""
        return self.length - 2

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @abstractmethod
    def ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts => token ids B L: start, content, end, and padding up to the last position."""

    @abstractmethod
    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Token ids => states B L D, on the model's device; differentiable."""

    @abstractmethod
    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write everything that loading it again needs into a folder."""

    def ends(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Position of the end token of each prompt, B: content lies between 0 and it, padding after it."""
        return torch.eq(ids_BL, self.tokenizer.eos_token_id).int().argmax(1)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts => states B L D, fp32, on the model's device."""
        return self.states(self.ids(prompts)).float()

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
