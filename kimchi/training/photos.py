"""Pictures that training reads: named, measured and hashed, and decoded only when they are encoded. Never all of them in memory."""

from collections.abc import Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from kimchi.data import pictures
from kimchi.data.archives import read_member
from kimchi.data.files import sha256
from kimchi.data.reading import in_order
from kimchi.data.sample_world import Picture, render_svg, scene_svg
from kimchi.errors import DataError

from .loop import Report
from .picture_index import PictureIndex, Seen

FULL = 64
"""Hex digits of a whole SHA-256."""


class Photo(Protocol):
    """One picture, not read yet."""

    @property
    def name(self) -> str:
        """Where it came from, for error messages: a path, or slug/seed."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it would be opened, pixels: upright, cut to its box."""
        ...

    def digest(self) -> str:
        """SHA-256, 64 hex digits, of the bytes that are decoded and of the box: what caches are keyed by."""
        ...

    def open(self) -> Image.Image:
        """RGB, upright, cut to its box."""
        ...


class Drawing:
    """A picture of the sample world."""

    def __init__(self, picture: Picture, size_px: int) -> None:
        self.picture, self.size = picture, (size_px, size_px)
        self.name = f"{picture.concept.slug}/{picture.seed}"

    def digest(self) -> str:
        """Of the drawing's SVG, the size it is drawn at, and the renderer's version."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return sha256(f"{self._svg()}\0{self.size}\0{_renderer()}".encode(), FULL)

    def open(self) -> Image.Image:
        """Draw it."""
        return render_svg(self._svg(), self.size[0])

    def _svg(self) -> str:
        return scene_svg(self.picture.concept.draw, self.picture.attributes, self.picture.seed)


class Pixels:
    """A picture that is in memory already."""

    def __init__(self, name: str, rgb_3HW: torch.Tensor) -> None:
        """uint8 RGB [0, 255]."""
        self.name, self._rgb_3HW = name, rgb_3HW
        self.size = (int(rgb_3HW.shape[2]), int(rgb_3HW.shape[1]))

    def digest(self) -> str:
        """Of its bytes and size."""
        return sha256(self._array().tobytes() + repr(self.size).encode(), FULL)

    def open(self) -> Image.Image:
        """As it is."""
        return Image.fromarray(self._array())

    def _array(self) -> np.ndarray:
        return np.ascontiguousarray(self._rgb_3HW.permute(1, 2, 0).numpy())


class Stored:
    """A picture of a captions.jsonl: a file or a member of an archive, with an optional box."""

    def __init__(self, path: str, box: pictures.Box | None = None, index: PictureIndex | None = None) -> None:
        """Reads nothing.

        Args:
            path: what read_member takes.
            box: in pixels of the upright picture; one that cannot be used means the whole, as in `prepare`.
            index: remembers what was seen, so that an unchanged file is not read again for its size and hash.
        """
        self.name, self._box = path, box
        self.index = index or PictureIndex(None)

    @cached_property
    def _seen(self) -> Seen:
        return self.index.look(self.name, self._read)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright and cut to the box, pixels.

        Raises:
            DataError: it cannot be read or is no picture.
        """
        box = self._fitted()
        return (box[2] - box[0], box[3] - box[1]) if box else self._seen.size

    def digest(self) -> str:
        """Of the file's or member's bytes, and the box where one is used.

        Raises:
            DataError: as for size.
        """
        return sha256(f"{self._seen.sha256}\0{self._fitted()}".encode(), FULL)

    def open(self) -> Image.Image:
        """Decode it.

        Raises:
            DataError: it cannot be read or decoded, or its bytes are no longer those that were hashed.
        """
        content = read_member(self.name)
        # Replaced between hashing and decoding, its latents would stand under the hash of the old one.
        if sha256(content, FULL) != self._seen.sha256:
            self.index.forget(self.name)
            raise DataError(f"{self.name}: has changed since it was hashed. Let nothing write to it, and run again.")
        return pictures.crop(pictures.decode(content, self.name), self._box)

    def _fitted(self) -> pictures.Box | None:
        return pictures.fit_box(self._box, *self._seen.size)

    def _read(self) -> Seen:
        content = read_member(self.name)
        return Seen(sha256=sha256(content, FULL), size=pictures.Photo(content, self.name).size)


@cache
def _renderer() -> str:
    return version("resvg_py")


def in_memory(pictures_N3HW: torch.Tensor, names: Sequence[str] = ()) -> list[Photo]:
    """uint8 RGB pictures as photos; without names they are numbered."""
    return [Pixels(names[i] if names else str(i), rgb_3HW) for i, rgb_3HW in enumerate(pictures_N3HW)]


def look(photos: Sequence[Photo], workers: int = 0, report: Report | None = None) -> None:
    """Find size and hash of every photo, several at a time, and remember them on disk; what is unchanged since the last time is not read.

    Raises:
        DataError: a picture that cannot be read, by name.
    """
    indexes = {id(p.index): p.index for p in photos if isinstance(p, Stored)}
    try:
        for done, _ in enumerate(in_order(lambda photo: photo.size, photos, workers), 1):
            if report:
                report("looking at pictures", done, len(photos))
    finally:
        for index in indexes.values():
            index.save()


def index_for(captions: Path, folder: Path | None) -> PictureIndex:
    """The index of the pictures of a captions.jsonl, under a cache's folder; without one, nothing is remembered."""
    return PictureIndex(folder / "pictures" / f"{sha256(str(captions.resolve()).encode())}.json" if folder else None)
