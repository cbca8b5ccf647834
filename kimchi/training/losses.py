"""Diffusion losses: what the UNet is asked, and how steps are weighed."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from diffusers import DDPMScheduler
from torch.nn import functional as F

# Legend: B batch, C channel, H W, L tokens, D width.


class Noising:
    """The forward process of a scheduler's configuration: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps (Ho et al. 2020, eq. 4)."""

    def __init__(self, scheduler_config: Mapping[str, Any]) -> None:
        # A configuration taken from memory lists the settings it left at their default, and from_config drops whatever is listed.
        said = {key: value for key, value in scheduler_config.items() if key != "_use_default_values"}
        scheduler = cast(DDPMScheduler, DDPMScheduler.from_config(said))
        prediction = scheduler.config["prediction_type"]
        if prediction != "epsilon":
            raise NotImplementedError(f"prediction_type {prediction!r}: only 'epsilon' is trained so far")
        self.alphas_cumprod: torch.Tensor = scheduler.alphas_cumprod
        self.steps: int = scheduler.config["num_train_timesteps"]

    def add(self, latents_BCHW: torch.Tensor, noise_BCHW: torch.Tensor, t_B: torch.Tensor) -> torch.Tensor:
        """Noisy latents at timesteps t_B in [0, steps)."""
        a_B111 = self.alphas_cumprod[t_B].view(-1, 1, 1, 1)
        return a_B111.sqrt() * latents_BCHW + (1 - a_B111).sqrt() * noise_BCHW

    def min_snr_weight(self, t_B: torch.Tensor, gamma: float) -> torch.Tensor:
        """min(SNR, gamma) / SNR for noise prediction (Hang et al. 2023, eq. 8); 1 everywhere when gamma is 0."""
        if gamma <= 0:
            return torch.ones(len(t_B))
        a_B = self.alphas_cumprod[t_B]
        snr_B = a_B / (1 - a_B)
        return snr_B.clamp(max=gamma) / snr_B


def noise_loss(predicted_BCHW: torch.Tensor, noise_BCHW: torch.Tensor, weight_B: torch.Tensor) -> torch.Tensor:
    """Weighted mean squared error of the predicted noise, in fp32."""
    error_B = F.mse_loss(predicted_BCHW.float(), noise_BCHW, reduction="none").mean((1, 2, 3))
    return (error_B * weight_B).mean()
