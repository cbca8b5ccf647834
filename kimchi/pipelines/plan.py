"""`kimchi plan` for captioning: what a run will read, need and cost, before it is started. Reads directories and answers; loads no weights unless
asked to measure. Training has a plan of its own, kimchi/training/plan."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from kimchi.data.cultures import Culture, load_culture
from kimchi.data.jsonl import read_records
from kimchi.data.readers import reader
from kimchi.errors import DataError, KimchiError
from kimchi.pipelines.answers import Answers
from kimchi.pipelines.captioners import captioner
from kimchi.pipelines.engines import engine, local
from kimchi.pipelines.refiners import Request, refiner
from kimchi.pipelines.run import ANSWERS, RECORDS
from kimchi.pipelines.writing import Writers, draft_key, request_of, settled
from kimchi.recipes import PrepareRecipe, Writer
from kimchi.records import ImageRecord

SAMPLES, MEASURED = 64, 8
"""Records whose prompts are counted, and pictures that --measure describes."""
KNOWN_GRIDS = {"llava-1.5": 576, "llava-v1.5": 576}
"""Tokens of a picture by a part of the model's name: LLaVA 1.5 sees 336 px in patches of 14, 24 x 24 (arXiv:2310.03744)."""
_CHARACTERS_A_TOKEN, _BYTES_A_PIXEL = 4.0, 0.5
"""Estimates: of plain ASCII text, every other character counting as a token; and of JPEG at quality 90."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a known setup writes, and how long this run would take on it."""

    setup: str
    """Model and machine."""
    stage: str
    """captioner or refiner."""
    per_second: float | None
    """Pictures or captions a second; None where nobody has measured it."""
    hours: float | None
    """For what is still to be asked."""
    source: str
    """Who measured, and when; or the command that measures."""


