"""A base model and a Korean encoder of the true classes and formats, random and very small."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from kimchi.data.files import write_json
from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import captions, noun
from kimchi.data.sample_world.pictures import picture
from kimchi.training.mini import clip, unet, vae
from kimchi.training.mini.tokenizers import learn


def text_folder(folder: Path, tokenizer_folder: Path, width: int = 128) -> None:
    texts = [t for c in worlds("korean") for t in (noun(c).ko, noun(c).en, captions(picture(c, 0)).ko)]
    tokenizer = learn(texts, merges=100)
    config = CLIPTextConfig(**clip.text_config({"width": width, "layers": 1}, tokenizer))
    CLIPTextModel(config).half().save_pretrained(folder)
    tokenizer.save_pretrained(tokenizer_folder)


@pytest.fixture
def make_text_folder() -> Callable[..., None]:
    return text_folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    vae.build({"widths": (8, 16, 16)}).half().save_pretrained(folder / "vae")
    unet.build({"widths": (32, 32, 64), "heads": (1, 1, 1)}).half().save_pretrained(folder / "unet")
    unet.scheduler().save_pretrained(folder / "scheduler")
    write_json(folder / "model_index.json", unet.model_index())
    text_folder(folder / "text_encoder", folder / "tokenizer")
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("korean-clip")
    torch.manual_seed(1)
    text_folder(folder, folder)
    return folder
