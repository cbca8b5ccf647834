"""What a LoRA learns from: by source, rows of words and pictures that are opened when they are wanted."""

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kimchi.data.archives import nfc
from kimchi.data.cultures import Culture, load_culture
from kimchi.data.files import hash_files, sha256
from kimchi.data.sample_world import Picture, pictures, worlds
from kimchi.data.sample_world.captions import Twin, captions, noun, of_korea
from kimchi.data.sample_world.concepts import Concept, World
from kimchi.errors import DataError, RecipeError
from kimchi.recipes import LoraRecipe, Source
from kimchi.records import CaptionedRecord

from .cache.home import cache_folder
from .photos import Drawing, Photo, Stored, index_for
from .watch.choosing import choose

VARIANTS = 3
"""Rich captions of a drawing that say what it shows."""
WORDINGS = 2
"""Rich captions of a Korean drawing as the culture words a label, which say nothing of the picture; people's captions are of both kinds."""
BELONGING = 2
"""How often "Korean X" stands among the rich captions of a Korean drawing."""
KOREAN = "ko"
"""The culture that words the labels of the Korean sample world, whatever else a recipe learns."""
FIRST_SEED: dict[World, int] = {"general": 6_000_000, "korean": 7_000_000}
HELD_OUT_SEED: dict[World, int] = {"general": 11_000_000, "korean": 11_500_000}
"""Of drawings that are measured on and never learned from."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A picture's words in their five forms, NFC."""

    id: str
    """The picture's name: a path, or slug/seed."""
    noun: str
    rich: tuple[str, ...]
    english: tuple[str, ...]
    """Where nothing knows any English, the noun; a source that learns from the base has no such row."""
    romanised: tuple[str, ...] = ()
    """With the Korean names in Latin letters; none where no such spelling is known."""
    twins: Mapping[str, str] = field(default_factory=dict[str, str])
    """Any of the words => the same in English."""
    origin: str = ""
    """The noun with whose it is: "한국의 라면"; empty where the culture says none."""
    group: str = ""
    """What it shares with its near likes: the scene of a photograph, the concept of a drawing."""

    def shown(self) -> tuple[str, ...]:
        """All that the row may be shown with, the empty prompt aside."""
        return tuple(dict.fromkeys(filter(None, (self.noun, *self.rich, *self.english, *self.romanised, self.origin))))

    def twin_of(self, words: str) -> str:
        """The English of what the row was shown with: of a rich caption its own translation, of the noun the English noun, of "" the same.

        Raises:
            KeyError: words that are not the row's.
        """
        if not words or words in self.english:
            return words
        return self.english[0] if not self.twins and words in self.shown() else self.twins[words]


@dataclass(slots=True, kw_only=True)
class Table:
    """One source, ready to be encoded."""

    source: Source
    rows: list[Row]
    pictures: Sequence[Photo]
    """One for each row, in the same order."""
    noun_share: float
    """Of its samples that see neither English nor romanised words, those that see the noun alone."""
    english_share: float
    """Of its samples that are not dropped, those that see English."""
    romanised_share: float = 0.0
    """Of its samples that see no English, those that see romanised words."""
    origin_share: float = 0.0
    """Of its samples that see the noun alone, those that see whose it is too."""


def read_sources(recipe: LoraRecipe) -> list[Table]:
    """Every source of a recipe. Captions are read, pictures are not.

    Raises:
        RecipeError: a sample world that does not exist. DataError: a source that is missing, empty, or without words.
    """
    return [_table(recipe, source) for source in recipe.sources]


def read_held_out(recipe: LoraRecipe) -> list[Table]:
    """Pictures of every source that are measured on: those of recipe.held_out.split, or drawings with seeds of their own; as many as it says.

    Raises:
        RecipeError, DataError: as read_sources.
    """
    return [_some(_table(recipe, source, held_out=True), recipe.held_out.pictures) for source in recipe.sources]


def _some(table: Table, count: int) -> Table:
    chosen = choose([row.id for row in table.rows], count, [row.group for row in table.rows])
    table.rows, table.pictures = [table.rows[i] for i in chosen], [table.pictures[i] for i in chosen]
    return table


