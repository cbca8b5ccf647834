"""What a LoRA learns from: pictures with the caption forms that training may show, by source."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kimchi.data.cultures import Culture, load_culture
from kimchi.data.files import hash_files, sha256
from kimchi.data.sample_world import Picture, pictures, worlds
from kimchi.data.sample_world.captions import captions, noun, of_korea
from kimchi.data.sample_world.concepts import World
from kimchi.errors import DataError, RecipeError
from kimchi.recipes import LoraRecipe, Source

from .loop import Report

VARIANTS = 3
"""Rich captions of a drawing that say what it shows."""
WORDINGS = 2
"""Rich captions of a Korean drawing as the culture words a label, which say nothing of the picture; people's captions are of both kinds."""
BELONGING = 2
"""How often "Korean X" stands among the rich captions of a Korean drawing."""
CULTURE = "ko"
"""Words the labels of the Korean sample world."""
FIRST_SEED: dict[World, int] = {"general": 6_000_000, "korean": 7_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A picture and the words it may be shown with."""

    name: str
    """Where it came from, for error messages."""
    noun: str
    rich: tuple[str, ...]
    english: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Table:
    """One source, ready to be encoded."""

    rows: list[Row]
    pictures_N3HW: torch.Tensor
    """uint8 RGB."""
    noun_share: float
    """Of its samples, those that see the noun alone."""
    english_share: float
    """Of its samples, those that see English."""


def read_sources(recipe: LoraRecipe, report: Report | None = None) -> list[Table]:
    """Every source of a recipe.

    Raises:
        RecipeError: a sample world that does not exist. DataError: a source that is missing or empty.
    """
    return [_table(recipe, source, report) for source in recipe.sources]


def _table(recipe: LoraRecipe, source: Source, report: Report | None) -> Table:
    read = _drawn if source.captions.startswith("sample-world:") else _captioned
    rows, pictures_N3HW = read(source, recipe.resolution_px, report)
    return Table(
        rows=rows,
        pictures_N3HW=pictures_N3HW,
        noun_share=recipe.noun_share if source.noun_share is None else source.noun_share,
        english_share=recipe.english_share if source.english_share is None else source.english_share,
    )


def _drawn(source: Source, size_px: int, report: Report | None) -> tuple[list[Row], torch.Tensor]:
    items, rows = _described(source)
    images = (p.render(size_px) for p in items)
    return rows, _stack(images, len(items), size_px, report)


def _described(source: Source) -> tuple[list[Picture], list[Row]]:
    world = source.captions.partition(":")[2]
    if world not in FIRST_SEED:
        raise RecipeError(f"sources.captions: {source.captions!r}; a sample world is sample-world:korean or sample-world:general.")
    items = list(pictures(worlds(world), source.per_concept, FIRST_SEED[world]))
    culture = load_culture(CULTURE) if world == "korean" else None
    return items, [_row(p, culture) for p in items]


def fingerprint(source: Source) -> str:
    """What a source holds, without reading its pictures: the hash of a captions.jsonl, or of every word that drawings are shown with."""
    if not source.captions.startswith("sample-world:"):
        path = Path(source.captions)
        # A missing file has an error of its own where it is read.
        return hash_files([path]) if path.is_file() else ""
    return sha256("\n".join(word for row in _described(source)[1] for word in (row.noun, *row.rich, *row.english)).encode())


def _row(p: Picture, culture: Culture | None) -> Row:
    twins = [captions(p, v) for v in range(VARIANTS)]
    worded = [culture.rich(p.concept.label, random.Random(f"{p.concept.slug}/{p.seed}/{i}").getrandbits(32))[0] for i in range(WORDINGS)] if culture else []
    # Shown often: "Korean" weighs more in the encoders than the noun behind it, and every such prompt would draw one and the same thing.
    belonging = [of_korea(p.concept).ko] * BELONGING if culture else []
    return Row(
        name=f"{p.concept.slug}/{p.seed}",
        noun=noun(p.concept).ko,
        rich=(*(t.ko for t in twins), *worded, *belonging),
        english=(noun(p.concept).en, *(t.en for t in twins)),
    )


def _captioned(source: Source, size_px: int, report: Report | None) -> tuple[list[Row], torch.Tensor]:
    from kimchi.data.archives import read_member
    from kimchi.data.jsonl import read_records
    from kimchi.data.pictures import crop, decode
    from kimchi.records import CaptionedRecord

    path = Path(source.captions)
    if not path.is_file():
        raise DataError(f"{path}: no such file of captions. Make it with `kimchi prepare`, or correct `sources` in the recipe.")
    records = [r for r in read_records(path, CaptionedRecord) if r.split == source.split]
    if not records:
        raise DataError(f"{path}: no records of the split {source.split!r}. Prepare more pictures, or name another split.")
    rows = [Row(name=r.path, noun=r.caption_noun, rich=(r.caption_ko,), english=(r.caption_en,) if r.caption_en else (r.caption_noun,)) for r in records]
    images = (_square(crop(decode(read_member(r.path), r.path), r.box), size_px) for r in records)
    return rows, _stack(images, len(records), size_px, report)


def _square(image: Image.Image, size_px: int) -> Image.Image:
    """The centred square, resized."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size_px, size_px), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _stack(images: Iterator[Image.Image], count: int, size_px: int, report: Report | None) -> torch.Tensor:
    array = np.empty((count, 3, size_px, size_px), np.uint8)
    for i, image in enumerate(images):
        array[i] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        if report:
            report("reading pictures", i + 1, count)
    return torch.from_numpy(array)


def words_for(row: Row, table: Table, caption_dropout: float, rng: random.Random) -> str:
    """The words one sample is shown: empty, English, the noun alone, or a rich caption, by the shares of its source."""
    if rng.random() < caption_dropout:
        # The empty prompt of the same encoder, not zeros: guidance subtracts exactly those states.
        return ""
    if rng.random() < table.english_share:
        return rng.choice(row.english)
    if rng.random() < table.noun_share:
        return row.noun
    return rng.choice(row.rich)
