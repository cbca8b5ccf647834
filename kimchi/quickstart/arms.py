"""The arms of the comparison: the same prompts with the same seeds, drawn by several models, kept as contact sheets."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from kimchi.data.cultures import load_culture
from kimchi.data.files import atomic_path, hash_files, write_json
from kimchi.data.sample_world import Concept, picture
from kimchi.data.sample_world.captions import captions
from kimchi.generation.sampler import OnStep

from .suite import ARMS, ENGLISH, GENERAL

if TYPE_CHECKING:
    from kimchi.generation.generate import Kimchi

FIRST_SEED = 8_500_000
"""Seed of the first picture; each further one takes the next."""
_COLUMNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One picture that every arm draws."""

    slug: str
    """The concept it asks for."""
    form: str
    """One of FORMS."""
    text: str
    """In Korean."""
    english: str
    """What the English arm is given instead; empty where it draws nothing."""
    seed: int


def make_prompts(dishes: Sequence[Concept], per_dish: int, general: Sequence[Concept]) -> list[Prompt]:
    """The rich captions of pictures that nobody was shown, then as many nouns, then a rich caption of each general thing.

    The rich ones say what is true of drawings that no delivery holds.
    """
    culture = load_culture("ko")
    shown = [picture(c, FIRST_SEED + i) for c in dishes for i in range(per_dish)]
    asked = [(p.concept.slug, "rich", captions(p).ko, "") for p in shown]
    asked += [(p.concept.slug, "noun", culture.noun(p.concept.label[-1]), "") for p in shown]
    twins = [(c.slug, captions(picture(c, FIRST_SEED))) for c in general]
    asked += [(slug, GENERAL, twin.ko, twin.en) for slug, twin in twins]
    return [Prompt(slug=slug, form=form, text=ko, english=en, seed=FIRST_SEED + i) for i, (slug, form, ko, en) in enumerate(asked)]


def files(folder: Path, arm: str) -> list[Path]:
    """What one arm leaves: a sheet a form, and the record of how they were made."""
    return [*(folder / f"{arm}-{form}.png" for form in ARMS[arm]), folder / f"{arm}.json"]


def draw(painter: "Kimchi", arm: str, prompts: Sequence[Prompt], folder: Path, *, steps: int, batch: int, on_step: OnStep | None = None) -> None:
    """Draw one arm; its record is written last."""
    asked = [p for p in prompts if p.form in ARMS[arm]]
    texts = [p.english if arm == ENGLISH else p.text for p in asked]
    drawn = painter.generate(texts, seed=asked[0].seed, steps=steps, batch=batch, on_step=on_step)
    for form in ARMS[arm]:
        _write_sheet([d.image for d, p in zip(drawn, asked, strict=True) if p.form == form], folder / f"{arm}-{form}.png")
    record: dict[str, Any] = {key: drawn[0].provenance[key] for key in ("model", "hashes", "miniature", "steps", "guidance", "scheduler", "size_px", "device")}
    pictures = [{**asdict(p), "drawn": d.provenance["prompt"], "cut": d.cut} for p, d in zip(asked, drawn, strict=True)]
    sheets = {path.name: hash_files([path], 64) for path in files(folder, arm)[:-1]}
    write_json(folder / f"{arm}.json", {"arm": arm, **record, "batch": batch, "columns": _COLUMNS, "sheets": sheets, "pictures": pictures})


def read(folder: Path, arm: str, form: str) -> list[Image.Image]:
    """The pictures of one arm and form, in the order of their prompts."""
    record = json.loads((folder / f"{arm}.json").read_text(encoding="utf-8"))
    count, side, columns = sum(p["form"] == form for p in record["pictures"]), record["size_px"], record["columns"]
    with Image.open(folder / f"{arm}-{form}.png") as file:
        sheet = file.convert("RGB")
    corners = [(i % columns * side, i // columns * side) for i in range(count)]
    return [sheet.crop((x, y, x + side, y + side)) for x, y in corners]


def _write_sheet(images: Sequence[Image.Image], path: Path) -> None:
    side = images[0].width
    sheet = Image.new("RGB", (side * min(_COLUMNS, len(images)), side * -(-len(images) // _COLUMNS)))
    for i, image in enumerate(images):
        sheet.paste(image, (i % _COLUMNS * side, i // _COLUMNS * side))
    with atomic_path(path) as temporary:
        sheet.save(temporary, "PNG")
