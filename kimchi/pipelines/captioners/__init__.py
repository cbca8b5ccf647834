"""Captioners, one file each: `class Captioner` made of a culture and a seed, with `caption(records)`."""

from collections.abc import Iterator
from typing import Protocol

from kimchi import parts
from kimchi.data.cultures import Culture
from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord


class Captioner(Protocol):
    """What every captioner offers."""

    def caption(self, records: Iterator[ImageRecord]) -> Iterator[CaptionedRecord | DroppedRecord]:
        """Each record with its four caption forms, or dropped with the reason, in the same order."""
        ...


def captioner(name: str, culture: Culture, seed: int) -> Captioner:
    """A captioner by the name a recipe gives it.

    Raises:
        RecipeError: no such captioner.
    """
    return parts.find("kimchi.pipelines.captioners", "Captioner", name)(culture, seed)
