"""The base's own pictures of captions: what prior preservation goes on learning (Ruiz et al. 2023, DreamBooth, arXiv:2208.12242, section 3.2)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from kimchi.data.files import sha256, write_bytes
from kimchi.generation.sampler import sample
from kimchi.models.load import Model
from kimchi.models.lora import without_adapters
from kimchi.training.cache.keys import name_encoder
from kimchi.training.loop import Report

GUIDANCE, STEPS = 5.0, 30


def prior_seed(seed: int, caption: str) -> int:
    """The seed of a caption's picture, 0 to 2**32 - 1: the same whatever other captions a recipe has, and in whichever order."""
    return int(sha256(f"{seed}/{caption}".encode())[:8], 16)


def draw_latents(
    unet: UNet2DConditionModel, scheduler_config: dict[str, Any], encoder: Any, captions: Sequence[str], seeds: Sequence[int], *,
    latent_shape: tuple[int, int, int], steps: int = STEPS, batch: int = 16, report: Report | None = None,
) -> torch.Tensor:  # fmt: skip
    """What the base draws from captions by DDIM with guidance: latents N C H W of unit variance, fp32, on the CPU.

    An adapter on the UNet is off meanwhile.

    Args:
        encoder: the base's own text encoder; through another one the pictures would be of nothing in particular.
        captions: in the base's own language.
        seeds: one a caption; prior_seed gives them.
        latent_shape: C, H, W of each.
        steps: denoising steps.
        batch: pictures drawn together. It changes their last bits, so keep it when they are drawn again.
    """
    made: list[torch.Tensor] = []
    for i in range(0, len(captions), batch):
        part = captions[i : i + batch]
        with without_adapters(unet):
            drawn = sample(
                unet, scheduler_config, encoder.encode(part), encoder.empty(), seeds=seeds[i : i + batch], steps=steps, guidance=GUIDANCE,
                latent_shape=latent_shape, chunk=len(part),
            )  # fmt: skip
        made.append(drawn.cpu())
        if report:
            report("drawing the base's own pictures", i + len(part), len(captions))
    # A copy: what is made in inference mode can never be part of a loss.
    return torch.cat(made).clone()


def kept_latents(
    model: Model, encoder: Any, captions: Sequence[str], seed: int, *, latent_shape: tuple[int, int, int], folder: Path, report: Report | None = None,
) -> torch.Tensor:  # fmt: skip
    """The base's pictures of captions, drawn once and kept in a cache's folder; a caption that comes twice is drawn once.

    Args:
        encoder: the base's own.
        folder: the cache (cache_folder).
    """
    unique = list(dict.fromkeys(captions))
    said = json.dumps([model.hashes, name_encoder(encoder), unique, seed, latent_shape, STEPS, GUIDANCE], sort_keys=True, ensure_ascii=False)
    path = folder / "prior" / f"{sha256(said.encode(), 64)}.safetensors"
    if not path.is_file():
        seeds = [prior_seed(seed, caption) for caption in unique]
        drawn = draw_latents(model.unet, model.scheduler_config, encoder, unique, seeds, latent_shape=latent_shape, report=report)
        write_bytes(path, to_safetensors({"latents": drawn.contiguous()}))
    latents_NCHW, place = load_file(path)["latents"], {caption: i for i, caption in enumerate(unique)}
    return latents_NCHW[[place[caption] for caption in captions]]