def _table(recipe: LoraRecipe, source: Source, held_out: bool = False) -> Table:
    shares = {name: recipe.share_of(source, name) for name in ("noun_share", "english_share", "romanised_share", "origin_share")}
    read = _drawn if source.captions.startswith("sample-world:") else _captioned
    rows, photos = read(recipe, source, held_out, shares)
    return Table(source=source, rows=rows, pictures=photos, **shares)


def _drawn(recipe: LoraRecipe, source: Source, held_out: bool, shares: Mapping[str, float]) -> tuple[list[Row], list[Photo]]:
    if held_out:
        # As many of each concept as the measurement needs, and no more are worded.
        source = source.model_copy(update={"per_concept": -(-recipe.held_out.pictures // len(worlds("korean")))})
    items, rows = _described(source, HELD_OUT_SEED if held_out else FIRST_SEED)
    missing = sum(not row.romanised for row in rows) if shares["romanised_share"] else 0
    _tell(source.captions, [(missing, "have no romanised noun and show the noun instead")], len(rows))
    return rows, [Drawing(p, recipe.resolution_px) for p in items]


def _described(source: Source, seeds: Mapping[World, int]) -> tuple[list[Picture], list[Row]]:
    world = source.captions.partition(":")[2]
    if world not in FIRST_SEED:
        raise RecipeError(f"sources.captions: {source.captions!r}; a sample world is sample-world:korean or sample-world:general.")
    items = list(pictures(worlds(world), source.per_concept, seeds[world]))
    culture = load_culture(KOREAN) if world == "korean" else None
    return items, [_row(p, culture) for p in items]


def fingerprint(source: Source) -> str:
    """What a source holds, without reading its pictures: the hash of a captions.jsonl, or of every word that drawings are shown with."""
    if not source.captions.startswith("sample-world:"):
        path = Path(source.captions)
        # A missing file has an error of its own where it is read.
        return hash_files([path]) if path.is_file() else ""
    return sha256("\n".join(word for row in _described(source, FIRST_SEED)[1] for word in (row.noun, *row.rich, *row.english)).encode())


def fingerprint_of_origins(recipe: LoraRecipe) -> str:
    """How the culture says whose things are, where a recipe shows it; the rest of the culture's file may change without another run."""
    if not any(recipe.share_of(source, "origin_share") for source in recipe.sources):
        return ""
    culture = load_culture(recipe.culture)
    return sha256("\n".join(" / ".join(culture.origin((label,), label)) for label in (*culture.categories, *culture.glossary)).encode())


def _row(p: Picture, culture: Culture | None) -> Row:
    told = [captions(p, v) for v in range(VARIANTS)]
    worded = [culture.rich(p.concept.label, random.Random(f"{p.concept.slug}/{p.seed}/{i}").getrandbits(32)) for i in range(WORDINGS)] if culture else []
    alone, korean = noun(p.concept), of_korea(p.concept)
    # Shown often: "Korean" weighs more in the encoders than the noun behind it, and every such prompt would draw one and the same thing.
    belonging = [korean.ko] * BELONGING if culture else []
    romanised = {_romanised(t, p.concept): t.en for t in (*told, alone)} if p.concept.romanised else {}
    return Row(
        id=f"{p.concept.slug}/{p.seed}",
        noun=alone.ko,
        rich=(*(t.ko for t in told), *(ko for ko, _ in worded), *belonging),
        english=(alone.en, *(t.en for t in told)),
        romanised=tuple(romanised),
        origin=korean.ko if culture else "",
        group=p.concept.slug,
        twins={korean.ko: korean.en} | {ko: en or alone.en for ko, en in worded} | romanised | {t.ko: t.en for t in told} | {alone.ko: alone.en},
    )


def _romanised(twin: Twin, concept: Concept) -> str:
    """English without its gloss: "ramyeon at night" where the full one says what ramyeon is."""
    return twin.en.replace(concept.en_plural, concept.romanised).replace(concept.en, concept.romanised)


def _captioned(recipe: LoraRecipe, source: Source, held_out: bool, shares: Mapping[str, float]) -> tuple[list[Row], list[Photo]]:
    path, split = Path(source.captions), recipe.held_out.split if held_out else source.split
    records = _records(path, split)
    culture = load_culture(recipe.culture) if shares["origin_share"] else None
    kept = [(row, record) for record in records if (row := _words(record, culture)) and (source.learn == "pictures" or record.caption_en.strip())]
    if not kept:
        wanted = "words" if source.learn == "pictures" else f"words and English, which `learn: {source.learn}` needs"
        raise DataError(f"{path}: none of its {len(records)} records of the split {split!r} has {wanted}. Prepare it again with captions.")
    rows = [row for row, _ in kept]
    strangers = (
        sum(not row.origin for row in rows) if shares["origin_share"] else 0,
        "are of no category that the culture calls its own and show the noun alone",
    )
    left_out = (len(records) - len(rows), "are left out: no words, or no English for a source that learns from the base")
    _tell(source.captions, [left_out, *_gaps(kept, shares), strangers], len(records))
    index = index_for(path, cache_folder(recipe.machine.cache))
    return rows, [Stored(r.path, r.box, index) for _, r in kept]


def _records(path: Path, split: str) -> list[CaptionedRecord]:
    from kimchi.data.jsonl import read_records

    if not path.is_file():
        raise DataError(f"{path}: no such file of captions. Make it with `kimchi prepare`, or correct `sources` in the recipe.")
    records = [r for r in read_records(path, CaptionedRecord) if r.split == split]
    if not records:
        raise DataError(f"{path}: no records of the split {split!r}. Prepare more pictures, or name another split.")
    return records


def _words(r: CaptionedRecord, culture: Culture | None) -> Row | None:
    """A record's words; a form it lacks is taken from its neighbour. None where there is neither a noun nor a caption."""
    named, told, english, romanised = (_one_line(text) for text in (r.caption_noun, r.caption_ko, r.caption_en, r.caption_romanised))
    one, rich = named or told, told or named
    if not one:
        return None
    origin, origin_en = culture.origin(r.labels, named) if culture and named else ("", "")
    twins = {words: english or one for words in (one, rich, romanised) if words} | ({origin: origin_en or english or one} if origin else {})
    return Row(
        id=r.path, noun=one, rich=(rich,), english=(english or one,), romanised=(romanised,) if romanised else (), origin=origin, twins=twins, group=r.group
    )


def _one_line(text: str) -> str:
    # NFD Hangul is other bytes to a tokenizer, and white space is folded in prompts too.
    return " ".join(nfc(text).split())


def _gaps(kept: Sequence[tuple[Row, CaptionedRecord]], shares: Mapping[str, float]) -> Iterator[tuple[int, str]]:
    yield sum(not r.caption_ko.strip() for _, r in kept), "have no rich caption and show the noun instead"
    yield sum(not r.caption_noun.strip() for _, r in kept), "have no noun and show the rich caption instead"
    if shares["english_share"]:
        yield sum(not r.caption_en.strip() for _, r in kept), "have no English and show the noun instead"
    if shares["romanised_share"]:
        yield sum(not r.caption_romanised.strip() for _, r in kept), "have no romanised noun and show the noun instead"


def _tell(name: str, gaps: Sequence[tuple[int, str]], total: int) -> None:
    for count, what in gaps:
        if count:
            _LOG.warning("%s: %d of %d records %s.", name, count, total, what)


def words_for(row: Row, table: Table, caption_dropout: float, rng: random.Random) -> str:
    """The words one sample is shown: empty, English, romanised, the noun alone or with whose it is, or a rich caption, by the shares of its source.

    A row without one of these forms shows the noun in its place; reading the source told how many there are.
    """
    if rng.random() < caption_dropout:
        # The empty prompt of the same encoder, not zeros: guidance subtracts exactly those states.
        return ""
    if rng.random() < table.english_share:
        return rng.choice(row.english)
    if rng.random() < table.romanised_share:
        return rng.choice(row.romanised or (row.noun,))
    if rng.random() < table.noun_share:
        return row.origin if row.origin and table.origin_share and rng.random() < table.origin_share else row.noun
    return rng.choice(row.rich)
