"""What people changed in review.html: corrections.jsonl in the run folder, which wins over every model from then on."""

from dataclasses import dataclass
from pathlib import Path

from kimchi.data.jsonl import read_records

CORRECTIONS = "corrections.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One decision about one picture; a later line of the same id replaces it."""

    id: str
    """Of the picture."""
    caption_ko: str = ""
    """The caption that is right; empty to leave the model's."""
    caption_en: str = ""
    """Its English meaning; may stay empty."""
    drop: bool = False
    """Whether the picture is not to be learned from."""
    note: str = ""
    """Why, in the reviewer's words."""


def read_corrections(path: Path) -> dict[str, Correction]:
    """Corrections by picture; none where the file is missing.

    Raises:
        DataError: a line that is not a correction; file and line are named.
    """
    return {found.id: found for found in read_records(path, Correction)} if path.is_file() else {}
