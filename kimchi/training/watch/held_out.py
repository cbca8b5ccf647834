"""The loss on pictures that are never trained on, with fixed noise at fixed timesteps: one number that can be compared between steps.

Legend: N pictures, K noise levels, B batch, C channel, H W latent side, L tokens, D width.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import nan
from typing import Any, Self

import torch

from kimchi.errors import DataError
from kimchi.training.losses import Noising, errors

from .intervals import Estimate, plain, weighted_mean
from .quiet import undisturbed

_DIGITS = 7
"""Decimals of a picture's loss, as many as fp32 has: they keep the log's lines short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPicture:
    """One picture that measures."""

    name: str
    """Says which it is, in any run: its noise follows from this alone."""
    source: str
    """Which source it was held out of."""
    latents_CHW: torch.Tensor
    """The mean of the VAE's posterior, unit variance, fp32: a sample would add noise of its own."""
    states_LD: torch.Tensor
    """Of one rich caption, always the same; never dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The held-out loss of one moment."""

    losses: Mapping[str, tuple[float, ...]]
    """Source -> unweighted squared error of each picture, mean over levels, always in the same order."""
    levels: Mapping[int, Estimate]
    """Timestep -> the mean at it, sources weighted, with its interval."""
    weights: Mapping[str, float]
    """Source -> how much it counts in the whole."""

    @property
    def overall(self) -> Estimate:
        """The whole: sources weighted as in training, with the interval over pictures."""
        return weighted_mean(self.losses, self.weights)

    def source(self, name: str) -> Estimate:
        """One source alone."""
        return weighted_mean({name: self.losses[name]}, {name: 1.0})

    def since(self, before: "Measurement") -> Estimate:
        """This less an earlier one, picture by picture: both saw the same noise, so what is left is what the weights changed.

        The interval of paired differences is far narrower than those of the two losses, which hold how different the pictures are.

        Raises:
            ValueError: they are of different pictures.
        """
        pairs = {s: zip(of, before.losses.get(s, ()), strict=True) for s, of in self.losses.items()}
        return weighted_mean({s: [now - then for now, then in of] for s, of in pairs.items()}, self.weights)

    def to_json(self) -> dict[str, Any]:
        """For a line of the log; a loss that is no number is null."""
        overall, sources = self.overall, {s: self.source(s).to_json() for s in self.losses}
        levels = {str(t): of.to_json() for t, of in self.levels.items()}
        losses = {s: [plain(v) for v in of] for s, of in self.losses.items()}
        return {"overall": overall.to_json(), "sources": sources, "levels": levels, "weights": dict(self.weights), "losses": losses}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """From a line of the log, to the last digit."""
        losses = {s: tuple(nan if v is None else float(v) for v in of) for s, of in line["losses"].items()}
        levels = {int(t): Estimate.from_json(of) for t, of in line["levels"].items()}
        return cls(losses=losses, levels=levels, weights=line["weights"])


class HeldOut:
    """Measures a UNet on the same pictures, noise and timesteps, whenever it is asked."""

    def __init__(self, pictures: Sequence[HeldOutPicture], noising: Noising, *, levels: int, weights: Mapping[str, float], batch: int = 8) -> None:
        """Take pictures in hand.

        Args:
            pictures: two at least of each source.
            levels: timesteps, in the middles of as many equal parts of the schedule.
            weights: source -> how much it counts, its share of a batch.
            batch: the most samples that pass through the UNet together.

        Raises:
            DataError: a source with fewer than two pictures, of which no interval is known.
        """
        self.noising, self.weights, self.batch = noising, {s: float(w) for s, w in weights.items()}, batch
        # One order whatever the caller's: pairs of measurements are pairs by place, and last bits depend on the batch.
        self.pictures = sorted(pictures, key=lambda p: (list(weights).index(p.source), p.name))
        self.times = [int((k + 0.5) / levels * noising.steps) for k in range(levels)]
        for source in weights:
            count = sum(p.source == source for p in self.pictures)
            if count < 2:
                raise DataError(
                    f"{source}: {count} held-out picture{'s' * (count != 1)}, and an interval needs two. Prepare more pictures, name another "
                    "`held_out.split`, or set `held_out.every` to 0."
                )

    def measure(self, unet: Any, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext) -> Measurement:
        """The loss of a UNet as it is now. Nothing random, no mode and no gradient of the training is touched.

        No min-SNR weights, no noise offset, no dropout and no Huber: they shape learning, and would make runs that differ in them incomparable.

        Args:
            unet: a UNet2DConditionModel, unwrapped, with its adapter; its device and dtype are used.
            autocast: the compute type of training.
        """
        errors_NK = torch.full((len(self.pictures), len(self.times)), nan)
        with undisturbed(unet):
            found = [(batch, self._errors(unet, batch, autocast)) for batch in self._batches()]
        # Read off the device once, after everything is under way.
        for batch, errors_B in found:
            rows, columns = zip(*batch, strict=True)
            errors_NK[list(rows), list(columns)] = errors_B.cpu()
        return self._summary(errors_NK)

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        """(picture, level) pairs; those of one batch have one shape."""
        shapes: dict[torch.Size, list[tuple[int, int]]] = defaultdict(list)
        for n, picture in enumerate(self.pictures):
            shapes[picture.latents_CHW.shape] += [(n, k) for k in range(len(self.times))]
        for work in shapes.values():
            yield from (work[i : i + self.batch] for i in range(0, len(work), self.batch))

    def _errors(self, unet: Any, batch: list[tuple[int, int]], autocast: Callable[[], AbstractContextManager[Any]]) -> torch.Tensor:
        clean_BCHW = torch.stack([self.pictures[n].latents_CHW for n, _ in batch]).float()
        noise_BCHW = torch.stack([_noise(self.pictures[n], k) for n, k in batch])
        t_B = torch.tensor([self.times[k] for _, k in batch])
        states_BLD = torch.stack([self.pictures[n].states_LD for n, _ in batch])
        # Noised where the schedule lies, read where the UNet is.
        clean_BCHW, noise_BCHW, t_B = (x.to(self.noising.alphas_cumprod.device) for x in (clean_BCHW, noise_BCHW, t_B))
        noisy_BCHW = self.noising.add(clean_BCHW, noise_BCHW, t_B).to(unet.device, unet.dtype, memory_format=torch.channels_last)
        with autocast():
            said_BCHW = unet(noisy_BCHW, t_B.to(unet.device), states_BLD.to(unet.device, unet.dtype)).sample
        return errors(said_BCHW, self.noising.target(clean_BCHW, noise_BCHW, t_B).to(unet.device))

    def _summary(self, errors_NK: torch.Tensor) -> Measurement:
        inside = {s: [n for n, p in enumerate(self.pictures) if p.source == s] for s in self.weights}
        of = {s: errors_NK[rows].double() for s, rows in inside.items()}
        losses = {s: tuple(round(v, _DIGITS) for v in errors_nK.mean(1).tolist()) for s, errors_nK in of.items()}
        levels = {t: weighted_mean({s: errors_nK[:, k].tolist() for s, errors_nK in of.items()}, self.weights) for k, t in enumerate(self.times)}
        return Measurement(losses=losses, levels=levels, weights=self.weights)


def _noise(picture: HeldOutPicture, level: int) -> torch.Tensor:
    """A picture's noise at a level: a function of its name, so that neither its neighbours nor the run's seed change it."""
    seed = int.from_bytes(hashlib.sha256(f"held-out/{picture.name}/{level}".encode()).digest()[:4], "big")
    return torch.randn(picture.latents_CHW.shape, generator=torch.Generator().manual_seed(seed))
