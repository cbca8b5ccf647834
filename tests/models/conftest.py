"""Run folders with random adapters, and stock diffusers beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi.data.files import hash_file, write_json, write_text
from kimchi.models import lora
from kimchi.models.export import export
from kimchi.models.load import Model, load_base, load_model, with_encoder
from kimchi.recipes.lora import Lora

# Legend: B batch, C channel, H W pixels, L tokens, D width.
X_BCHW, T_B, C_BLD = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([500]), torch.ones(1, 77, 128).cumsum(1) / 77
MakeRun = Callable[..., Path]
SHAPES: dict[str, dict[str, Any]] = {
    "alpha is not rank, convolutions too": {"unet": Lora(rank=4, alpha=2, targets="all")},
    "rsLoRA": {"unet": Lora(rank=8, alpha=16, targets="attention", rslora=True)},
    "the text encoder too": {"unet": Lora(rank=4, alpha=3, targets="attention"), "text": Lora(rank=2, alpha=6, targets="attention+feedforward")},
    "DoRA": {"unet": Lora(rank=4, alpha=2, targets="all", dora=True), "text": Lora(rank=2, alpha=6, dora=True)},
}


@pytest.fixture(scope="session")
def make_run(base_folder: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """A run folder whose adapter is random: how one is trained changes nothing in how it is written."""

    def make(unet: Lora, text: Lora | None = None, **card: Any) -> Path:
        folder = tmp_path_factory.mktemp("run")
        model = with_encoder(load_base(str(base_folder)), str(encoder_folder), "test")
        trained = lora.add(model.unet, unet) | (lora.add_text(model.text.model, text) if text else {})
        source = torch.Generator().manual_seed(3)
        for parameter in trained.values():
            # Gives DoRA's lengths, which begin at those of the weights, a change that matters and not another order of size.
            parameter.data = parameter.data * 1.1 + 0.05 * torch.randn(parameter.shape, generator=source)
        said = {
            "name": "라면-lora", "base": str(base_folder), "text_encoder": str(encoder_folder), "hashes": model.hashes, "miniature": False,
            "lora": unet.model_dump(), "steps": 4, "credit": "AI 허브 「한국 이미지(음식)」", "recipe_hash": "abc", "kimchi": "0.1.0",
        }  # fmt: skip
        lora.save(model.unet, folder / "adapter.safetensors", {"base": said["base"], "hashes": model.hashes}, text_encoder=model.text.model if text else None)
        write_json(folder / "card.json", said | card | {"sha256": {"adapter.safetensors": hash_file(folder / "adapter.safetensors")}})
        write_text(folder / "recipe.yaml", "resolution_px: 256\nsources: [{captions: data/captions.jsonl}]\n")
        return folder

    return make


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a model says of one noisy picture and one list of tokens."""

    unet: torch.Tensor
    text: torch.Tensor

    def same(self, other: "Drawn") -> bool:
        """To the rounding that merging or not merging leaves."""
        return torch.allclose(self.unet, other.unet, atol=2e-5) and torch.allclose(self.text, other.text, atol=2e-5)


def drawn(model: Any) -> Drawn:
    """By a model of ours, or a stock pipeline."""
    text = model.text.model if isinstance(model, Model) else model.text_encoder
    with torch.no_grad():
        return Drawn(unet=model.unet(X_BCHW, T_B, C_BLD).sample, text=text(input_ids=torch.arange(77)[None]).last_hidden_state)


@pytest.fixture
def draw() -> Callable[[Any], Drawn]:
    return drawn


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run of one shape, and what kimchi says with it."""

    folder: Path
    drawn: Drawn
    kohya: Path
    """Exported to one .safetensors."""


@pytest.fixture(scope="session")
def made(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """One of each shape."""
    found: dict[str, Made] = {}

    def make(shape: str) -> Made:
        if shape not in found:
            folder = make_run(**SHAPES[shape])
            file = export(str(folder), "kohya", out=tmp_path_factory.mktemp("kohya") / "out").path
            found[shape] = Made(folder=folder, drawn=drawn(load_model(str(folder))), kohya=file)
        return found[shape]

    return make


@pytest.fixture
def stock(base_folder: Path, encoder_folder: Path) -> Any:
    """Stock diffusers with the encoder swapped in, as the model card says."""
    encoder, tokenizer = CLIPTextModel.from_pretrained(encoder_folder, dtype=torch.float32), CLIPTokenizer.from_pretrained(encoder_folder)
    return StableDiffusionPipeline.from_pretrained(str(base_folder), dtype=torch.float32, text_encoder=encoder, tokenizer=tokenizer)
