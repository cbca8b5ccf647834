"""Captioners, one file each: `class Captioner`, made of the recipe's section, describes pictures in plain English."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from kimchi import parts
from kimchi.recipes import Writer
from kimchi.records import MadeBy


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture to describe."""

    key: str
    """Comes back with the description."""
    image: Image.Image | None
    """RGB, upright, cropped to what is learned from; None for a captioner that does not look."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote; also what refiners give."""

    key: str
    """Of what was asked."""
    text: str
    """Stripped of white space at both ends; empty when there is an error."""
    en: str = ""
    """Its English meaning, where a refiner knows it; empty else."""
    error: str = ""
    """Why there is no text, a sentence; the record is left for the next run. Empty when there is one."""


class Captioner(Protocol):
    """What every captioner offers."""

    looks: bool
    """False where it needs no pixels: then none are decoded."""
    made_by: MadeBy
    """part, model, model_hash and prompt_hash."""
    identity: str
    """Whatever else an answer depends on (limits, temperature, seed), as text: answers are kept under this, made_by and the picture."""

    def describe(self, pictures: Iterator[Seen]) -> Iterator[Answer]:
        """An answer for every picture, in any order, soon after it was asked: at most a bounded number is held back."""
        ...


def captioner(section: Writer) -> Captioner:
    """A captioner by the name a recipe gives it; weights are loaded when the first picture comes.

    Raises:
        RecipeError: no such captioner, or settings that it cannot work with.
    """
    return parts.find("kimchi.pipelines.captioners", "Captioner", section.part)(section)
