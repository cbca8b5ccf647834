"""The mini base's VAE: AutoencoderKL, factor 4, four latent channels, trained on the general world and on abstract shapes.

It never sees a Korean drawing; the shapes teach it colours and edges of every kind, so that it can show what it has not seen.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from kimchi.data.sample_world import worlds
from kimchi.models.networks import channels_last, decoded, encoded
from kimchi.models.precision import autocast_on_cpu
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .world import draw, shapes, to_float, world_pictures

CROP_PX = 64
KL_WEIGHT = 1e-6


def build(model: Mapping[str, Any]) -> AutoencoderKL:
    """SD 1.5's class with small widths; `model` holds the widths and depth."""
    widths: tuple[int, ...] = tuple(model.get("widths", (24, 48, 64)))
    # diffusers annotates these as tuples of one.
    levels: dict[str, Any] = {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
    }
    vae = AutoencoderKL(
        **levels,
        latent_channels=4,
        layers_per_block=int(model.get("layers_per_block", 1)),
        norm_num_groups=8,
        sample_size=128,
        # Attention in the middle sees 8 x 8 in training crops and 16 x 16 in use: without it both are the same function.
        mid_block_add_attention=False,
    )
    return channels_last(vae)


def picture_loss(made: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of colours and of edges: without the second, blurred outlines cost almost nothing."""
    edge = sum((a - b).abs().mean() for a, b in zip(_edges(made), _edges(target), strict=True))
    return (made - target).abs().mean() + edge


def _edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train, save to `folder` in diffusers' format with the measured scaling factor, and return scores."""
    torch.manual_seed(recipe.seed)
    pictures_N3HW = torch.cat([draw(world_pictures(worlds("general"), recipe.per_concept, "base"), cache, report=report), shapes(3000, cache)])
    vae = build(recipe.model)

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(pictures_N3HW), (recipe.batch,), generator=source)
        x, y = (int(v) for v in torch.randint(128 - CROP_PX + 1, (2,), generator=source))
        target = to_float(pictures_N3HW[index, :, y : y + CROP_PX, x : x + CROP_PX])
        with autocast_on_cpu():
            posterior = encoded(vae, target)
            noise = torch.randn(posterior.mean.shape, generator=source)
            made = decoded(vae, posterior.mean.float() + posterior.std.float() * noise)
        return picture_loss(made.float(), target) + KL_WEIGHT * posterior.kl().mean()

    plan = loop.Plan(steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=100, ema=0.998, seconds=recipe.minutes * 60, checkpoint_every=250)
    losses = loop.run(dict(vae.named_parameters()), loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)

    vae.eval()
    vae.register_to_config(scaling_factor=round(1 / _latent_std(vae, pictures_N3HW[:512]), 5))
    vae.half().save_pretrained(folder)
    return {"loss": sum(losses[-50:]) / 50, "psnr_general_db": psnr(vae.float(), draw(world_pictures(worlds("general"), 4, "clip"), cache))}


@torch.no_grad()
def _latent_std(vae: AutoencoderKL, pictures: torch.Tensor) -> float:
    return float(encoded(vae, to_float(pictures)).sample(torch.Generator().manual_seed(0)).std())


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of reconstructions, dB over the [0, 1] range."""
    target = to_float(pictures)
    made = decoded(vae, encoded(vae, target).mode()).clamp(-1, 1)
    return float(-10 * torch.log10(((made - target) / 2).square().mean()))
