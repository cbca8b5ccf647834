"""What diffusers' networks give, with the types its own annotations leave open.

Legend: B batch, C channel, H W pixels, h w latents.
"""

from typing import Any, TypeVar, cast

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def channels_last(network: Net) -> Net:
    """The same network, its convolutions laid out channels last: several times faster on a CPU."""
    # torch's stubs know no `to` that takes a layout alone.
    return cast(Any, network).to(memory_format=torch.channels_last)


def encoded(vae: AutoencoderKL, rgb_BCHW: torch.Tensor) -> DiagonalGaussianDistribution:
    """RGB float [-1, 1] => the distribution of its latents B 4 h w, before the scaling factor."""
    # A tuple only with return_dict=False.
    return cast(Any, vae.encode(rgb_BCHW)).latent_dist


def decoded(vae: AutoencoderKL, latents_BChw: torch.Tensor) -> torch.Tensor:
    """Latents, the scaling factor taken out => RGB float, about [-1, 1], not clamped."""
    # diffusers annotates the latents as a FloatTensor, a class that no tensor made today has.
    return cast(DecoderOutput, vae.decode(cast(Any, latents_BChw))).sample
