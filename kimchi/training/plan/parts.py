"""What a recipe's base and encoder look like, by their configurations alone: from this machine, else as they were published."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kimchi.models.places import weights_folder
from kimchi.recipes import LoraRecipe

Config = Mapping[str, Any]

SD15_UNET: Config = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
    "cross_attention_dim": 768, "attention_head_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}  # fmt: skip
"""unet/config.json of stable-diffusion-v1-5/stable-diffusion-v1-5; what is left out is diffusers' default. 859.52 million parameters."""
SD15_VAE: Config = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "sample_size": 512,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
"""vae/config.json of the same: 83.65 million parameters."""
CLIP_L_TEXT: Config = {
    "model_type": "clip_text_model", "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
}  # fmt: skip
"""text_encoder/config.json of the same, which is openai/clip-vit-large-patch14's; Korean-CLIP has its shape and a vocabulary of about this size."""
FIRST_FAMILY = ("stable-diffusion-v1-", "sd15", "sd-v1-")
"""Parts of names that tell a Stable Diffusion 1.x."""
CLIP_TYPES = ("clip", "clip_text_model", "clip_text")
_WIDTH_KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
"""In a single-file checkpoint of a Stable Diffusion: its second side is the width of the text states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Configurations of a base and of the encoder it hears."""

    unet: Config
    vae: Config
    text: Config
    scheduler: Config
    base_read: bool
    """Whether the base's configurations were read here; otherwise they are Stable Diffusion 1.5's as published."""
    text_read: bool
    """Whether the encoder's was."""
    lacking: tuple[str, ...]
    """What is not on this machine, a sentence each."""

    @property
    def text_width(self) -> int:
        """Width of the encoder's states; 0 where nothing tells."""
        return next((int(self.text[key]) for key in ("hidden_size", "d_model", "width") if self.text.get(key)), 0)

    @property
    def vae_factor(self) -> int:
        """Pixels a latent stands for, on a side."""
        return 2 ** (len(self.vae["block_out_channels"]) - 1)

    @property
    def side_px(self) -> int:
        """What sides of pictures must be multiples of, pixels: the VAE's factor times the UNet's."""
        return self.vae_factor * 2 ** (len(self.unet["block_out_channels"]) - 1)


def read_parts(recipe: LoraRecipe) -> Parts:
    """The configurations of a recipe's parts. Reads no weights and asks no network."""
    lacking: list[str] = []
    unet, vae, scheduler = (config_of(recipe.base, sub) for sub in ("unet", "vae", "scheduler"))
    width = _width_of_file(recipe.base)
    if unet is None and not width:
        lacking.append(_where(recipe.base, "base") + "; counted as Stable Diffusion 1.5, as published.")
    text = config_of(recipe.text_encoder, "")
    if text is None:
        lacking.append(_where(recipe.text_encoder, "text_encoder") + "; counted as a CLIP ViT-L/14 text tower.")
    return Parts(
        unet=unet or {**SD15_UNET, "cross_attention_dim": width or SD15_UNET["cross_attention_dim"]}, vae=vae or SD15_VAE, text=text or CLIP_L_TEXT,
        scheduler=scheduler or {}, base_read=unet is not None or bool(width), text_read=text is not None, lacking=tuple(lacking),
    )  # fmt: skip


def is_folder_name(name: str) -> bool:
    """Whether a name can only be a folder: a hub id is owner/name, and runs/... is where our own commands write."""
    return name.startswith(("/", ".", "~", "runs/")) or name.count("/") > 1


def config_of(name: str, sub: str) -> Config | None:
    """A part's configuration from a shipped or given folder, or from the hub's cache on this machine; None where none of them has it."""
    shipped = weights_folder() / name
    folder = shipped if shipped.is_dir() else Path(name).expanduser()
    file = "scheduler_config.json" if sub == "scheduler" else "config.json"
    path = folder / sub / file
    if not path.is_file() and name.count("/") == 1 and not is_folder_name(name):
        path = _cached(name, f"{sub}/{file}" if sub else file)
    try:
        said = cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8"))) if path else {}
    except (OSError, ValueError):
        return None
    # A whole CLIPModel keeps its text half's numbers a level down.
    return said.get("text_config", said) or None


def _cached(name: str, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file)
    return Path(found) if isinstance(found, str) else None


def _width_of_file(name: str) -> int:
    """The text width of a single-file checkpoint, from its header; 0 for anything else."""
    path = Path(name).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        return 0
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return int(header[_WIDTH_KEY]["shape"][1])
    except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError):
        return 0


def _where(name: str, field: str) -> str:
    if is_folder_name(name) or Path(name).suffix == ".safetensors":
        return f"{field}: {name} is not there"
    return f"{field}: {name} is not on this machine and is fetched from the hub at the first run"
