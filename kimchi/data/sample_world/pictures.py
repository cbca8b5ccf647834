"""Seeded pictures of the sample world: which attributes, which seed, which caption."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from .concepts import CONCEPTS, Concept, World
from .scene import OUTDOOR_PLACES, SIDES, TABLE_PLACES, TIMES, Attributes, render_svg, scene_svg


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One drawing and everything that is true of it."""

    concept: Concept
    attributes: Attributes
    seed: int

    def render(self, size_px: int = 128) -> Image.Image:
        """RGB, uint8, size_px square."""
        return render_svg(scene_svg(self.concept.draw, self.attributes, self.seed), size_px)


def worlds(world: World) -> list[Concept]:
    """The concepts of one world, in the order of registration."""
    return [c for c in CONCEPTS.values() if c.world == world]


def draw_attributes(concept: Concept, rng: random.Random) -> Attributes:
    """A random true description that the concept allows."""
    places = TABLE_PLACES if concept.setting == "table" else OUTDOOR_PLACES
    number = 2 if concept.max_number > 1 and rng.random() < 0.25 else 1
    side = "centre" if number == 2 or rng.random() < 0.5 else rng.choice(SIDES)
    return Attributes(
        colour=rng.choice(concept.colours) if concept.colours else None,
        place=rng.choice(places),
        time=rng.choice(TIMES),
        number=number,
        side=side,
    )


def picture(concept: Concept, seed: int) -> Picture:
    """The picture number `seed` of a concept; the same seed is always the same picture."""
    return Picture(concept=concept, attributes=draw_attributes(concept, random.Random(f"{concept.slug}/{seed}")), seed=seed)


def pictures(concepts: Sequence[Concept], per_concept: int, first_seed: int) -> Iterator[Picture]:
    """per_concept pictures of each concept, seeds first_seed onwards, concepts interleaved."""
    for seed in range(first_seed, first_seed + per_concept):
        for concept in concepts:
            yield picture(concept, seed)
