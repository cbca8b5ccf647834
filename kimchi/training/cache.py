"""Latents and text states, computed once per run: the VAE and the text encoder never run inside the loop.

The issue "the trainer" replaces this by sharded files; the shape of the functions stays.
"""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL

from kimchi.errors import TrainingError
from kimchi.models.networks import encoded
from kimchi.models.text_encoders.clip import TextEncoder

from .loop import Report


class Latents:
    """The VAE's posterior of every picture; a new sample is drawn each time, since one frozen sample is fixed noise to learn."""

    def __init__(self, mean_NCHW: torch.Tensor, std_NCHW: torch.Tensor) -> None:
        self.mean, self.std = mean_NCHW, std_NCHW

    def __len__(self) -> int:
        return len(self.mean)

    def sample(self, index: list[int], source: torch.Generator) -> torch.Tensor:
        """Latents B C H W of unit variance, channels last."""
        noise = torch.randn((len(index), *self.mean.shape[1:]), generator=source)
        return (self.mean[index] + self.std[index] * noise).to(memory_format=torch.channels_last)


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures_N3HW: torch.Tensor, names: Sequence[str] = (), report: Report | None = None, batch: int = 64) -> Latents:
    """uint8 RGB [0, 255] => float [-1, 1] => posterior scaled to unit variance by the VAE's scaling factor.

    Raises:
        TrainingError: a picture that encodes to NaN, by name.
    """
    scale: float = vae.config["scaling_factor"]
    means: list[torch.Tensor] = []
    stds: list[torch.Tensor] = []
    for i in range(0, len(pictures_N3HW), batch):
        pixels = (pictures_N3HW[i : i + batch].float() / 127.5 - 1).to(memory_format=torch.channels_last)
        posterior = encoded(vae, pixels)
        bad = ~torch.isfinite(posterior.mean).flatten(1).all(1)
        if bad.any():
            first = i + int(bad.nonzero()[0])
            raise TrainingError(f"{names[first] if names else first}: the VAE encodes this picture to NaN. Remove it, or encode in fp32.")
        means.append(posterior.mean * scale)
        stds.append(posterior.std * scale)
        if report:
            report("encoding pictures", min(i + batch, len(pictures_N3HW)), len(pictures_N3HW))
    return Latents(torch.cat(means), torch.cat(stds))


class TextStates:
    """States of every distinct caption, fp16 in memory; the empty prompt is the encoder's own."""

    def __init__(self, encoder: TextEncoder, captions: Sequence[str], report: Report | None = None, batch: int = 128) -> None:
        unique = list(dict.fromkeys(["", *captions]))
        self.index = {caption: i for i, caption in enumerate(unique)}
        self.states = torch.empty((len(unique), encoder.length, encoder.width), dtype=torch.float16)
        # Sorted by length only for the progress bar's honesty: every prompt is padded to the same length.
        for i in range(0, len(unique), batch):
            self.states[i : i + batch] = encoder.encode(unique[i : i + batch]).half()
            if report:
                report("encoding captions", min(i + batch, len(unique)), len(unique))

    def of(self, captions: Sequence[str]) -> torch.Tensor:
        """States B L D, fp32."""
        return self.states[[self.index[c] for c in captions]].float()
