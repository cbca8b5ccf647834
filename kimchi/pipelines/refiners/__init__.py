"""Refiners, one file each: `class Refiner`, made of the recipe's section and a culture, writes rich captions in the culture's language."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from kimchi import parts
from kimchi.data.cultures import Culture
from kimchi.pipelines.captioners import Answer
from kimchi.recipes import Writer
from kimchi.records import MadeBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A caption to write."""

    key: str
    """Comes back with the caption."""
    labels: tuple[str, ...]
    """The provider's, broadest first, at least one."""
    noun: str
    """What the culture calls the last label: the words that must stand whole in the caption. For a joined label, both names joined."""
    draft_en: str = ""
    """What a captioner saw; may be empty."""
    description: str = ""
    """What the provider says about the thing, cleaned; may be empty."""
    noun_first: bool = False
    """Whether the caption is to begin with the noun."""
    refused: tuple[tuple[str, str], ...] = ()
    """Earlier tries: the text, and why it was refused in the culture's language."""


class Refiner(Protocol):
    """What every refiner offers."""

    made_by: MadeBy
    """part, model, model_hash and prompt_hash."""
    identity: str
    """Whatever else an answer depends on (limits, temperature, seed), as text: answers are kept under this, made_by and the request."""

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """An answer for every request, in any order, soon after it was asked: at most a bounded number is held back."""
        ...


def refiner(section: Writer, culture: Culture) -> Refiner:
    """A refiner by the name a recipe gives it; weights are loaded when the first request comes.

    Raises:
        RecipeError: no such refiner, or settings that it cannot work with.
    """
    return parts.find("kimchi.pipelines.refiners", "Refiner", section.part)(section, culture)
