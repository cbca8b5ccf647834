"""More practice for the VAE's decoder alone: the encoder stays, so latents and whatever was trained on them stay true."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from kimchi.data.sample_world import worlds
from kimchi.models.networks import channels_last, decoded, encoded
from kimchi.models.precision import autocast_on_cpu
from kimchi.recipes import MiniPartRecipe, recipe_hash
from kimchi.training import loop

from .vae import CROP_PX, picture_loss, psnr
from .world import draw, shapes, to_float, world_pictures


def train(recipe: MiniPartRecipe, folder: Path, cache: Path, watch: loop.Watcher | None = None, report: loop.Report | None = None) -> dict[str, float]:
    """Train the decoder of the VAE in `folder` and save it there."""
    torch.manual_seed(recipe.seed)
    pictures_N3HW = torch.cat([draw(world_pictures(worlds("general"), recipe.per_concept, "base"), cache, report=report), shapes(2000, cache)])
    vae: AutoencoderKL = channels_last(AutoencoderKL.from_pretrained(str(folder), dtype=torch.float32))
    vae.requires_grad_(False)
    trained = {n: p for n, p in vae.named_parameters() if n.startswith(("decoder.", "post_quant_conv."))}
    for parameter in trained.values():
        parameter.requires_grad_()

    def loss_at(step: int) -> torch.Tensor:
        source = loop.seed_of(recipe.seed, step)
        index = torch.randint(len(pictures_N3HW), (recipe.batch,), generator=source)
        x, y = (int(v) for v in torch.randint((128 - CROP_PX) // 8 + 1, (2,), generator=source) * 8)
        target = to_float(pictures_N3HW[index, :, y : y + CROP_PX, x : x + CROP_PX])
        with autocast_on_cpu():
            with torch.no_grad():
                posterior = encoded(vae, target)
                noise = torch.randn(posterior.mean.shape, generator=source)
            made = decoded(vae, posterior.mean.float() + posterior.std.float() * noise)
        return picture_loss(made.float(), target)

    plan = loop.Plan(steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=50, ema=0.995, seconds=recipe.minutes * 60, checkpoint_every=250)
    losses = loop.run(trained, loss_at, plan, cache.parent / recipe.name, recipe_hash(recipe), watch)
    vae.eval().half().save_pretrained(folder)
    return {"loss": sum(losses[-50:]) / 50, "psnr_general_db": psnr(vae.float(), draw(world_pictures(worlds("general"), 4, "clip"), cache))}
