"""What exists in the sample world: the register of concepts, filled by the drawing files beside this one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .scene import Drawing

World = Literal["general", "korean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A thing that can be drawn."""

    slug: str
    """Identifier in file names and score tables, ASCII."""
    ko: str
    """Korean noun as a person would say it, NFC: "라면"."""
    en: str
    """English noun phrase without article: "ramen bowl"; for Korean things the romanised name with a short gloss."""
    en_plural: str
    romanised: str
    """Revised Romanisation of `ko`; empty for the general world."""
    counter_ko: str
    """Korean counter for "두 ...": 그릇, 채, 대, 벌, 개."""
    world: World
    category: str
    """food, place, dress or craft (Korean world); things (general world)."""
    label: tuple[str, ...]
    """The provider's Korean labels, broadest first, as a delivery of AIHub has them: ("면", "라면")."""
    setting: Literal["table", "outdoor"]
    colours: tuple[str, ...]
    """Names the thing may be drawn in; empty for one look."""
    max_number: int
    look_alike: str
    """Slug of the general thing a model mistakes it for; empty if none."""
    draw: Drawing


CONCEPTS: dict[str, Concept] = {}


def concept(
    slug: str,
    *,
    ko: str,
    en: str,
    world: World,
    category: str,
    setting: Literal["table", "outdoor"],
    en_plural: str = "",
    romanised: str = "",
    counter_ko: str = "개",
    label: tuple[str, ...] = (),
    colours: tuple[str, ...] = (),
    max_number: int = 2,
    look_alike: str = "",
) -> Callable[[Drawing], Drawing]:
    """Register the drawing below it. The order of registration is the order of every table and class index."""

    def register(draw: Drawing) -> Drawing:
        assert slug not in CONCEPTS, slug
        CONCEPTS[slug] = Concept(
            slug=slug, ko=ko, en=en, en_plural=en_plural or en + "s", romanised=romanised, counter_ko=counter_ko,
            world=world, category=category, label=label, setting=setting, colours=colours, max_number=max_number,
            look_alike=look_alike, draw=draw,
        )  # fmt: skip
        return draw

    return register
