"""From a member of a delivery to a record, several at a time and in order. What every reader does once it knows what a picture shows."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from kimchi.data import pictures
from kimchi.data.archives import Member
from kimchi.data.files import sha256
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

LEAST_PX = 256
"""Longest side at which pictures are looked at, at least; hash and sharpness need no more."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a delivery says about one picture."""

    labels: tuple[str, ...] = ()
    """Broadest first; the last is the thing's name."""
    box: tuple[float, float, float, float] | None = None
    """Two opposite corners x, y, x, y, in pixels of the picture as the label saw it."""
    size: tuple[float, float] | None = None
    """Width and height of the picture as the label saw it; None when it does not say."""
    description: str = ""
    """The provider's text about the thing, as it came."""
    caption: str = ""
    """A caption that came with the picture."""


def workers() -> int:
    """Threads that decode at once: Pillow decodes without the interpreter's lock. A picture of 108 million pixels takes 330 MB in each."""
    return min(8, os.cpu_count() or 1)


def in_order(function: Callable[[Item], Result], items: Iterable[Item], count: int = 0, ahead: int = 0) -> Iterator[Result]:
    """function(item) for each item, in the order of the items, computed in threads.

    Args:
        function: runs in several threads at once.
        items: taken from the calling thread, at most `ahead` before their results.
        count: threads; 0 for workers().
        ahead: results computed or waiting before the one that is asked for; 0 for four a thread.
    """
    count = count or workers()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= (ahead or 4 * count):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Whoever stopped asking must not wait for pictures nobody wants.
            for future in waiting:
                future.cancel()


def place_box(known: Known, photo: pictures.Photo) -> pictures.Box | None:
    """The box of a label in pixels of the upright picture, corners in order, clipped; None, the whole picture, when it cannot be used.

    A label that states the size of the stored picture, and not of the upright one, was drawn before EXIF turned it. Where both have one size, and
    where no size is stated, the box is taken as drawn on the upright picture, which is what viewers show. A size in the same proportion
    is a picture that was scaled after labelling; any other size belongs to some other picture, and the box with it.
    """
    if known.box is None:
        return None
    target, stored = photo.size, False
    if known.size is not None:
        stored = not _same_shape(known.size, photo.size) and _same_shape(known.size, photo.stored_size)
        target = photo.stored_size if stored else photo.size
        if not _same_shape(known.size, target):
            return None
    across, down = (target[0] / known.size[0], target[1] / known.size[1]) if known.size else (1.0, 1.0)
    x1, y1, x2, y2 = known.box
    # Clipped before rounding: a provider's number may be too large for anything.
    xs = sorted(round(min(max(x * across, 0), target[0])) for x in (x1, x2))
    ys = sorted(round(min(max(y * down, 0), target[1])) for y in (y1, y2))
    box = (xs[0], ys[0], xs[1], ys[1])
    return pictures.fit_box(pictures.upright_box(box, photo.stored_size, photo.orientation) if stored else box, *photo.size)


def _same_shape(a: tuple[float, float], b: tuple[int, int]) -> bool:
    return min(*a, *b) > 0 and abs(a[0] * b[1] / (a[1] * b[0]) - 1) < 0.01


def dropped(member: Member, reason: object, labels: tuple[str, ...] = ()) -> DroppedRecord:
    """A member that will not be learned from; its path is not said twice."""
    return DroppedRecord(path=member.path, reason=str(reason).removeprefix(f"{member.path}: "), labels=labels)


def record_of(member: Member, known: Known, source: str) -> ImageRecord | DroppedRecord:
    """Read and decode one picture: its record, or why it cannot be used."""
    try:
        return picture_record(member.read(), member.path, known, source)
    except DataError as error:
        return dropped(member, error, known.labels)


def picture_record(content: bytes, path: str, known: Known, source: str) -> ImageRecord:
    """The record of a picture whose bytes are at hand.

    Raises:
        DataError: it cannot be decoded.
    """
    photo = pictures.Photo(content, path)
    box = place_box(known, photo)
    image = photo.decode(box, least_px=LEAST_PX)
    x1, y1, x2, y2 = box or (0, 0, *photo.size)
    return ImageRecord(
        id=sha256(content), path=path, labels=known.labels, box=box, source=source, dhash=pictures.difference_hash(image),
        size_px=(x2 - x1, y2 - y1), sharpness=pictures.sharpness(image), description=known.description, caption=known.caption,
    )  # fmt: skip
