"""Groups of samples and the loss of each sample; how samples, groups and machines are summed is the loop's affair.

Legend: B samples, R those of them with a look-alike, C channel, H W latents, L positions, D width.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional as F

from kimchi.models.lora import without_adapters
from kimchi.recipes.lora import Loss
from kimchi.training.align.unet_loss import Blocks
from kimchi.training.losses import Noising, at_least_fp32, errors

Learn = Literal["pictures", "base", "prior"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Samples of one shape that are asked the same thing, on the UNet's device."""

    learn: Learn = "pictures"
    """As a recipe's source says it."""
    clean_BCHW: torch.Tensor
    """Latents of unit variance; for prior the base's own pictures."""
    noise_BCHW: torch.Tensor
    """Already shifted where the recipe has a noise offset."""
    t_B: torch.Tensor
    """Timesteps."""
    text_BLD: torch.Tensor
    """What the samples are shown with; with gradient where the text encoder is trained."""
    teacher_BLD: torch.Tensor | None = None
    """For base: the English twins through the base's own encoder, no adapter on it. Where a sample's words were dropped, that encoder's empty prompt."""
    other_R: torch.Tensor | None = None
    """For pictures: which samples have a look-alike, each once."""
    other_RLD: torch.Tensor | None = None
    """Their words with the look-alike's name in place of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """A UNet with its adapter, and what a recipe asks of it. Called with a group, it gives the loss of each sample."""

    unet: UNet2DConditionModel
    """The network itself."""
    noising: Noising
    min_snr_gamma: float = 5.0
    loss: Loss = field(default_factory=Loss)
    bf16: bool = False
    """Whether the UNet computes in bf16, by autocast of its device; losses are fp32 either way."""
    forward: Callable[..., Any] | None = None
    """What is called for predictions with gradient where something is wrapped around the UNet, such as DDP."""

    def __call__(self, group: Group) -> torch.Tensor:
        """The loss of each sample, B, fp32; the weight of its source is not in it."""
        noisy_BCHW = self.noising.add(group.clean_BCHW, group.noise_BCHW, group.t_B)
        if group.learn == "base":
            return self._base(group, noisy_BCHW)
        if group.learn == "pictures" and self.loss.contrast and group.other_R is not None:
            return self._contrasted(group, noisy_BCHW)
        return self._denoised(group, self._predict(noisy_BCHW, group.t_B, group.text_BLD))

    def _predict(self, noisy_BCHW: torch.Tensor, t_B: torch.Tensor, text_BLD: torch.Tensor, call: Callable[..., Any] | None = None) -> torch.Tensor:
        # A context for each call: within one, autocast would hand weights cast without gradient to the call that needs their gradient.
        with torch.autocast(noisy_BCHW.device.type, torch.bfloat16, enabled=self.bf16):
            return (call or self.forward or self.unet)(noisy_BCHW, t_B, text_BLD).sample

    def _target(self, group: Group) -> torch.Tensor:
        return self.noising.target(group.clean_BCHW, group.noise_BCHW, group.t_B)

    def _denoised(self, group: Group, predicted_BCHW: torch.Tensor) -> torch.Tensor:
        """The diffusion loss: the prediction's error, weighed by its timestep."""
        return errors(predicted_BCHW, self._target(group), self.loss.huber) * self.noising.min_snr_weight(group.t_B, self.min_snr_gamma)

    def _contrasted(self, group: Group, noisy_BCHW: torch.Tensor) -> torch.Tensor:
        """The diffusion loss, and contrast * max(0, margin + |e(z, t, own) - eps|^2 - |e(z, t, other) - eps|^2) where there is a look-alike.

        A hinge on predictions; Liu et al. 2024 (SCoFT, arXiv:2401.08053) push whole pictures apart to the same end, at many times the cost.
        Plain squares, neither weighed by timestep nor Huber's: the margin means the same everywhere.
        """
        assert group.other_R is not None and group.other_RLD is not None
        rows_R, count, target_BCHW = group.other_R, len(group.t_B), self._target(group)
        # One call for both: a second one would be a second synchronisation under DDP.
        both = self._predict(
            torch.cat([noisy_BCHW, noisy_BCHW[rows_R]]), torch.cat([group.t_B, group.t_B[rows_R]]), torch.cat([group.text_BLD, group.other_RLD])
        )
        own_R, other_R = errors(both[rows_R], target_BCHW[rows_R]), errors(both[count:], target_BCHW[rows_R])
        hinge_R = F.relu(self.loss.contrast_margin + own_R - other_R)
        return self._denoised(group, both[:count]).index_add(0, rows_R, self.loss.contrast * hinge_R)

    def _base(self, group: Group, noisy_BCHW: torch.Tensor) -> torch.Tensor:
        """|e(z, t, H_S) - sg e0(z, t, H_T)|^2 + features * sum_b |f_b - sg f0_b|^2 / |f0_b|^2, e0 and f0 of the base without the adapter.

        The culture adapter is held to what Ma et al. 2024 (PEA-Diffusion, arXiv:2311.17086) teach an encoder, on rows that are not the culture's.
        The units are each sample's own, not the batch's as in alignment: a batch that is cut in pieces would have other units in each.
        """
        assert group.teacher_BLD is not None
        with Blocks(self.unet) as blocks:
            with torch.no_grad(), without_adapters(self.unet):
                wanted_BCHW = self._predict(noisy_BCHW, group.t_B, group.teacher_BLD, self.unet)
            wanted = blocks.take()
            made_BCHW = self._predict(noisy_BCHW, group.t_B, group.text_BLD)
            made = blocks.take()
        loss_B = errors(made_BCHW, wanted_BCHW)
        if self.loss.features:
            for f, f0 in zip(made, wanted, strict=True):
                loss_B = loss_B + self.loss.features * errors(f, f0) / at_least_fp32(f0).square().flatten(1).mean(1)
        return loss_B
