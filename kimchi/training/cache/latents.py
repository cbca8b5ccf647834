"""The VAE's posterior of every picture. A new sample is drawn each step, since one frozen sample is fixed noise to learn.

Legend: B batch, C channel, h w latents.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from diffusers import AutoencoderKL

from kimchi.errors import TrainingError
from kimchi.training.buckets import Fit, whole
from kimchi.training.loop import Report
from kimchi.training.photos import Photo, look

from .encoding import Task, check_type, encode
from .keys import latent_key, name_vae
from .shards import Entry, Shards, Writer, check_room

Fits = Sequence[Sequence[Fit]]
"""Of each picture, its crops."""
_FOLDER = "latents"


class Latents:
    """Posteriors by row and crop, scaled to unit variance when they are read."""

    def __init__(self, entries: Mapping[bytes, Entry], keys: Sequence[Sequence[bytes]], scale: float) -> None:
        """Posteriors that are there already.

        Args:
            entries: key => mean and log-variance C h w, before scaling.
            keys: of each row, those of its crops.
            scale: the VAE's scaling factor.
        """
        self._entries, self._keys, self._scale = entries, keys, scale

    @classmethod
    def fixed(cls, latents_NChw: torch.Tensor) -> Self:
        """Latents of unit variance that are known exactly: every sample is the mean."""
        certain_Chw = torch.full_like(latents_NChw[0], -torch.inf)
        entries = {i.to_bytes(32): (latents_Chw, certain_Chw) for i, latents_Chw in enumerate(latents_NChw)}
        return cls(entries, [[key] for key in entries], 1.0)

    def __len__(self) -> int:
        return len(self._keys)

    def shape(self, row: int, crop: int = 0) -> tuple[int, ...]:
        """C, h, w of a row's latents; the same for each of its crops."""
        return tuple(self._entries[self._keys[row][crop]][0].shape)

    def posterior(self, rows: Sequence[int], crops: Sequence[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation B C h w, fp32, on the CPU, of unit variance over the data. All rows must have one shape.

        Args:
            crops: one for each row; None for the middle of each.
        """
        found = [self._entries[self._keys[row][crop]] for row, crop in zip(rows, crops or [0] * len(rows), strict=True)]
        mean_BChw, logvar_BChw = (torch.stack(column).float() for column in zip(*found, strict=True))
        return mean_BChw.mul_(self._scale), logvar_BChw.mul_(0.5).exp_().mul_(self._scale)

    def sample(self, rows: Sequence[int], source: torch.Generator) -> torch.Tensor:
        """A new sample B C h w of each row's middle crop, unit variance, channels last."""
        mean_BChw, std_BChw = self.posterior(rows)
        noise_BChw = torch.randn(mean_BChw.shape, generator=source)
        return (mean_BChw + std_BChw * noise_BChw).to(memory_format=torch.channels_last)


def build_latents(
    vae: AutoencoderKL, photos: Sequence[Photo], fits: Fits | None, folder: Path, *, dtype: torch.dtype = torch.float32, batch: int = 0, threads: int = 0,
    report: Report | None = None,
) -> int:  # fmt: skip
    """Encode what the cache lacks, and say how many crops that were. Stopped at any point, it goes on when it is run again.

    Args:
        fits: of each picture, its crops (buckets.fits_of); None for the pictures as they are.
        folder: the cache (cache_folder); shared by runs and processes.
        dtype: float32, or bfloat16 through autocast.
        batch: pictures through the VAE together; 0 for about encoding.BATCH_PIXELS.
        threads: that decode; 0 for one a core, eight at most.

    Raises:
        RecipeError: another dtype. DataError: a picture that cannot be read, by name. OutputError: no room.
        TrainingError: pictures that encode to NaN or infinity, by name; the others are kept.
    """
    check_type(vae, dtype)
    look(photos, threads, report)
    fits = fits or _whole(photos)
    keys = _keys(vae, photos, fits, dtype)
    tasks = _tasks(photos, fits, keys, Shards(folder / _FOLDER, _flat(keys)))
    if tasks:
        check_room(folder, sum(_entry_bytes(vae, task) for task in tasks))
        with Writer(folder / _FOLDER) as writer:
            encode(vae, tasks, writer.add, dtype=dtype, batch=batch, threads=threads, report=report)
    return sum(len(task.crops) for task in tasks)


def open_latents(vae: AutoencoderKL, photos: Sequence[Photo], fits: Fits | None, folder: Path, *, dtype: torch.dtype = torch.float32) -> Latents:
    """What build_latents made, read by mmap; nothing is encoded.

    Args: as build_latents.

    Raises:
        TrainingError: an entry is missing. DataError: a picture that cannot be read, by name.
    """
    look(photos)
    keys = _keys(vae, photos, fits or _whole(photos), dtype)
    shards = Shards(folder / _FOLDER, _flat(keys))
    if missing := sum(key not in shards for key in _flat(keys)):
        raise TrainingError(f"{folder}: {missing} of {len(_flat(keys))} latents are not there. Run it again; several machines must share this folder.")
    return Latents(shards, keys, float(vae.config["scaling_factor"]))


def encode_pictures(
    vae: AutoencoderKL, photos: Sequence[Photo], fits: Fits | None = None, *, folder: Path | None = None, dtype: torch.dtype = torch.float32, batch: int = 0,
    threads: int = 0, report: Report | None = None,
) -> Latents:  # fmt: skip
    """Latents of pictures: built and opened in a cache's folder, or held in memory where there is none.

    Args, Raises: as build_latents.
    """
    if folder is not None:
        build_latents(vae, photos, fits, folder, dtype=dtype, batch=batch, threads=threads, report=report)
        return open_latents(vae, photos, fits, folder, dtype=dtype)
    check_type(vae, dtype)
    fits, made = fits or _whole(photos), dict[bytes, Entry]()
    keys = _keys(vae, photos, fits, dtype)
    encode(vae, _tasks(photos, fits, keys, made), made.__setitem__, dtype=dtype, batch=batch, threads=threads, report=report)
    return Latents(made, keys, float(vae.config["scaling_factor"]))


def _keys(vae: AutoencoderKL, photos: Sequence[Photo], fits: Fits, dtype: torch.dtype) -> list[list[bytes]]:
    name = name_vae(vae, dtype)
    return [[latent_key(digest, fit, name) for fit in own] for digest, own in zip([photo.digest() for photo in photos], fits, strict=True)]


def _whole(photos: Sequence[Photo]) -> Fits:
    return [[whole(photo)] for photo in photos]


def _flat(keys: Sequence[Sequence[bytes]]) -> list[bytes]:
    return [key for own in keys for key in own]


def _tasks(photos: Sequence[Photo], fits: Fits, keys: Sequence[Sequence[bytes]], found: Mapping[bytes, Entry]) -> list[Task]:
    """What is missing; a picture that stands in several rows is encoded once."""
    tasks: list[Task] = []
    planned: set[bytes] = set()
    for photo, own, named in zip(photos, fits, keys, strict=True):
        crops = {key: fit for key, fit in zip(named, own, strict=True) if key not in found and key not in planned}
        planned.update(crops)
        tasks += [Task(photo, crops)] if crops else []
    return tasks


def _entry_bytes(vae: AutoencoderKL, task: Task) -> int:
    """Of mean and log-variance in fp16, for all crops of a task."""
    down = 2 ** (len(vae.config["block_out_channels"]) - 1)
    width, height = task.sides()
    return len(task.crops) * 2 * 2 * int(vae.config["latent_channels"]) * (width // down) * (height // down)
