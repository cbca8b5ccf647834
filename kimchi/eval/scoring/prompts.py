"""Prompts whose pictures are scored: of an instrument (eval/*.yaml of kind: study), or of a JSON-lines file."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kimchi.data.jsonl import read_records
from kimchi.errors import DataError
from kimchi.eval.metrics import Asked

_NAME = re.compile(r"[,:(]")
"""Ends the name in "ramyeon, Korean spicy instant noodles boiled with egg"."""
GENERAL = "general"
"""The domain of an instrument that belongs to no culture."""


def read_prompts(name: str) -> tuple[Asked, ...]:
    """The prompts of a file.

    Raises:
        RecipeError: an instrument that cannot be read, or none of that name.
        DataError: a line that is no prompt, no prompts at all, or an id given twice.
    """
    path = Path(name).expanduser()
    prompts = tuple(map(_normal, read_records(path, Asked) if path.suffix == ".jsonl" else _of_instrument(name)))
    ids = [prompt.id for prompt in prompts]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice or not ids:
        said = f"{', '.join(twice[:5])} stands twice" if twice else "holds no prompts"
        raise DataError(f"{name}: {said}. Each prompt needs an id of its own, by which its pictures are named.")
    return prompts


def _normal(prompt: Asked) -> Asked:
    # File names are compared with ids, and macOS writes Hangul in parts.
    return replace(prompt, id=unicodedata.normalize("NFC", prompt.id))


def _of_instrument(name: str) -> Iterator[Asked]:
    # Here: who brings prompts of their own needs no study.
    from kimchi.eval.study.schema import load_instrument

    instrument = load_instrument(name)
    for prompt in instrument.prompts:
        # An instrument writes look-alikes in one language, its own or English, and says nowhere in which.
        own = tuple(one for one in prompt.look_alikes if not one.isascii())
        english = _NAME.split(prompt.en)[0].strip()
        yield Asked(
            id=prompt.id, text_ko=instrument.text(prompt, instrument.language), text_en=prompt.en, thing_ko=prompt.noun, thing_en=english,
            look_alikes_ko=own, look_alikes_en=tuple(one for one in prompt.look_alikes if one.isascii()),
            cultural=prompt.domain != GENERAL, conditions=instrument.domains[prompt.domain].conditions,
        )  # fmt: skip
