"""How a picture is fitted: the middle square, or the bucket of its shape. Nothing is dropped; small pictures are enlarged, and told.

A bucket is one of a few shapes of about the same area, so that pictures of one bucket can be encoded and trained on together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from PIL import Image

from kimchi.data.files import sha256
from kimchi.recipes import Aspect

from .loop import Report
from .photos import Photo, look

Sides = tuple[int, int]
"""Width and height, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What is kept of a picture, and how large it becomes."""

    width_px: int
    """Of what is trained on."""
    height_px: int
    """Of what is trained on."""
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 of what is kept, in pixels of the picture; at most a pixel away from the bucket's own shape."""
    cut: float
    """Share of the picture's area that is cut off, 0 to below 1."""
    scale: float
    """Above 1 the picture is enlarged."""

    def apply(self, image: Image.Image) -> Image.Image:
        """Cut and resize by Lanczos, in one pass over the pixels."""
        return image.resize((self.width_px, self.height_px), Image.Resampling.LANCZOS, box=self.box)


@lru_cache
def buckets(resolution_px: int, step_px: int, largest: float) -> tuple[Sides, ...]:
    """The shapes there are, widest last: sides are multiples of step_px, areas about resolution_px squared, long side over short at most `largest`."""
    square = max(1, round(resolution_px / step_px))
    tall = {(square, square)}
    for width in range(1, square + 1):
        height = max(width, round((resolution_px / step_px) ** 2 / width))
        if height <= width * largest:
            tall.add((width, height))
    both = tall | {(height, width) for width, height in tall}
    return tuple(sorted(((w * step_px, h * step_px) for w, h in both), key=lambda sides: (sides[0] / sides[1], sides)))


def fit(width_px: int, height_px: int, aspect: Aspect, resolution_px: int, crop: int = 0, digest: str = "") -> Fit:
    """How a picture of these sides is fitted.

    Args:
        width_px, height_px: of the picture, at least 1.
        crop: 0 keeps the middle; others keep other parts, always the same of one picture.
        digest: the picture's; it chooses those parts. Bucket, size and share cut off do not depend on it.
    """
    if aspect.fit == "square":
        side = min(width_px, height_px)
        # Whole pixels, as pictures have always been cut here.
        left, top = (int((length - side) * _place(crop, digest)) for length in (width_px, height_px))
        return _fit(width_px, height_px, (resolution_px, resolution_px), (left, top, left + side, top + side))
    shape = log(width_px / height_px)
    sides = min(buckets(resolution_px, aspect.step_px, aspect.largest), key=lambda bucket: abs(shape - log(bucket[0] / bucket[1])))
    scale = max(sides[0] / width_px, sides[1] / height_px)
    kept = [min(float(have), want / scale) for have, want in zip((width_px, height_px), sides, strict=True)]
    left, top = ((have - keep) * _place(crop, digest) for have, keep in zip((width_px, height_px), kept, strict=True))
    return _fit(width_px, height_px, sides, (left, top, min(left + kept[0], width_px), min(top + kept[1], height_px)))


def _fit(width_px: int, height_px: int, sides: Sides, box: tuple[float, float, float, float]) -> Fit:
    x1, y1, x2, y2 = box
    cut = max(0.0, 1 - (x2 - x1) * (y2 - y1) / (width_px * height_px))
    return Fit(width_px=sides[0], height_px=sides[1], box=box, cut=cut, scale=max(sides[0] / (x2 - x1), sides[1] / (y2 - y1)))


def _place(crop: int, digest: str) -> float:
    """Where the kept part lies on the way from one end to the other, 0 to 1."""
    return 0.5 if crop == 0 else int(sha256(f"{digest}/{crop}".encode()), 16) / (16**16 - 1)


def fits_of(photos: Sequence[Photo], aspect: Aspect, resolution_px: int, threads: int = 0, report: Report | None = None) -> list[list[Fit]]:
    """Every crop of every photo, in order.

    Args:
        threads: that look at pictures not seen before; 0 for one a core, eight at most.

    Raises:
        DataError: a photo that cannot be read, by name.
    """
    look(photos, threads, report)
    made: list[list[Fit]] = []
    for photo in photos:
        # The middle is the middle of any picture: without other crops no hash is asked for.
        digest = photo.digest() if aspect.crops > 1 else ""
        made.append([fit(*photo.size, aspect, resolution_px, crop, digest) for crop in range(aspect.crops)])
    return made


def whole(photo: Photo) -> Fit:
    """The picture as it is."""
    return _fit(*photo.size, photo.size, (0, 0, *photo.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What fitting does to a set of pictures."""

    buckets: dict[Sides, int]
    """Width and height in pixels => how many pictures; the fullest first."""
    mean_cut: float
    """Mean share of a picture's area that is cut off, 0 to 1."""
    largest_cut: float
    """The largest such share."""
    enlarged: int
    """Pictures that are smaller than their bucket."""


def summarise(sizes: Iterable[Sides], aspect: Aspect, resolution_px: int) -> Summary:
    """What fitting would do to pictures of these sizes; reads none of them."""
    fits = [fit(width, height, aspect, resolution_px) for width, height in sizes]
    cuts = [f.cut for f in fits]
    return Summary(
        buckets=dict(Counter((f.width_px, f.height_px) for f in fits).most_common()),
        mean_cut=sum(cuts) / len(cuts) if cuts else 0.0,
        largest_cut=max(cuts, default=0.0),
        enlarged=sum(f.scale > 1 for f in fits),
    )
