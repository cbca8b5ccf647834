"""A text encoder of another width behind a small network that turns its states into what the UNet reads.

Stock diffusers does not know this class: such a folder is opened by kimchi alone, and its config.json says so.

Legend: B prompts, L positions, W the tower's width, D the UNet's width.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kimchi.data.files import write_json
from kimchi.errors import ModelError

from ._base import Encoder

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL_TYPE = "kimchi_adapted_text_encoder"


class Mlp(nn.Module):
    """Norm and three layers with GELU between, position by position (as the adapter of PEA-Diffusion, Ma et al. 2024, arXiv:2311.17086),
    plus what CLIP's causal states have and a two-way tower's have not: a first state that is a constant, and padding that knows its place."""

    def __init__(self, inside: int, outside: int, length: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(inside), nn.Linear(inside, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, outside)
        )  # fmt: skip
        self.start = nn.Parameter(torch.zeros(outside))
        self.places = nn.Parameter(torch.zeros(length, outside))

    def forward(self, states_BLW: torch.Tensor) -> torch.Tensor:
        """States of the tower => states B L D, the first of which is a constant."""
        made_BLD = self.layers(states_BLW) + self.places[: states_BLW.shape[1]]
        first_B1D = self.start.to(made_BLD.dtype).expand(len(made_BLD), 1, -1)
        return torch.cat([first_B1D, made_BLD[:, 1:]], 1)


class _Both(nn.Module):
    """Tower and adapter, so that they move and are counted together."""

    def __init__(self, tower: nn.Module, adapter: Mlp) -> None:
        super().__init__()
        self.tower, self.adapter = tower, adapter


class TextEncoder(Encoder):
    """Any encoder, its states brought to the UNet's width."""

    def __init__(self, tower: Encoder, adapter: Mlp, part: str, source: str) -> None:
        self.inner = tower
        self.model = _Both(tower.model, adapter).eval().requires_grad_(False)
        self.tokenizer, self.name, self.length = tower.tokenizer, f"{tower.name}+mlp", tower.length
        self.width = adapter.start.shape[0]
        self.part, self.source = part, source
        self.tower_changed = False
        """True once layers of the tower have been trained: they are then saved too."""

    @classmethod
    def around(cls, tower: Encoder, width: int, *, part: str, source: str, seed: int = 0, hidden: int = 0) -> Self:
        """A fresh adapter over a tower.

        Args:
            part, source: what load_encoder would be asked for the tower; written down when it is saved.
            hidden: width within the adapter; 0 for twice the UNet's.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapter = Mlp(tower.width, width, tower.length, hidden or 2 * width)
        return cls(tower, adapter, part, source)

    @classmethod
    def load(cls, folder: str | Path, **_: Any) -> Self:
        """From a folder that `save` wrote; the tower comes from where it came then, or from the folder if it was trained.

        Raises:
            ModelError: not such a folder, or weights of another shape.
        """
        place = Path(folder)
        said = json.loads((place / CONFIG).read_text(encoding="utf-8"))
        # Here, since the loader of models reads this file when it meets such a folder.
        from kimchi.models.load import load_encoder

        tower: Encoder = load_encoder(said["source"], said["part"])[0]
        weights = {k: v.float() for k, v in load_file(place / WEIGHTS).items()}
        outside, hidden = weights["adapter.start"].shape[0], weights["adapter.layers.1.weight"].shape[0]
        made = cls.around(tower, outside, part=said["part"], source=said["source"], hidden=hidden)
        try:
            # Without the tower's own keys where the tower was left as it was.
            found = made.model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise ModelError(
                f"{place}: was made around another tower than {said['source']} is here ({str(error).splitlines()[0]}). Use the same one."
            ) from error
        if found.unexpected_keys:
            raise ModelError(f"{place}: {len(found.unexpected_keys)} weights have no place in {said['source']}. Use the tower it was made around.")
        made.tower_changed = bool(said["tower_changed"])
        return made

    def ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Token ids B L of the tower."""
        return self.inner.ids(prompts)

    def ends(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Position of the end token, B."""
        return self.inner.ends(ids_BL)

    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """States B L D; the tower's, through the adapter."""
        return self.model.adapter(self.inner.states(ids_BL))

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Adapter, and the tower if it was trained; else only where the tower came from."""
        folder.mkdir(parents=True, exist_ok=True)
        state = copy.copy(self.model.state_dict())
        kept = {k: v.detach().to(dtype).contiguous().clone() for k, v in state.items() if self.tower_changed or k.startswith("adapter.")}
        save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
        write_json(
            folder / CONFIG,
            {
                "architectures": ["KimchiAdaptedTextEncoder"], "model_type": MODEL_TYPE, "part": self.part, "source": self.source,
                "tower_changed": self.tower_changed, "width": self.width, "length": self.length,
                "note": "Not a class of transformers: open it with kimchi, as the text_encoder of a recipe. Only a CLIP of the UNet's width needs no adapter.",
            },
        )  # fmt: skip
