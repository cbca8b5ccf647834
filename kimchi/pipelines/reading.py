"""A delivery => records.jsonl: every picture once, large and sharp enough, and which of them show one scene."""

import dataclasses
import hashlib
import itertools
import sqlite3
from collections.abc import Iterator
from typing import Any

from PIL import Image

from kimchi.data.archives import read_member
from kimchi.data.people import flags, library
from kimchi.data.pictures import Photo, decode
from kimchi.data.reading import in_order
from kimchi.errors import DataError
from kimchi.recipes import PrepareRecipe
from kimchi.records import DroppedRecord, ImageRecord

EMBED_PX, EMBED_BATCH = 256, 32
"""Longest side at which pictures are shown to an embedder, at least, and how many at once."""


def split_of(group: str, recipe: PrepareRecipe) -> str:
    """train, validation or test, by the hash of the group alone: data added later moves nothing that was there."""
    share = int.from_bytes(hashlib.sha256(f"split/{group}".encode()).digest()[:8], "big") / 2**64
    if share < recipe.test_share:
        return "test"
    return "validation" if share < recipe.test_share + recipe.validation_share else "train"


def unlike(records: Iterator[ImageRecord | DroppedRecord]) -> Iterator[ImageRecord | DroppedRecord]:
    """Each picture once: later ones of the same bytes are dropped, naming the first."""
    # A table that spills to disk: a set of a million paths would not stay small.
    with sqlite3.connect("") as seen:
        seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, path TEXT) WITHOUT ROWID")
        for record in records:
            if isinstance(record, ImageRecord):
                added = seen.execute("INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING", (record.id, record.path)).rowcount
                [first] = (record.path,) if added else seen.execute("SELECT path FROM seen WHERE id = ?", (record.id,)).fetchone()
                yield record if added else DroppedRecord(path=record.path, reason=f"the same bytes as {first}.", labels=record.labels)
            else:
                yield record


def fit_to_learn(records: Iterator[ImageRecord | DroppedRecord], recipe: PrepareRecipe) -> Iterator[ImageRecord | DroppedRecord]:
    """Drop what no model should learn from: too small, too long, too blurred, or without a name."""
    for record in records:
        reason = _unfit(record, recipe) if isinstance(record, ImageRecord) else ""
        yield DroppedRecord(path=record.path, reason=reason, labels=record.labels) if reason else record


def _unfit(record: ImageRecord, recipe: PrepareRecipe) -> str:
    if not record.caption and (not record.labels or not record.labels[-1].strip()):
        return "has no label, which a caption is anchored to, and no caption of its own."
    width, height = record.size_px
    if not width:
        return ""  # a reader that does not say
    if min(width, height) < recipe.min_side_px:
        return f"is {width} x {height} px, and the shortest side must be {recipe.min_side_px} (min_side_px)."
    if max(width, height) > recipe.max_aspect * min(width, height):
        return f"is {width} x {height} px, longer than {recipe.max_aspect:g} to 1 (max_aspect)."
    if record.sharpness < recipe.min_sharpness:
        return f"is blurred: sharpness {record.sharpness:.0f}, and {recipe.min_sharpness:g} is asked (min_sharpness)."
    return ""


def flagged(records: Iterator[ImageRecord], recipe: PrepareRecipe) -> Iterator[ImageRecord]:
    """Note what a person should look at; a picture that can no longer be read is told later, by whoever needs it."""

    def look(record: ImageRecord) -> ImageRecord:
        try:
            # The whole picture: a face beside the box is as personal as one in it.
            image = decode(read_member(record.path), record.path)
        except DataError:
            return record
        return dataclasses.replace(record, flags=flags(image, recipe.flag))

    if not recipe.flag:
        return records
    library()  # here, not in the threads: OpenCV takes a second import at the same time for a recursion
    return in_order(look, records, recipe.workers)


def embedded(records: Iterator[ImageRecord], recipe: PrepareRecipe) -> Iterator[ImageRecord]:
    """Note what each picture looks like to the recipe's vision model.

    Raises:
        ModelError: the model cannot be loaded.
    """
    return _embedded(records, recipe) if recipe.embedder else records


def _embedded(records: Iterator[ImageRecord], recipe: PrepareRecipe) -> Iterator[ImageRecord]:
    from kimchi.models.embeddings import load_embedder

    embedder = load_embedder(recipe.embedder)

    def look(record: ImageRecord) -> tuple[ImageRecord, Image.Image | None]:
        try:
            return record, Photo(read_member(record.path), record.path).decode(record.box, least_px=EMBED_PX)
        except DataError:
            return record, None

    for batch in batched(in_order(look, records, recipe.workers), EMBED_BATCH):
        seen = [image for _, image in batch if image is not None]
        bits = iter(embedder.bits(seen) if seen else [])
        yield from (dataclasses.replace(record, looks=next(bits)) if image is not None else record for record, image in batch)


def batched(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of up to so many items."""
    while some := list(itertools.islice(items, size)):
        yield some
