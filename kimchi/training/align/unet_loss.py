"""A1: what the frozen UNet predicts with the student's states, against what it predicts with the teacher's.

Legend: B batch, C channel, H W latents, L positions, D width.
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn import functional as F


class Blocks:
    """Listens at the UNet's down blocks, middle and up blocks for as long as the `with` lasts; `take` gives what the last call put out there."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self._heard: list[torch.Tensor] = []
        listened: Sequence[Any] = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
        self._blocks = [block for block in listened if block is not None]

    def __enter__(self) -> Self:
        self._handles = [block.register_forward_hook(self._hear) for block in self._blocks]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hear(self, block: nn.Module, given: Any, made: Any) -> None:
        # A down block gives its output and all it keeps for the way up.
        self._heard.append(made[0] if isinstance(made, tuple) else made)

    def take(self) -> list[torch.Tensor]:
        """The outputs of the last call, first block first; forgotten here."""
        heard, self._heard = self._heard, []
        return heard


def unet_loss(
    unet: UNet2DConditionModel, noisy_BCHW: torch.Tensor, t_B: torch.Tensor, student_BLD: torch.Tensor, teacher_BLD: torch.Tensor, features: float
) -> torch.Tensor:
    """|e(z, t, H_S) - sg e(z, t, H_T)|^2 + features * sum_b |f_b_S - sg f_b_T|^2 (Ma et al. 2024, PEA-Diffusion, arXiv:2311.17086).

    Each block's error is in units of that block's mean square: blocks differ in size by orders of magnitude, and the largest would count alone.
    """
    with Blocks(unet) as blocks:
        with torch.no_grad():
            target_BCHW = unet(noisy_BCHW, t_B, teacher_BLD).sample
        wanted = blocks.take()
        made_BCHW = unet(noisy_BCHW, t_B, student_BLD).sample
        outputs = blocks.take()
    loss = F.mse_loss(made_BCHW.float(), target_BCHW.float())
    for made, want in zip(outputs, wanted, strict=True):
        loss = loss + features * F.mse_loss(made.float(), want.float()) / want.float().square().mean()
    return loss
