"""Drawings as the miniature would paint them: half noised and denoised again, so that they carry a generator's own faults.

Meng et al. 2022, "SDEdit", arXiv 2108.01073, section 3. The recogniser learns from them that a smudge is no other thing: blur and bent
outlines alone did not teach it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import DDIMScheduler

from kimchi.data.files import atomic_path, sha256
from kimchi.models.load import Model, load_model
from kimchi.models.networks import decoded, encoded
from kimchi.models.precision import autocast_on_cpu
from kimchi.training.loop import Report, seed_of
from kimchi.training.losses import Noising

from .world import to_float

STEPS, BATCH, GUIDANCE = 20, 32, 5.0


def repaint(
    pictures_N3HW: torch.Tensor,
    strengths: list[float],
    seed: int,
    cache: Path,
    report: Report | None = None,
    *,
    painter: str = "mini-base",
    prompts: Sequence[str] = (),
) -> torch.Tensor:
    """uint8 RGB N 3 H W => the same, painted anew from the noise level `strengths[batch % len]` (0 keeps all, 1 keeps nothing).

    Painted once and kept under `cache`; each batch of 32 has one strength.

    Args:
        painter: the model that paints: mini-base or mini.
        prompts: what each picture shows, followed with guidance as generation does it; none for the empty prompt.
    """
    model = load_model(painter)
    name = sha256(pictures_N3HW.numpy().tobytes() + repr((strengths, seed, model.hashes, *prompts)).encode())
    path = cache / f"repainted-{name}.npy"
    if not path.is_file():
        painted: list[torch.Tensor] = []
        for i in range(0, len(pictures_N3HW), BATCH):
            strength = strengths[i // BATCH % len(strengths)]
            painted.append(_painted(model, to_float(pictures_N3HW[i : i + BATCH]), prompts[i : i + BATCH], strength, seed_of(seed, i)))
            if report:
                report(f"repainting by {painter}", min(i + BATCH, len(pictures_N3HW)), len(pictures_N3HW))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, torch.cat(painted).numpy())
    return torch.from_numpy(np.load(path))


@torch.no_grad()
def _painted(model: Model, x_B3HW: torch.Tensor, prompts: Sequence[str], strength: float, source: torch.Generator) -> torch.Tensor:
    # diffusers annotates a pair with what from_config left unused; it comes only when asked for.
    scheduler = cast(Any, DDIMScheduler.from_config({k: v for k, v in model.scheduler_config.items() if k != "_use_default_values"}))
    scheduler.set_timesteps(STEPS)
    times = [t for t in scheduler.timesteps if t <= strength * scheduler.config["num_train_timesteps"]]
    latents_BCHW = encoded(model.vae, x_B3HW).mean * model.vae.config["scaling_factor"]
    noise_BCHW = torch.randn(latents_BCHW.shape, generator=source)
    latents_BCHW = Noising(model.scheduler_config).add(latents_BCHW, noise_BCHW, times[0].repeat(len(latents_BCHW)))
    empty_BLD = model.text.empty().expand(len(latents_BCHW), -1, -1)
    states = [empty_BLD, model.text.encode(list(prompts))] if prompts else [empty_BLD]
    for t in times:
        with autocast_on_cpu():
            predicted = model.unet(latents_BCHW.repeat(len(states), 1, 1, 1), t, torch.cat(states)).sample.float()
        unheard, heard = predicted[: len(latents_BCHW)], predicted[-len(latents_BCHW) :]
        # Ho & Salimans 2022, arXiv 2207.12598, equation 6; without prompts both halves are the same.
        latents_BCHW = scheduler.step(unheard + GUIDANCE * (heard - unheard), t, latents_BCHW).prev_sample
    pixels = decoded(model.vae, latents_BCHW / model.vae.config["scaling_factor"])
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte()
