"""Near pictures get near bits, whatever the model; a model that cannot be loaded is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from kimchi.errors import ModelError
from kimchi.models.embeddings import BITS, load_embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real CLIP vision tower with random weights, in its own format."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("tower")
    config = CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
    CLIPVisionModel(config).save_pretrained(place)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(place)
    return place


def _photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)


def _differing(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_near_pictures_get_near_bits(folder: Path) -> None:
    first, again, other = load_embedder(str(folder)).bits([_photo(1), _photo(1).resize((90, 90)), _photo(2)])
    assert len(first) * 4 == BITS
    assert _differing(first, again) < _differing(first, other)


def test_a_picture_has_the_same_bits_alone_and_among_others(folder: Path) -> None:
    embedder = load_embedder(str(folder))
    assert _differing(embedder.bits([_photo(3)])[0], embedder.bits([_photo(4), _photo(3)])[1]) <= 2  # rounding at a plane


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="leave it empty"):
        load_embedder(str(tmp_path))
