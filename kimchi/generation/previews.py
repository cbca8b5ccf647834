"""A picture while it is being drawn: latents => a small picture, at next to no cost.

Legend: C latent channels, h w latent side, N latents.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from PIL import Image

from kimchi.errors import ModelError


def due(done: int, total: int, wanted: int) -> bool:
    """Whether a step is one of about `wanted` that are shown: the first at once, since it is waited for; never the last, since the picture follows."""
    wanted = min(wanted, total)
    return wanted > 0 and done < total and (done == 1 or done * wanted // total > (done - 1) * wanted // total)


class Previewer:
    """A matrix from latent channels to RGB: a latent becomes a pixel. A VAE would take a hundred times longer."""

    def __init__(self, matrix_C1_3: torch.Tensor) -> None:
        """Take a fitted matrix: a row for each latent channel, and the last for what is added; RGB [-1, 1]."""
        self._matrix = matrix_C1_3

    @classmethod
    def fit(cls, latents_BChw: torch.Tensor, images: Sequence[Image.Image]) -> Self:
        """By least squares on a few pictures that the model has drawn: no constants of any one VAE.

        Smooth coloured fields through the encoder would need no drawing, but a VAE is linear only near what it was trained on: the miniature's
        previews came out green.

        Args:
            latents_BChw: in scaled units.
            images: what the VAE made of them.
        """
        small = [np.asarray(image.resize((latents_BChw.shape[3], latents_BChw.shape[2]), Image.Resampling.BOX)) for image in images]
        colours_N3 = torch.from_numpy(np.stack(small)).reshape(-1, 3).float() / 127.5 - 1
        return cls(torch.linalg.lstsq(_with_one(_rows(latents_BChw.float().cpu())), colours_N3).solution)

    def picture(self, latents_Chw: torch.Tensor) -> Image.Image:
        """Latents in scaled units => RGB, one pixel a latent."""
        rgb_N3 = _with_one(_rows(latents_Chw[None].float().cpu())) @ self._matrix
        return _image(rgb_N3.reshape(*latents_Chw.shape[1:], 3))


class TinyPreviewer:
    """An AutoencoderTiny (TAESD): previews at full size, where a GPU makes them free."""

    def __init__(self, vae: Any) -> None:
        """Take a loaded AutoencoderTiny."""
        self._vae = vae

    @classmethod
    def load(cls, folder: str, device: str) -> Self:
        """From a folder or a hub id.

        Raises:
            ModelError: missing, corrupted, or another kind of VAE.
        """
        from diffusers import AutoencoderTiny

        try:
            vae: Any = AutoencoderTiny.from_pretrained(folder, use_safetensors=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder}: no AutoencoderTiny ({str(error).strip().splitlines()[0][:200]}). Give a folder of TAESD, or leave it out.") from error
        return cls(vae.eval().requires_grad_(False).to(device))

    def picture(self, latents_Chw: torch.Tensor) -> Image.Image:
        """Latents in scaled units => RGB at the picture's own size."""
        with torch.inference_mode():
            rgb_3HW = self._vae.decode(latents_Chw[None].to(self._vae.device, self._vae.dtype)).sample[0]
        return _image(rgb_3HW.float().cpu().permute(1, 2, 0))


def _rows(pictures_BChw: torch.Tensor) -> torch.Tensor:
    """B C h w => a row a place."""
    return pictures_BChw.permute(0, 2, 3, 1).reshape(-1, pictures_BChw.shape[1])


def _with_one(rows_NC: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows_NC, torch.ones(len(rows_NC), 1)], 1)


def _image(rgb_hw3: torch.Tensor) -> Image.Image:
    """RGB [-1, 1] => uint8 [0, 255]. A preview of damaged weights is grey; the picture itself is refused later."""
    return Image.fromarray(((rgb_hw3.nan_to_num(0).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).contiguous().numpy())
