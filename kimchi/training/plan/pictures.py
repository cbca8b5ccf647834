"""How the pictures of a source will be fitted, from sizes that are known or read from headers; no picture is decoded."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kimchi.errors import DataError
from kimchi.recipes import LoraRecipe, Source
from kimchi.training.buckets import Sides, fit
from kimchi.training.loop import Report
from kimchi.training.photos import Stored

from .found import Fitted
from .words import Words

HEADERS = 400
"""Pictures whose headers are read, spread evenly, where `prepare` has left no sizes: a member of an archive is read whole for it."""
MUCH, VERY_MUCH = 0.10, 0.25
"""Shares of a picture that may be cut off, above which a plan counts it."""


def fitted(recipe: LoraRecipe, source: Source, words: Words, report: Report | None = None) -> Fitted | None:
    """How a source's pictures are fitted; None where there are none, or none could be read."""
    if not words.pictures:
        return None
    if not words.places:
        # Drawings are drawn at the size they are trained at.
        side = recipe.resolution_px
        return Fitted(buckets={f"{side} x {side}": words.pictures}, cut_much=0, cut_very_much=0, enlarged=0, looked_at=words.pictures, unreadable=0)
    known = _known_sizes(Path(source.captions).expanduser())
    sizes = [known[place[0]] for place in words.places if place[0] in known]
    unreadable = 0
    if len(sizes) < len(words.places):
        read = list(_headers(words, report))
        sizes, unreadable = [size for size in read if size], sum(size is None for size in read)
    return _summed(recipe, sizes, words.pictures, unreadable) if sizes else None


def _known_sizes(captions: Path) -> dict[str, Sides]:
    """Record => size, from the records.jsonl that `prepare` leaves beside its captions."""
    found: dict[str, Sides] = {}
    try:
        with (captions.parent / "records.jsonl").open("rb") as file:
            for line in file:
                record = json.loads(line)
                width, height = record.get("size_px", (0, 0))
                if width and height:
                    found[record["id"]] = (int(width), int(height))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


def _headers(words: Words, report: Report | None) -> Iterator[Sides | None]:
    count = min(len(words.places), HEADERS)
    for i in range(count):
        _, path, box = words.places[i * len(words.places) // count]
        try:
            yield Stored(path, box).size
        except DataError:
            yield None
        if report:
            report("reading headers", i + 1, count)


def _summed(recipe: LoraRecipe, sizes: list[Sides], pictures: int, unreadable: int) -> Fitted:
    fits = [fit(width, height, recipe.aspect, recipe.resolution_px) for width, height in sizes]
    share = pictures / len(fits)
    shapes = Counter(f"{f.width_px} x {f.height_px}" for f in fits)

    def scaled(count: int) -> int:
        return round(count * share)

    return Fitted(
        buckets={shape: scaled(count) for shape, count in shapes.most_common()}, cut_much=scaled(sum(f.cut > MUCH for f in fits)),
        cut_very_much=scaled(sum(f.cut > VERY_MUCH for f in fits)), enlarged=scaled(sum(f.scale > 1 for f in fits)),
        looked_at=len(sizes) + unreadable, unreadable=unreadable,
    )  # fmt: skip
