"""A tiny random model of the real classes: it draws nothing, but it draws the same nothing from the same seed."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from kimchi.generation.generate import Kimchi
from kimchi.models.load import Model
from kimchi.models.text_encoders.clip import TextEncoder

WIDTH = 32


# As SD 1.5 saves it: PNDM, with keys that DDIM does not know, "leading" spacing, and an offset.
SCHEDULER: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "prediction_type": "epsilon",
}
HASHES = {"unet": "aaaa", "vae": "bbbb", "text_encoder": "cccc", "tokenizer": "dddd"}


def tiny_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
    )


def tiny_vae() -> AutoencoderKL:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 32), norm_num_groups=8, **blocks)


def tiny_text() -> TextEncoder:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=len(tokens) - 2,
        eos_token_id=len(tokens) - 1,
    )
    return TextEncoder(CLIPTextModel(config), CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[]), "tiny")


@pytest.fixture(scope="session")
def tiny() -> Model:
    torch.manual_seed(0)
    return Model(
        name="tiny",
        unet=tiny_unet().eval(),
        vae=tiny_vae().eval(),
        text=tiny_text(),
        scheduler_config=SCHEDULER,
        size_px=64,
        hashes=dict(HASHES),
        miniature=True,
    )


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def kimchi(tiny: Model, notices: list[str]) -> Kimchi:
    return Kimchi(tiny, "cpu", notices.append)
