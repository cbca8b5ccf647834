"""Noise -> latents -> pictures: DDIM with classifier-free guidance, or the few steps of a consistency model.

Shapes: B pictures, C latent channels, H W latent side, L tokens, D text width.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from kimchi.errors import ModelError
from kimchi.generation.settings import DDIM, LCM, MOST_STEPS

OnStep = Callable[[int, int, torch.Tensor], None]
"""Called after every step with steps done, steps in all (every chunk counted), and the chunk's latents_BCHW as the network now guesses them clean;
raising from it stops the drawing."""


def sample(
    unet: Any,
    scheduler_config: dict[str, Any],
    text_BLD: torch.Tensor,
    empty_1LD: torch.Tensor,
    *,
    seeds: Sequence[int],
    steps: int,
    guidance: float,
    latent_shape: tuple[int, int, int],
    on_step: OnStep | None = None,
    chunk: int = 16,
    sampler: str = DDIM,
) -> torch.Tensor:
    """Draw latents from text states.

    Args:
        unet: a UNet2DConditionModel in eval mode; its device and dtype are used.
        scheduler_config: of any diffusers scheduler; betas and prediction type are read from it.
        text_BLD: one prompt's states a picture.
        empty_1LD: the states that guidance steps away from: the empty prompt's, or a negative prompt's.
        seeds: one a picture, 0 to MAX_SEED. A picture's noise does not depend on its neighbours; its last bits depend on the size of its chunk.
        steps: denoising steps, 1 to the length of the schedule (1000).
        guidance: 1 follows the prompt unaided, larger follows it harder.
        latent_shape: C, H, W.
        on_step: watches, or stops by raising.
        chunk: the most pictures denoised at once.
        sampler: DDIM, or LCM for a UNet that was distilled for few steps.

    Returns:
        latents_BCHW, float32, on the UNet's device, in the VAE's scaled units.
    """
    with torch.inference_mode():
        walk = _WALKS[sampler]
        total = steps * -(-len(seeds) // chunk)
        done = 0
        parts: list[torch.Tensor] = []
        for start in range(0, len(seeds), chunk):
            part = slice(start, start + chunk)
            text_bLD = text_BLD[part].to(unet.device, unet.dtype)
            states_BLD = torch.cat([empty_1LD.to(text_bLD).expand_as(text_bLD), text_bLD])
            sources = noise_sources(seeds[part])
            latents_BCHW = _noise(sources, latent_shape).to(unet.device)
            for now, move in walk(scheduler_config, steps, sources):
                output_BCHW = _guided(unet, latents_BCHW, now, states_BLD, guidance, halve=sampler == LCM and guidance == 1)
                latents_BCHW, clean_BCHW = move(output_BCHW, latents_BCHW)
                done += 1
                if on_step is not None:
                    on_step(done, total, clean_BCHW)
            parts.append(latents_BCHW)
        return torch.cat(parts)


def noise_sources(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a picture keeps neighbours apart; on the CPU, where a seed means the same on every machine."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def initial_noise(seeds: Sequence[int], latent_shape: tuple[int, int, int]) -> torch.Tensor:
    """Unit noise that a picture begins as, float32 on the CPU."""
    return _noise(noise_sources(seeds), latent_shape)


def _noise(sources: list[torch.Generator], latent_shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.stack([torch.randn(latent_shape, generator=source) for source in sources])


def decode(vae: Any, latents_BCHW: torch.Tensor) -> list[Image.Image]:
    """Latents in scaled units => float RGB [-1, 1] => uint8 RGB [0, 255] pictures. One at a time: the same bytes whatever the batch.

    Raises:
        ModelError: the pictures hold NaN or infinity.
    """
    pictures: list[Image.Image] = []
    with torch.inference_mode():
        for latents_CHW in latents_BCHW:
            latents_1CHW = (latents_CHW / vae.config.scaling_factor)[None].to(vae.device, vae.dtype)
            rgb_CHW: torch.Tensor = vae.decode(latents_1CHW).sample[0].float().cpu()
            # NaN cast to uint8 is a black picture that looks like a drawing of night.
            if not torch.isfinite(rgb_CHW).all():
                raise ModelError(
                    "The VAE gave NaN or infinity: the weights are damaged, or too large for half precision. Fetch them again, or load them in float32."
                )
            bytes_HWC = ((rgb_CHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
            pictures.append(Image.fromarray(np.ascontiguousarray(bytes_HWC.numpy())))
    return pictures


Move = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""The network's output and the latents => the next latents, and what they are guessed to become."""


