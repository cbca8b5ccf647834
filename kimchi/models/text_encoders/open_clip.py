"""The multilingual text towers of open_clip_torch (xlm-roberta, nllb-clip): their hidden states, not only the pooled vector.

Legend: B prompts, L positions, W the tower's width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch

from kimchi.errors import ModelError

from ._base import Encoder

LENGTH = 77
"""Positions the UNet reads; these towers were trained on no more."""
KOREAN = "kor_Hang"
"""NLLB's name of the language, its first token."""


class TextEncoder(Encoder):
    """The Hugging Face tower within an open_clip model. Its states see both ways, and its padding is the end token's state."""

    def __init__(self, tower: Any, tokenizer: Any, name: str, source: str = "") -> None:
        """Take a tower in hand.

        Args:
            tower: open_clip's HFTextEncoder. tokenizer: open_clip's HFTokenizer.
            source: what `load` was asked for.
        """
        if not hasattr(tower, "transformer") or not hasattr(tower.transformer, "config"):
            raise ModelError(f"{name}: its text tower is open_clip's own, which has no multilingual vocabulary. Choose an xlm-roberta or nllb-clip model.")
        self.model = tower.transformer.eval().requires_grad_(False)
        self.read, self.tokenizer = tokenizer, tokenizer.tokenizer
        self.name, self.source = name, source or name
        config = self.model.config
        self.width = int(getattr(config, "hidden_size", 0) or config.d_model)
        self.length = LENGTH
        self.pad: int = config.pad_token_id
        # xlm-roberta's table has rows beyond its vocabulary in some files; fewer rows than tokens would read foreign memory.
        if len(self.tokenizer) > config.vocab_size:
            raise ModelError(f"{name}: the tokenizer has {len(self.tokenizer)} tokens and the model {config.vocab_size} embeddings. Take both from one model.")
        if KOREAN in self.tokenizer.get_vocab() and hasattr(tokenizer, "set_language"):
            tokenizer.set_language(KOREAN)

    @classmethod
    def load(cls, folder: str | Path, **_: Any) -> Self:
        """From "MODEL@WEIGHTS" (xlm-roberta-large-ViT-H-14@frozen_laion5b_s13b_b90k), a folder with open_clip_config.json, or "hf-hub:OWNER/NAME".

        Raises:
            ModelError: no such model or weights.
        """
        import open_clip

        name, _at, tag = str(folder).partition("@")
        place = f"local-dir:{name}" if Path(name).is_dir() else name
        try:
            model = open_clip.create_model(place, pretrained=tag or None, require_pretrained=":" not in place)
            tokenizer = open_clip.get_tokenizer(place, context_length=LENGTH)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{folder}: open_clip cannot load it ({reason}). Write MODEL@WEIGHTS as open_clip lists them, or a folder.") from error
        return cls(getattr(model, "text", model), tokenizer, Path(name).name, str(folder))

    def ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Token ids B L: start or language, content, end, padding."""
        return cast(torch.Tensor, self.read(list(prompts), context_length=self.length))

    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Last hidden states B L W. Padding was never seen in training and holds nothing: it takes the state of the end token."""
        ids_BL = ids_BL.to(self.device)
        states_BLW = self.model(input_ids=ids_BL, attention_mask=(ids_BL != self.pad).long()).last_hidden_state
        end_B11 = self.ends(ids_BL)[:, None, None].expand(-1, 1, states_BLW.shape[2])
        return torch.where((ids_BL == self.pad)[:, :, None], states_BLW.gather(1, end_B11), states_BLW)

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """A tower alone is never what a UNet reads; it is saved with its adapter."""
        raise ModelError(f"{self.name}: gives {self.width}-wide states that see both ways, which no UNet reads as they are. Add `adapter: mlp` to the recipe.")
