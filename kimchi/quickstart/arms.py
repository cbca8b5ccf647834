"""The arms of the comparison: the same prompts with the same seeds, drawn by several models, kept as contact sheets."""

import copy
import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from kimchi.data.cultures import load_culture
from kimchi.data.files import atomic_path, hash_files, write_json
from kimchi.data.sample_world import Concept, picture
from kimchi.data.sample_world.captions import captions
from kimchi.errors import CancelledError
from kimchi.generation.sampler import OnStep
from kimchi.models.lanes import Lanes, shared

from .suite import ARMS, ENGLISH, GENERAL

if TYPE_CHECKING:
    from kimchi.generation.generate import Kimchi
    from kimchi.generation.provenance import GeneratedImage

FIRST_SEED = 8_500_000
"""Seed of the first picture; each further one takes the next."""
_COLUMNS = 8
_MOST_LANES = 4
"""Each holds what a batch needs in memory."""


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
    """Draw one arm, a batch a lane; its record is written last."""
    asked = [p for p in prompts if p.form in ARMS[arm]]
    drawn = _drawn(painter, [p.english if arm == ENGLISH else p.text for p in asked], asked[0].seed, steps=steps, batch=batch, on_step=on_step)
    for form in ARMS[arm]:
        _write_sheet([d.image for d, p in zip(drawn, asked, strict=True) if p.form == form], folder / f"{arm}-{form}.png")
    record: dict[str, Any] = {key: drawn[0].provenance[key] for key in ("model", "hashes", "miniature", "steps", "guidance", "scheduler", "size_px", "device")}
    pictures = [{**asdict(p), "drawn": d.provenance["prompt"], "cut": d.cut} for p, d in zip(asked, drawn, strict=True)]
    sheets = {path.name: hash_files([path], 64) for path in files(folder, arm)[:-1]}
    write_json(folder / f"{arm}.json", {"arm": arm, **record, "batch": batch, "columns": _COLUMNS, "sheets": sheets, "pictures": pictures})


def _drawn(painter: "Kimchi", texts: Sequence[str], seed: int, *, steps: int, batch: int, on_step: OnStep | None) -> "list[GeneratedImage]":
    """A picture a text; the first takes the seed, each further one the next."""
    starts = range(0, len(texts), batch)
    count = min(len(starts), torch.get_num_threads(), _MOST_LANES) if painter.device == "cpu" else 1
    painters = [painter, *(_twin(painter) for _ in range(1, count))]
    counter, left = itertools.count(1), threading.Event()

    def told(done: int, total: int, latents_BCHW: torch.Tensor) -> None:
        if left.is_set():
            raise CancelledError("Stopped. The same command goes on.")
        if on_step is not None:
            on_step(next(counter), len(starts) * steps, latents_BCHW)

    def work(lane: int, start: int) -> "list[GeneratedImage]":
        return painters[lane].generate(list(texts[start : start + batch]), seed=seed + start, steps=steps, batch=batch, on_step=told)

    with Lanes(count) as lanes:
        try:
            return [one for part in lanes.map(work, starts) for one in part]
        finally:
            # Ctrl-C is heard here, and not in a lane: without this it would be obeyed when the lane's whole batch is drawn.
            left.set()


def _twin(painter: "Kimchi") -> "Kimchi":
    """For another lane: the same weights, and a tokenizer of its own, which no two threads may use at once."""
    model = painter.model
    return type(painter)(copy.deepcopy(model, shared(model.unet, model.vae, model.text.model)), painter.device, precision=painter.precision)


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
