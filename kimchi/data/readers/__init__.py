"""Readers of deliveries: one file a data set, `class Reader` with `read(source)`, `count(source)` and `credit(source)`.

Files whose names begin with "_" are shared by readers and are none. Readers yield the same picture as often as a delivery holds it:
telling copies apart takes a memory of all of them, which is the pipeline's to bound.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kimchi import parts
from kimchi.records import DroppedRecord, ImageRecord


class Reader(Protocol):
    """What every reader offers."""

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture of a delivery, as a record or as what was dropped and why, in a fixed order."""
        ...

    def count(self, source: Path) -> int:
        """How many records read() will give; reads directories, and tables of captions where a delivery has them, but no picture."""
        ...

    def credit(self, source: Path) -> str:
        """What the terms of the data ask to be said wherever something made from it is shown."""
        ...


def reader(name: str) -> Reader:
    """A reader by the name a recipe gives it.

    Raises:
        RecipeError: no such reader.
    """
    return parts.find("kimchi.data.readers", "Reader", name)()
