"""Engines, one file each: `class Engine`, made of a recipe and a culture, has the models of a recipe work through records, here or elsewhere."""

from collections.abc import Iterator
from typing import Protocol

from kimchi import parts
from kimchi.data.cultures import Culture
from kimchi.pipelines.captioners import Answer
from kimchi.pipelines.refiners import Request
from kimchi.recipes import PrepareRecipe
from kimchi.records import ImageRecord, MadeBy


class Engine(Protocol):
    """What every engine offers. Whichever does the work, the answers are the same."""

    captioner: MadeBy
    """Who writes drafts."""
    captioner_identity: str
    """Whatever else its answers depend on; the recipe's picture_px is among it where the captioner looks."""
    refiner: MadeBy
    """Who writes captions."""
    refiner_identity: str

    def describe(self, records: Iterator[tuple[str, ImageRecord]]) -> Iterator[Answer]:
        """An answer for each (key, record), in any order; a picture that cannot be read again is an answer with an error."""
        ...

    def refine(self, requests: Iterator[Request]) -> Iterator[Answer]:
        """An answer for each request, in any order."""
        ...


def engine(recipe: PrepareRecipe, culture: Culture) -> Engine:
    """The engine a recipe names; models are loaded when the first record comes.

    Raises:
        RecipeError: no such engine, captioner or refiner, or settings that they cannot work with.
    """
    return parts.find("kimchi.pipelines.engines", "Engine", recipe.engine)(recipe, culture)