KNOWN_SPEEDS: tuple[tuple[str, str, str, float | None, str], ...] = (
    ("captioner", "llava-1.5-7b", "one data-centre GPU, bf16", None, "python tests/benchmarks/captioning.py --part local --model FOLDER"),
    ("captioner", "mini", "the miniature, CPU", None, "kimchi plan RECIPE --measure"),
    ("refiner", "llama", "one data-centre GPU, bf16", None, "kimchi plan RECIPE --measure"),
    ("refiner", "mini", "the miniature, CPU", None, "kimchi plan RECIPE --measure"),
)
"""Stage, part of the model's name, machine, requests a second (None: not measured), and source with date or the command that measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """What one part will be asked."""

    part: str
    """As the recipe names it."""
    model: str
    """Empty where no model writes."""
    requests: int
    """Still to be asked; a caption that is refused is asked again, which is not foreseen here."""
    tokens_in: int | None
    """Of all requests together, pictures included; None where nothing tells."""
    picture_tokens: int | None
    """Of one picture, within tokens_in; None where the model's grid is not known."""
    tokens_out: int
    """At most, of all requests together."""
    counted_by: str
    """How prompt tokens were counted: "the model's tokenizer", or "estimate: ..."."""
    endpoint: str
    """Host that is sent the requests; empty where the model runs in this process."""
    bytes_leaving: int
    """What would be sent to that host, bytes; an estimate."""
    data_may_leave: bool
    """Whether the recipe lets it go to a host outside the private network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparePlan:
    """What `kimchi prepare` will do."""

    kind: str
    pictures: int
    """Of the delivery, before any is dropped; once it is read, those that were kept."""
    counted: str
    """Where that number comes from: "records.jsonl" or "the delivery's directories"."""
    captioner: PartPlan
    refiner: PartPlan
    speeds: tuple[Speed, ...]
    notes: tuple[str, ...]
    """What stands in the way, or was not known."""


def plan(recipe: PrepareRecipe, *, measure: bool = False) -> PreparePlan:
    """What a recipe's run will read, need and cost.

    Args:
        measure: let its own models write for a few pictures of the delivery, here and now.

    Raises:
        RecipeError: an unknown reader, culture or part.
        DataError: the delivery cannot be opened, or holds nothing to measure with.
    """
    folder, culture = Path(recipe.out or f"runs/{recipe.name}").expanduser(), load_culture(recipe.culture)
    notes: list[str] = []
    read = (folder / RECORDS).is_file()
    pictures = sum(1 for _ in _records(folder)) if read else reader(recipe.reader).count(Path(recipe.source).expanduser())
    asks = _still_asked(recipe, culture, folder, pictures, notes) if read else (pictures, pictures)
    samples = list(islice((record for record in _records(folder) if record.labels), SAMPLES)) if read else []
    described, worded = _captioner_plan(recipe, asks[0], notes), _refiner_plan(recipe, culture, samples, asks[1])
    speeds = _speeds("captioner", described) + _speeds("refiner", worded)
    if measure:
        speeds += _measured(recipe, culture, samples, described, worded)
    return PreparePlan(
        kind="prepare", pictures=pictures, counted=RECORDS if read else "the delivery's directories",
        captioner=described, refiner=worded, speeds=speeds, notes=tuple(notes),
    )  # fmt: skip


def describe(found: PreparePlan) -> list[str]:
    """A plan as lines of text."""
    lines = [f"{found.pictures:,} pictures, by {found.counted}", *_told_of("captioner", found.captioner), *_told_of("refiner", found.refiner)]
    return [*lines, *(_told_of_speed(speed) for speed in found.speeds), *(f"note: {note}" for note in found.notes)]


def _told_of(stage: str, of: PartPlan) -> Iterator[str]:
    model = f" ({of.model})" if of.model else ""
    yield f"{stage} {of.part}{model}: {of.requests:,} requests still to be asked"
    if of.model:
        inside = "not known" if of.tokens_in is None else f"{of.tokens_in:,}"
        pictures = f", {of.picture_tokens} a picture" if of.picture_tokens else ""
        yield f"  tokens in {inside} ({of.counted_by}{pictures}), out at most {of.tokens_out:,}"
    if of.endpoint:
        allowed = "as it does" if of.data_may_leave else "and it does not"
        yield (
            f"  sent to {of.endpoint}: about {of.bytes_leaving / 1e6:,.1f} MB (estimate); "
            f"if that host is outside the private network, the recipe must say data_may_leave: true, {allowed}"
        )


def _told_of_speed(speed: Speed) -> str:
    if speed.per_second is None:
        return f"  {speed.stage}, {speed.setup}: not measured; measure with: {speed.source}"
    return f"  {speed.stage}, {speed.setup}: {speed.per_second:,.1f} a second, {speed.hours or 0:,.2f} hours ({speed.source})"


def _records(folder: Path) -> Iterator[ImageRecord]:
    return read_records(folder / RECORDS, ImageRecord)


def _still_asked(recipe: PrepareRecipe, culture: Culture, folder: Path, pictures: int, notes: list[str]) -> tuple[int, int]:
    """Requests to captioner and refiner that no answer is kept for."""
    if not (folder / ANSWERS).is_file():
        return pictures, pictures
    try:
        with closing(Answers(folder / ANSWERS)) as answers:
            from kimchi.models.tokens import counter

            writers = Writers(recipe, culture, engine(recipe.model_copy(update={"engine": "local"}), culture), answers, counter(recipe.text_encoder))
            return _unanswered(writers, _records(folder))
    except KimchiError as error:
        notes.append(f"answers that are there already were not counted: {error}")
        return pictures, pictures


def _unanswered(w: Writers, records: Iterator[ImageRecord]) -> tuple[int, int]:
    drafts = captions = 0
    for record in (record for record in records if record.labels):
        drafted = w.answers.get(draft_key(w, record)) is not None
        drafts += not drafted
        # Where the draft is still to come, so is the caption made from it.
        captions += not drafted or isinstance(settled(w, record), Request)
    return drafts, captions


def _captioner_plan(recipe: PrepareRecipe, requests: int, notes: list[str]) -> PartPlan:
    section = recipe.captioner
    part = cast(Any, captioner(_offline(section)))
    model, picture = _model_of(part), None
    text_tokens, counted_by = _counter(model, "mini-llava")
    told, looks = _words(getattr(part, "messages", ())), bool(part.looks)
    if looks:
        picture = _grid(model, "mini-llava")
        if picture is None:
            notes.append(f"{model}: how many tokens it reads of a picture is not known here, so tokens in are the prompt's alone.")
    sent = len(json.dumps(getattr(part, "messages", ()))) + looks * round(recipe.picture_px**2 * _BYTES_A_PIXEL * 4 / 3)
    return PartPlan(
        part=section.part, model=model, requests=requests, tokens_in=requests * (text_tokens(told) + (picture or 0)) if model else None,
        picture_tokens=picture, tokens_out=requests * section.max_new_tokens if model else 0, counted_by=counted_by,
        endpoint=urlsplit(section.endpoint).hostname or "", bytes_leaving=requests * sent if section.endpoint else 0,
        data_may_leave=section.data_may_leave,
    )  # fmt: skip


def _refiner_plan(recipe: PrepareRecipe, culture: Culture, samples: list[ImageRecord], requests: int) -> PartPlan:
    section = recipe.refiner
    part = cast(Any, refiner(_offline(section), culture))
    model = _model_of(part)
    text_tokens, counted_by = _counter(model, "mini-llama")
    tokens = sent = 0.0
    if model and hasattr(part, "messages"):
        messages = [part.messages(request) for request in _requests(recipe, culture, samples)]
        # The draft is still to be written: at most as long as the captioner may write.
        tokens = sum(text_tokens(_words(one)) for one in messages) / len(messages) + recipe.captioner.max_new_tokens * (recipe.captioner.part != "none")
        sent = sum(len(json.dumps(one)) for one in messages) / len(messages)
    return PartPlan(
        part=section.part, model=model, requests=requests, tokens_in=round(requests * tokens) if model else None, picture_tokens=None,
        tokens_out=requests * section.max_new_tokens if model else 0, counted_by=counted_by, endpoint=urlsplit(section.endpoint).hostname or "",
        bytes_leaving=round(requests * sent) if section.endpoint else 0, data_may_leave=section.data_may_leave,
    )  # fmt: skip


def _offline(section: Writer) -> Writer:
    # An endpoint's client asks for the host's address when it is made, and a plan speaks to nobody.
    return section.model_copy(update={"endpoint": ""})


def _model_of(part: Any) -> str:
    """The model a part will use, its default filled in; empty for one without."""
    section = getattr(part, "section", None)
    return section.model if isinstance(section, Writer) else ""


def _requests(recipe: PrepareRecipe, culture: Culture, samples: list[ImageRecord]) -> list[Request]:
    """Requests like those to come: of records that were read, else of labels in the glossary."""
    labels = [(culture.glossary[label].category, label) for label in islice(culture.glossary, SAMPLES)]
    records = samples or [ImageRecord(id=f"{i:016x}", path="", labels=one) for i, one in enumerate(labels)]
    writers = cast(Writers, _Words(culture))
    return [request_of(writers, record, "") for record in records]


@dataclass(frozen=True, slots=True)
class _Words:
    """As much of Writers as wording a request takes."""

    culture: Culture


def _words(messages: Any) -> str:
    return "\n".join(str(message["content"]) for message in messages)


def _counter(model: str, mini: str) -> tuple[Callable[[str], int], str]:
    """Text => tokens, and how that is counted. A tokenizer that is not on this machine is not fetched."""
    if not model:
        return lambda text: 0, ""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(_place(model, mini), local_files_only=True)
        return lambda text: len(tokenizer(text, verbose=False).input_ids), "the model's tokenizer"
    except (OSError, ValueError, KeyError):
        return _estimate, "estimate: four plain characters a token, one of any other script"


def _estimate(text: str) -> int:
    plain = sum(character.isascii() for character in text)
    return round(plain / _CHARACTERS_A_TOKEN) + len(text) - plain


def _place(model: str, mini: str) -> str:
    if model != "mini":
        return str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model
    from kimchi.models.places import weights_folder

    return str(weights_folder() / mini)


def _grid(model: str, mini: str) -> int | None:
    """Tokens of one picture, by the model's name or by its config."""
    known = [tokens for name, tokens in KNOWN_GRIDS.items() if name in model.lower()]
    if known:
        return known[0]
    try:
        config = json.loads((Path(_place(model, mini)) / "config.json").read_text(encoding="utf-8"))
        vision = config["vision_config"]
        # Later members of the family cut pictures into tiles, as many as their shape asks.
        return (int(vision["image_size"]) // int(vision["patch_size"])) ** 2 if config["model_type"] == "llava" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _speeds(stage: str, of: PartPlan) -> tuple[Speed, ...]:
    rows = [row for row in KNOWN_SPEEDS if of.model and row[0] == stage and row[1] in of.model.lower()]
    return tuple(_speed(stage, f"{name}, {machine}", rate, of.requests, source) for _, name, machine, rate, source in rows)


def _speed(stage: str, setup: str, rate: float | None, requests: int, source: str) -> Speed:
    return Speed(setup=setup, stage=stage, per_second=rate, hours=requests / rate / 3600 if rate else None, source=source)


def _measured(recipe: PrepareRecipe, culture: Culture, samples: list[ImageRecord], described: PartPlan, worded: PartPlan) -> tuple[Speed, ...]:
    """The recipe's own models on a few pictures, here; what loading takes is left out by asking once for one and once for all."""
    few = samples[:MEASURED] or list(_first(recipe))
    if len(few) < 2:
        raise DataError(f"{recipe.source}: holds fewer than two pictures that can be read, too few to measure with. Leave --measure out.")
    here, requests = local.Engine(recipe, culture), _requests(recipe, culture, few)
    works: list[tuple[str, PartPlan, Callable[[int], Iterator[Any]]]] = [
        ("captioner", described, lambda count: here.describe((record.id, record) for record in few[:count])),
        ("refiner", worded, lambda count: here.refine(iter(requests[:count]))),
    ]
    source = f"measured now on {len(few)} pictures"
    return tuple(_speed(stage, f"{of.model}, this machine", _rate(work, len(few)), of.requests, source) for stage, of, work in works if of.model)


def _first(recipe: PrepareRecipe) -> Iterator[ImageRecord]:
    found = reader(recipe.reader).read(Path(recipe.source).expanduser())
    return islice((record for record in found if isinstance(record, ImageRecord) and record.labels), MEASURED)


def _rate(work: Callable[[int], Iterator[Any]], count: int) -> float:
    def seconds(of: int) -> float:
        began = time.perf_counter()
        for _ in work(of):
            pass
        return time.perf_counter() - began

    seconds(1)
    alone = seconds(1)
    return (count - 1) / max(1e-6, seconds(count) - alone)
