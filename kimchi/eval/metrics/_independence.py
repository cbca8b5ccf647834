"""Is a judge independent of what it judges? An encoder that a model was trained with likes what that model draws."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kimchi.data.files import hash_file
from kimchi.errors import DataError, RecipeError
from kimchi.generation.provenance import read_provenance

from . import Scene
from ._towers import SAFE

KIN = {
    "xlm-roberta-large-ViT-H-14": "its picture tower is OpenCLIP ViT-H/14 as it was (LAION-2B), whose text tower Stable Diffusion 2.x hears",
    "ViT-H-14": "it is of the family whose text tower Stable Diffusion 2.x hears",
    "ViT-L-14": "it is of the family whose text tower Stable Diffusion 1.x hears, and of which Korean-CLIP was made",
}
"""Architectures that are kin to what common base models were trained with: not refused, but told."""


def check_independent(scene: Scene, judge: str, metric: str, weights: Path | None = None) -> None:
    """Refuse an encoder that the pictures' models were trained with.

    What they were trained with is known from the recipe (`trained_with`), from the records that pictures of KIMCHI carry, and from the cards
    of the run folders either of them names.

    Args:
        judge: the encoder as the recipe names it.
        metric: what to call the metric in an error.
        weights: its file, once that is found: a copy of it under another name is the same encoder.

    Raises:
        RecipeError: it is one of theirs.
    """
    ours, copies = _names(judge), _weights(Path(judge).expanduser()) + ([weights] if weights else [])
    for said, encoder in _encoders((*scene.trained_with, *_models(scene))):
        if _names(encoder) & ours or _same(_weights(Path(encoder).expanduser()), copies):
            raise RecipeError(
                f"metrics.{metric}: {judge} is a text encoder that pictures were drawn with ({said}), and would judge its own work. "
                "Name an encoder that no model here was trained with."
            )


def kinship(judge: str) -> tuple[str, ...]:
    """What a reader should know of where an encoder comes from."""
    told = KIN.get(judge.partition("@")[0])
    return (f"{judge} is not wholly independent of every model: {told}.",) if told else ()


def _models(scene: Scene) -> Iterator[str]:
    """Model names in the records of the pictures; each once."""
    yield from dict.fromkeys(str(record["model"]) for record in _records(shown.path for shown in scene.pictures))


def _records(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        beside = path.with_suffix(".json")
        if path.suffix.lower() != ".png" and not beside.is_file():
            continue
        try:
            yield read_provenance(beside if beside.is_file() else path)
        except DataError:
            continue  # drawn by someone else: what it was trained with is the recipe's to say


def _encoders(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(who says so, encoder) for each name and what its cards lead to."""
    waiting, seen = [(name, name) for name in names], set[str]()
    while waiting:
        said, name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield said, name
        waiting += [(f"{said}: {further}", further) for further in _named_in(Path(name).expanduser())]


def _named_in(folder: Path) -> Iterator[str]:
    """Encoders that a run's card, or the configuration of an adapted encoder, names."""
    for file, key in (("card.json", "text_encoder"), ("card.json", "source"), ("config.json", "source")):
        try:
            found = json.loads((folder / file).read_text(encoding="utf-8")).get(key)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(found, str) and found:
            yield found


def _names(said: str) -> set[str]:
    """One encoder's names in one form: a place without its scheme, and for MODEL@WEIGHTS its repository too."""
    plain = said.removeprefix("hf-hub:").removeprefix("local-dir:").rstrip("/")
    place = Path(plain).expanduser()
    return {plain, *([str(place.resolve())] if place.exists() else []), *([hub] if (hub := _hub_of(plain)) else [])}


def _hub_of(name: str) -> str:
    model, at, tag = name.partition("@")
    if not at:
        return ""
    import open_clip

    return str((open_clip.get_pretrained_cfg(model, tag) or {}).get("hf_hub", "")).strip("/")


def _weights(folder: Path) -> list[Path]:
    return [path for name in SAFE if (path := folder / name).is_file()]


def _same(theirs: list[Path], ours: list[Path]) -> bool:
    """Whether any two are one file's content; sizes first, since these files are gigabytes."""
    return any(a.stat().st_size == b.stat().st_size and hash_file(a) == hash_file(b) for a in theirs for b in ours)
