"""Pictures of the sample world, scored by the recogniser: is each what its prompt asked for?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from kimchi.data.sample_world import CONCEPTS
from kimchi.errors import DataError

from .intervals import Share, wilson

if TYPE_CHECKING:
    from kimchi.models.recogniser import Sight

NONE = "none"
"""The recogniser's word for a picture that shows nothing it knows."""
ATTRIBUTES = ("colour", "place", "time", "number", "side")


class Judge(Protocol):
    """What a recogniser offers."""

    def see(self, images: Sequence[Image.Image]) -> "list[Sight]":
        """What each picture shows, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptScore:
    """The pictures asked for as one concept."""

    slug: str
    recognised: Share
    look_alike: Share
    none: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What the recogniser saw in pictures whose prompts named concepts."""

    n: int
    """Pictures."""
    recognised: Share
    """Seen as the concept asked for."""
    look_alike: Share
    """Seen as its look-alike of the general world instead; of the pictures whose concept has one."""
    none: Share
    """Seen as nothing known."""
    per_concept: tuple[ConceptScore, ...]
    """In the order of the sample world."""
    confusion: dict[str, dict[str, int]]
    """asked for -> seen as -> pictures."""
    attributes: dict[str, Share]
    """Of the pictures whose prompt states an attribute, those that show it; empty when no prompt's attributes were given."""
    right: tuple[bool, ...]
    """Picture by picture, for paired comparisons."""


def score(pictures: Sequence[tuple[Image.Image, str]], recogniser: Judge, stated: Sequence[Mapping[str, str]] | None = None) -> Score:
    """Compare what was asked for with what is seen.

    Args:
        pictures: each with the slug of the concept its prompt asked for.
        stated: for each picture the attributes its prompt states, by the names of ATTRIBUTES: {"colour": "red", "number": "2"}.

    Raises:
        DataError: a slug the sample world does not have.
        ValueError: `stated` is not as long as `pictures`.
    """
    asked = [slug for _, slug in pictures]
    unknown = sorted({slug for slug in asked if slug not in CONCEPTS})
    if unknown:
        raise DataError(f"{', '.join(unknown)}: no concept of the sample world, so the recogniser cannot know it. Score pictures of {', '.join(CONCEPTS)}.")
    sights = recogniser.see([image for image, _ in pictures])
    seen = [sight.concept for sight in sights]
    confusion = {slug: dict(Counter(s for a, s in zip(asked, seen, strict=True) if a == slug).most_common()) for slug in CONCEPTS if slug in asked}
    right = tuple(a == s for a, s in zip(asked, seen, strict=True))
    return Score(
        n=len(pictures),
        recognised=wilson(sum(right), len(right)),
        look_alike=_look_alike(asked, seen),
        none=wilson(seen.count(NONE), len(seen)),
        per_concept=tuple(_concept(slug, row) for slug, row in confusion.items()),
        confusion=confusion,
        attributes=_attributes(sights, stated) if stated is not None else {},
        right=right,
    )


def _look_alike(asked: Sequence[str], seen: Sequence[str]) -> Share:
    mistakable = [(CONCEPTS[a].look_alike, s) for a, s in zip(asked, seen, strict=True) if CONCEPTS[a].look_alike]
    return wilson(sum(look_alike == s for look_alike, s in mistakable), len(mistakable))


def _concept(slug: str, row: Mapping[str, int]) -> ConceptScore:
    n, look_alike = sum(row.values()), CONCEPTS[slug].look_alike
    mistaken = wilson(row.get(look_alike, 0), n) if look_alike else wilson(0, 0)
    return ConceptScore(slug=slug, recognised=wilson(row.get(slug, 0), n), look_alike=mistaken, none=wilson(row.get(NONE, 0), n))


def _attributes(sights: "Sequence[Sight]", stated: Sequence[Mapping[str, str]]) -> dict[str, Share]:
    shares: dict[str, Share] = {}
    pairs = list(zip(sights, stated, strict=True))
    for name in ATTRIBUTES:
        held = [str(getattr(sight, name)) == words[name] for sight, words in pairs if name in words]
        if held:
            shares[name] = wilson(sum(held), len(held))
    return shares
