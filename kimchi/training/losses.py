"""Diffusion losses: how pictures are noised, what the UNet is asked of them, and how timesteps are weighed. Everything is per sample.

Legend: B batch, C channel, H W latents.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from diffusers import DDPMScheduler
from torch.nn import functional as F

from kimchi.errors import ModelError, RecipeError

PREDICTIONS = ("epsilon", "v_prediction")
"""What a UNet may have been taught to say, as schedulers name it."""


class Noising:
    """The forward process of a scheduler's configuration: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps (Ho et al. 2020, eq. 4)."""

    def __init__(self, scheduler_config: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """Read the schedule and what is predicted.

        Args:
            scheduler_config: of any diffusers scheduler, as its file says it.
            device: where timesteps will lie; a schedule elsewhere would make the loop wait at every step.

        Raises:
            ModelError: a prediction that cannot be trained, or noise prediction with zero terminal SNR.
        """
        # A configuration taken from memory lists the settings it left at their default, and from_config drops whatever is listed.
        said = {key: value for key, value in scheduler_config.items() if key != "_use_default_values"}
        scheduler = cast(DDPMScheduler, DDPMScheduler.from_config(said))
        self.prediction: str = scheduler.config["prediction_type"]
        # The scheduler has rescaled its betas by now: SNRs of the schedule before would weigh the last timesteps wrongly without a word.
        self.alphas_cumprod: torch.Tensor = scheduler.alphas_cumprod.to(device)
        self.steps: int = scheduler.config["num_train_timesteps"]
        # The last of them: the schedule falls.
        self.zero_terminal = float(scheduler.alphas_cumprod[-1]) < 1e-9
        """Whether the last timestep is noise alone (Lin et al. 2024, arXiv:2305.08891, section 3.1)."""
        self._check()

    def _check(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise ModelError(f"The base's scheduler has prediction_type {self.prediction!r}; trained are {' and '.join(PREDICTIONS)}. Use another base.")
        if self.zero_terminal and self.prediction == "epsilon":
            raise ModelError(
                "The base's scheduler has rescale_betas_zero_snr with prediction_type 'epsilon': at its last timestep nothing of the picture is left, and "
                "the weight of that loss is 0 / 0. Set rescale_betas_zero_snr to false in scheduler_config.json, or use a base of v_prediction."
            )

    def add(self, latents_BCHW: torch.Tensor, noise_BCHW: torch.Tensor, t_B: torch.Tensor) -> torch.Tensor:
        """Noisy latents at timesteps t_B in [0, steps)."""
        a_B111 = self.alphas_cumprod[t_B].view(-1, 1, 1, 1)
        return a_B111.sqrt() * latents_BCHW + (1 - a_B111).sqrt() * noise_BCHW

    def target(self, latents_BCHW: torch.Tensor, noise_BCHW: torch.Tensor, t_B: torch.Tensor) -> torch.Tensor:
        """What the UNet should say: eps, or v = sqrt(a_t) eps - sqrt(1 - a_t) x_0 (Salimans and Ho 2022, arXiv:2202.00512, section 4)."""
        if self.prediction == "epsilon":
            return noise_BCHW
        a_B111 = self.alphas_cumprod[t_B].view(-1, 1, 1, 1)
        return a_B111.sqrt() * noise_BCHW - (1 - a_B111).sqrt() * latents_BCHW

    def snr(self, t_B: torch.Tensor) -> torch.Tensor:
        """Signal over noise, a_t / (1 - a_t)."""
        a_B = self.alphas_cumprod[t_B]
        return a_B / (1 - a_B)

    def min_snr_weight(self, t_B: torch.Tensor, gamma: float) -> torch.Tensor:
        """min(SNR, gamma) / SNR for noise prediction, / (SNR + 1) for v (Hang et al. 2023, arXiv:2303.09556); 1 everywhere when gamma is 0.

        Both weigh the clean picture's error by min(SNR, gamma). With zero terminal SNR the last timestep therefore weighs nothing.
        """
        if gamma <= 0:
            return torch.ones(len(t_B), device=self.alphas_cumprod.device)
        snr_B = self.snr(t_B)
        return snr_B.clamp(max=gamma) / (snr_B if self.prediction == "epsilon" else snr_B + 1)

    def offset(self, noise_BCHW: torch.Tensor, shift_BC: torch.Tensor, strength: float) -> torch.Tensor:
        """Noise whose channels are shifted as a whole: eps + strength * shift (Guttenberg 2023, "Diffusion with Offset Noise").

        For training alone: held-out losses with it would be of other pictures' noise. Its variance is 1 + strength^2, and the target is the shifted noise.

        Args:
            shift_BC: unit normal, drawn once for each channel of each sample.

        Raises:
            RecipeError: the schedule ends at pure noise already.
        """
        if strength and self.zero_terminal:
            raise RecipeError(
                f"loss.noise_offset is {strength:g}, and the base's schedule has zero terminal SNR: it draws dark and bright pictures already, and the "
                "shift would make its last timestep other noise than pictures start from. Set it to 0."
            )
        return noise_BCHW + strength * shift_BC[:, :, None, None] if strength else noise_BCHW


def at_least_fp32(x: torch.Tensor) -> torch.Tensor:
    """The same numbers in fp32, or as they are where that is finer: squares of bf16 numbers would keep two digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def errors(predicted_BCHW: torch.Tensor, target_BCHW: torch.Tensor, huber: float = 0.0) -> torch.Tensor:
    """Each sample's error, B: the mean over its elements of the square, in fp32.

    Args:
        huber: an element's error e above it counts 2 huber |e| - huber^2 instead of e^2: Huber 1964, twice, so that below it nothing changes.
    """
    predicted_BCHW, target_BCHW = at_least_fp32(predicted_BCHW), at_least_fp32(target_BCHW)
    if huber:
        return 2 * F.huber_loss(predicted_BCHW, target_BCHW, reduction="none", delta=huber).flatten(1).mean(1)
    return F.mse_loss(predicted_BCHW, target_BCHW, reduction="none").mean(tuple(range(1, predicted_BCHW.dim())))


def noise_loss(predicted_BCHW: torch.Tensor, noise_BCHW: torch.Tensor, weight_B: torch.Tensor) -> torch.Tensor:
    """Weighted mean squared error of the predicted noise over the batch, in fp32."""
    return (errors(predicted_BCHW, noise_BCHW) * weight_B).mean()