def _ddim(config: dict[str, Any], steps: int, sources: list[torch.Generator]) -> Iterator[tuple[int, Move]]:
    """Timesteps, each with its move. Nothing is drawn by lot on the way."""
    scheduler = _scheduler(config, steps)
    for now, later in _strides(scheduler):
        yield now, partial(_ddim_step, scheduler, now, later)


def _lcm(config: dict[str, Any], steps: int, sources: list[torch.Generator]) -> Iterator[tuple[int, Move]]:
    """Luo et al. 2023 (arXiv:2310.04378), algorithm 3: jump to the clean guess, and noise it again, from each picture's own generator."""
    from diffusers.schedulers.scheduling_lcm import LCMScheduler

    scheduler: Any = LCMScheduler.from_config({**config, "clip_sample": False, "original_inference_steps": MOST_STEPS[LCM]})
    scheduler.set_timesteps(steps)

    def move(now: int, output_BCHW: torch.Tensor, latents_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        moved = scheduler.step(output_BCHW, now, latents_BCHW, generator=sources)
        return moved.prev_sample, moved.denoised

    for now in scheduler.timesteps.tolist():
        yield now, partial(move, now)


_WALKS: dict[str, Callable[[dict[str, Any], int, list[torch.Generator]], Iterator[tuple[int, Move]]]] = {DDIM: _ddim, LCM: _lcm}


def _scheduler(config: dict[str, Any], steps: int) -> Any:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    # Two defaults of saved configs go wrong without a word. Clipping to [-1, 1] is for pixels and flattens latents. "leading" spacing
    # starts 600 steps at t = 600, where pure noise passes for a half-finished picture; "trailing" always starts at the end
    # (Lin et al. 2024, arXiv:2305.08891, table 2).
    scheduler: Any = DDIMScheduler.from_config({**config, "clip_sample": False, "timestep_spacing": "trailing"})
    scheduler.set_timesteps(steps)
    return scheduler


def _strides(scheduler: Any) -> list[tuple[int, int]]:
    """Pairs (timestep, the next one), -1 for the clean picture.

    DDIMScheduler.step reckons the next as t - T // steps, which misses it where steps does not divide T: 600 steps would stop while noisy.
    """
    times: list[int] = scheduler.timesteps.tolist()
    return list(zip(times, [*times[1:], -1], strict=True))


def _guided(unet: Any, latents_BCHW: torch.Tensor, time: int, states_BLD: torch.Tensor, guidance: float, *, halve: bool) -> torch.Tensor:
    """Ho & Salimans 2022 (arXiv:2207.12598), equation 6 with guidance = 1 + w; both halves in one doubled batch: empty first, text second.

    With `halve` only the second is computed, which is all that a guidance of 1 uses.
    """
    if halve:
        return unet(latents_BCHW.to(unet.dtype), time, encoder_hidden_states=states_BLD.chunk(2)[1]).sample.float()
    doubled_BCHW = torch.cat([latents_BCHW, latents_BCHW]).to(unet.dtype)
    out_BCHW: torch.Tensor = unet(doubled_BCHW, time, encoder_hidden_states=states_BLD).sample.float()
    empty_BCHW, text_BCHW = out_BCHW.chunk(2)
    return empty_BCHW + guidance * (text_BCHW - empty_BCHW)


def _ddim_step(scheduler: Any, now: int, later: int, output_BCHW: torch.Tensor, latents_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Song et al. 2021 (arXiv:2010.02502), equation 12 with sigma = 0; the scheduler turns the network's output into the clean guess."""
    clean_BCHW: torch.Tensor = scheduler.step(output_BCHW, now, latents_BCHW).pred_original_sample
    signal_now = float(scheduler.alphas_cumprod[now])
    signal_later = float(scheduler.alphas_cumprod[later] if later >= 0 else scheduler.final_alpha_cumprod)
    noise_BCHW = (latents_BCHW - signal_now**0.5 * clean_BCHW) / (1 - signal_now) ** 0.5
    return signal_later**0.5 * clean_BCHW + (1 - signal_later) ** 0.5 * noise_BCHW, clean_BCHW
