"""What alignment reads: parallel sentences by source, some of them held back for measuring."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kimchi.data.files import hash_files, sha256
from kimchi.data.parallel import Corpus, Pair, Refused, read_parallel
from kimchi.data.sample_world import CONCEPTS, Attributes, Concept, Picture, picture, pictures, worlds
from kimchi.data.sample_world.captions import captions, noun
from kimchi.errors import DataError, RecipeError
from kimchi.recipes import AlignRecipe, Parallel

FIRST_SEED, TEST_SEED = 10_000_000, 10_500_000
"""Of the pictures whose captions are learned from, and of those that measure: no other part of the miniature has either."""
VARIANTS = 3
"""Rich captions of a picture."""
HELD_OUT = 8
"""One in so many combinations of concept, colour and place is in no pair that is learned from."""
TEST_SHARE = 50
"""Of parallel text from files, one pair in so many measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One source, read."""

    pairs: list[Pair]
    """Learned from."""
    test: list[Pair]
    """Measured on; none of them is among `pairs`."""
    share: float
    through_unet: bool
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """Of parallel text from files: rows kept, with their sides swapped back, and refused by reason."""
    refused: list[Refused] = field(default_factory=list[Refused])


def held_out(concept: Concept, attributes: Attributes) -> bool:
    """Whether alignment must never read this combination of concept, colour and place."""
    return int(sha256(f"{concept.slug}/{attributes.colour}/{attributes.place}".encode()), 16) % HELD_OUT == 0


def read_pairs(recipe: AlignRecipe) -> list[Table]:
    """Every source of a recipe.

    Raises:
        RecipeError: a sample world that does not exist. DataError: a file that is missing, unreadable, or empty once cleaned.
    """
    return [_table(source, recipe.measure.pairs) for source in recipe.sources]


def fingerprint(recipe: AlignRecipe) -> str:
    """What the sources hold: hashes of files, or every sentence of the sample world."""
    parts: list[str] = []
    for source in recipe.sources:
        if source.pairs.startswith("sample-world:"):
            parts += [f"{p.ko}\t{p.en}" for p in _table(source, recipe.measure.pairs).pairs]
        else:
            path = Path(source.pairs)
            # A missing file has an error of its own where it is read.
            parts.append(hash_files(f for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file()))
    return sha256("\n".join(parts).encode())


def _table(source: Parallel, test: int) -> Table:
    corpus = Corpus()
    if source.pairs.startswith("sample-world:"):
        learned, measured = _drawn(source, test)
    else:
        corpus = read_parallel(Path(source.pairs).expanduser(), source.layout)
        learned, measured = _split(corpus.pairs)
    if not learned:
        raise DataError(f"{source.pairs}: no pair of sentences is left to learn from. Add parallel text, or leave this source out.")
    return Table(pairs=learned, test=measured, share=source.share, through_unet=source.through_unet, counts=dict(corpus.counts), refused=corpus.refused)


def _drawn(source: Parallel, test: int) -> tuple[list[Pair], list[Pair]]:
    world = source.pairs.partition(":")[2]
    if world not in ("parallel", "glosses"):
        raise RecipeError(f"sources.pairs: {source.pairs!r}; the sample world's text is sample-world:parallel or sample-world:glosses.")
    concepts = worlds("general" if world == "parallel" else "korean")
    learned = [pair for p in pictures(concepts, source.per_concept, FIRST_SEED) if not held_out(p.concept, p.attributes) for pair in _said(p)]
    known = {pair.ko for pair in learned}
    per_concept = -(-2 * test // len(concepts))
    measured = [pair for p in pictures(concepts, per_concept, TEST_SEED) for pair in _said(p)[:1] if pair.ko not in known]
    return learned, measured


def _said(p: Picture) -> list[Pair]:
    """The rich captions of a picture, and of every second one its noun alone."""
    twins = [captions(p, v) for v in range(VARIANTS)] + ([noun(p.concept)] if p.seed % 2 == 0 else [])
    name = f"sample-world/{p.concept.slug}/{p.seed}"
    return [Pair(en=t.en, ko=t.ko, picture=name) for t in twins]


def drawn_picture(name: str) -> Picture:
    """The drawing behind a pair's picture name."""
    _, slug, seed = name.split("/")
    return picture(CONCEPTS[slug], int(seed))


def _split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """What is learned from, and what measures: by the hash of the sentences, so that a corpus that grows keeps its split."""
    measures = [int(sha256(f"{p.ko}\t{p.en}".encode()), 16) % TEST_SHARE == 0 for p in pairs]
    return [p for p, held in zip(pairs, measures, strict=True) if not held], [p for p, held in zip(pairs, measures, strict=True) if held]


def draw(tables: Sequence[Table], count: int, source: torch.Generator) -> list[Pair]:
    """A batch, each pair from a source by its share."""
    shares = torch.tensor([t.share for t in tables])
    chosen = torch.multinomial(shares, count, replacement=True, generator=source).tolist()
    rng = random.Random(int(torch.randint(1 << 31, (1,), generator=source)))
    return [rng.choice(tables[i].pairs) for i in chosen]
