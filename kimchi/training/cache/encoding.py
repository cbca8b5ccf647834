"""Pictures through the VAE: decoded in threads ahead of it, a batch of one shape at a time.

Legend: B batch, C channel, h w latents, H W pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers import AutoencoderKL

from kimchi.data.reading import in_order, workers
from kimchi.errors import RecipeError, TrainingError
from kimchi.models.networks import encoded
from kimchi.training.buckets import Fit, Sides
from kimchi.training.loop import Report
from kimchi.training.photos import Photo

from .shards import Entry
from .work import Made, through

BATCH_PIXELS = 2**20
"""Of one batch through the VAE: 64 pictures of 128 px, 4 of 512 px, about 2 GiB of activations at SD 1.5's width."""
BAD = 10
"""Pictures that encode to NaN after which the rest is not tried: then it is the VAE."""
Keep = Callable[[bytes, Entry], None]
"""Takes an entry: its key; mean and log-variance C h w, fp16, before scaling."""


@dataclass(frozen=True, slots=True)
class Task:
    """The crops of one picture that are to be encoded; it is decoded once for all of them."""

    photo: Photo
    crops: dict[bytes, Fit]
    """By key; all of one shape."""

    def sides(self) -> Sides:
        """Width and height of each crop, pixels."""
        fit = next(iter(self.crops.values()))
        return fit.width_px, fit.height_px

    def decode(self) -> list["Decoded"]:
        """Its crops, uint8 RGB."""
        image = self.photo.open()
        return [Decoded(key, self.photo.name, np.asarray(fit.apply(image))) for key, fit in self.crops.items()]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One crop, ready for the VAE."""

    key: bytes
    name: str
    rgb_HW3: np.ndarray


@dataclass(slots=True)
class _Progress:
    report: Report | None
    total: int
    done: int = field(default=0)

    def tell(self, count: int) -> None:
        self.done += count
        if self.report:
            self.report("encoding pictures", self.done, self.total)


def encode(
    vae: AutoencoderKL, tasks: Sequence[Task], keep: Keep, *, dtype: torch.dtype = torch.float32, batch: int = 0, threads: int = 0,
    report: Report | None = None,
) -> None:  # fmt: skip
    """Encode every crop of every task, bucket by bucket, and hand each to `keep`, from one other thread.

    Args: as latents.build_latents.

    Raises:
        DataError: a picture that cannot be decoded. TrainingError: some that encode to NaN or infinity. All by name.
    """
    count = threads or workers()
    told = _Progress(report, sum(len(task.crops) for task in tasks))
    # Shape by shape, so that only the last batch of each is not full.
    ordered = sorted(tasks, key=Task.sides)
    ahead = 2 * count + 2 * max((_size(batch, task.sides()) for task in tasks), default=0)
    decoded = (crop for crops in in_order(Task.decode, ordered, count, ahead) for crop in crops)

    def network(crops: list[Decoded]) -> Made:
        made = posterior(vae, np.stack([crop.rgb_HW3 for crop in crops]), dtype)
        told.tell(len(crops))
        return made

    bad: list[str] = []

    def check(crops: list[Decoded], made: Made) -> None:
        for crop, mean_Chw, logvar_Chw, sound in zip(crops, *made, strict=True):
            if sound:
                keep(crop.key, (mean_Chw, logvar_Chw))
            else:
                bad.append(crop.name)
        if len(bad) >= BAD:
            _refuse(bad)

    through(_batches(decoded, batch), network, check)
    _refuse(bad)


def _refuse(bad: Sequence[str]) -> None:
    if bad:
        names = ", ".join(dict.fromkeys(bad))
        raise TrainingError(f"{names}: the VAE encodes {'these pictures' if len(bad) > 1 else 'this picture'} to NaN or infinity. Remove them, or use fp32.")


def _size(batch: int, sides: Sides) -> int:
    return batch or max(1, BATCH_PIXELS // (sides[0] * sides[1]))


def _batches(decoded: Iterable[Decoded], batch: int) -> Iterator[list[Decoded]]:
    gathered: list[Decoded] = []
    for crop in decoded:
        if gathered and gathered[0].rgb_HW3.shape != crop.rgb_HW3.shape:
            yield gathered
            gathered = []
        gathered.append(crop)
        height, width = crop.rgb_HW3.shape[:2]
        if len(gathered) == _size(batch, (width, height)):
            yield gathered
            gathered = []
    if gathered:
        yield gathered


@torch.no_grad()
def posterior(vae: AutoencoderKL, rgb_BHW3: np.ndarray, dtype: torch.dtype) -> Made:
    """uint8 RGB [0, 255] => float [-1, 1] => mean and log-variance B C h w before scaling, fp16, and whether each picture's are sound.

    fp16 is enough: Stable Diffusion's means lie within about 50, and diffusers clamps log-variances to [-30, 20].
    """
    weight = next(vae.parameters())
    rgb_BHW3_on = _moved(torch.from_numpy(rgb_BHW3), weight.device)
    # Channels lie last in pictures already; nothing is copied.
    pixels_B3HW = rgb_BHW3_on.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
    # On a CPU each alone: 64 of 128 px no longer fit its caches and take nearly twice as long, and the last bits of each would depend on its neighbours,
    # and so on what an earlier run left in the cache.
    parts = pixels_B3HW.split(1 if weight.device.type == "cpu" else len(pixels_B3HW))
    with torch.autocast(weight.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        made = [encoded(vae, part) for part in parts]
    mean_BChw, logvar_BChw = (torch.cat([getattr(one, name) for one in made]).to(torch.float16) for name in ("mean", "logvar"))
    # The clamp would make a decent number of an infinite log-variance: what came before it is looked at.
    sound_B = torch.isfinite(torch.cat([one.parameters for one in made])).flatten(1).all(1) & torch.isfinite(mean_BChw).flatten(1).all(1)
    return mean_BChw.contiguous(), logvar_BChw.contiguous(), sound_B


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def check_type(vae: AutoencoderKL, dtype: torch.dtype) -> None:
    """Refuse what overflows.

    Raises:
        RecipeError: neither fp32 nor bf16, or weights of another type than fp32 and that.
    """
    held = next(vae.parameters()).dtype
    if dtype not in (torch.float32, torch.bfloat16) or held not in (torch.float32, dtype):
        raise RecipeError(
            f"precision: the VAE would encode in {dtype} with weights in {held}; in fp16 Stable Diffusion's overflows for some pictures, and weights must be "
            "fp32 or of the type they compute in. Use fp32 or bf16."
        )
