"""A1: what the frozen UNet predicts with the student's states, against what it predicts with the teacher's.

In lanes the same number comes out, but for rounding: each lane takes some samples, and the units of the blocks are still the whole batch's.

Legend: B batch, C channel, H W latents, L positions, D width.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn import functional as F

from kimchi.models.lanes import Lanes, replica


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


class InLanes:
    """The same loss, computed by lanes that take some samples each.

    Args:
        lanes: open; each gets a network of its own over the same weights.
        autocast: makes the recipe's compute type, for each thread anew.
    """

    def __init__(self, unet: UNet2DConditionModel, lanes: Lanes, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        self._nets = [unet, *(replica(unet) for _ in range(1, lanes.count))]
        self._lanes, self._autocast = lanes, autocast

    def __call__(self, noisy_BCHW: torch.Tensor, t_B: torch.Tensor, student_BLD: torch.Tensor, teacher_BLD: torch.Tensor, features: float) -> torch.Tensor:
        """As unet_loss; its gradient reaches the student's states alone, for the UNet is frozen."""
        parts = torch.arange(len(noisy_BCHW)).chunk(self._lanes.count)

        def heard(lane: int, part: torch.Tensor, states_BLD: torch.Tensor) -> list[torch.Tensor]:
            with self._autocast(), Blocks(self._nets[lane]) as blocks:
                made_BCHW = self._nets[lane](noisy_BCHW[part], t_B[part], states_BLD).sample
                return [made_BCHW.float(), *(f.float() for f in blocks.take())]

        @torch.no_grad()
        def teach(lane: int, part: torch.Tensor) -> list[torch.Tensor]:
            return heard(lane, part, teacher_BLD[part])

        taught = self._lanes.map(teach, parts)
        counts = [sum(f.numel() for f in outputs) for outputs in zip(*taught, strict=True)]
        # The prediction counts as it is, each block in units of its own mean square over all samples.
        units = [1.0] + [float(sum(f.square().sum() for f in outputs)) / n for outputs, n in zip([*zip(*taught, strict=True)][1:], counts[1:], strict=True)]
        shares = [(1.0 if i == 0 else features) / (unit * n) for i, (unit, n) in enumerate(zip(units, counts, strict=True))]

        def learn(lane: int, item: tuple[torch.Tensor, list[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
            part, wanted = item
            states_BLD = student_BLD[part].detach().requires_grad_()
            made = heard(lane, part, states_BLD)
            loss = sum((share * (f - want).square().sum() for share, f, want in zip(shares, made, wanted, strict=True)), torch.zeros(()))
            return loss.detach(), torch.autograd.grad(loss, states_BLD)[0]

        learned = self._lanes.map(learn, zip(parts, taught, strict=True))
        slope_BLD = torch.cat([slope for _, slope in learned])
        # Nought, with the slope that the lanes found.
        return sum((loss for loss, _ in learned), torch.zeros(())) + ((student_BLD - student_BLD.detach()) * slope_BLD).sum()
