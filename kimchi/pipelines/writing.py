"""Pictures => drafts => captions that pass the checks: what the models are asked, once each, and what becomes of their answers."""

import dataclasses
import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kimchi.data.cultures import Culture
from kimchi.pipelines.answers import Answers, key_of
from kimchi.pipelines.captioners import Answer
from kimchi.pipelines.checks import Fault, check
from kimchi.pipelines.engines import Engine
from kimchi.pipelines.refiners import Request
from kimchi.recipes import PrepareRecipe
from kimchi.records import ImageRecord

Tick = Callable[[], None]
"""Called once for every record that is done with."""
_REQUEST = tuple(one.name for one in dataclasses.fields(Request))
_KNOWN_LABELS = 10_000


@dataclass(slots=True)
class Writers:
    """Everything that writing needs, and what it has counted."""

    recipe: PrepareRecipe
    culture: Culture
    engine: Engine
    answers: Answers
    count_tokens: Callable[[str], int]
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """Record id => why a model gave no answer; the next run asks again."""
    tries: dict[str, int] = field(default_factory=dict[str, int])
    """Record id => how often its caption was written, for those that did not pass at once."""
    asked: int = 0
    """Questions put to models in this run."""
    known: dict[tuple[str, ...], list[Any]] = field(default_factory=dict[tuple[str, ...], list[Any]])
    """Labels => what the culture says of them, for some thousand labels."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption that passed."""

    text: str
    en: str
    tries: int
    """How often it was written: 1 for at once, 0 where it came with the picture."""


def draft_key(w: Writers, record: ImageRecord) -> str:
    """Address of a picture's draft: the captioner, the picture, and how it is shown."""
    return key_of(w.engine.captioner, w.engine.captioner_identity, record.id, record.box)


def describe(w: Writers, records: Iterator[ImageRecord], tick: Tick) -> None:
    """Ask the captioner for every draft that is not there yet."""

    def questions() -> Iterator[tuple[str, ImageRecord]]:
        for record in records:
            key = draft_key(w, record)
            if record.labels and w.answers.get(key) is None:
                yield f"{record.id}/{key}", record
            tick()

    _keep(w, w.engine.describe(questions()))


def _keep(w: Writers, found: Iterator[Answer]) -> None:
    for answer in found:
        record, _, key = answer.key.partition("/")
        w.asked += 1
        if answer.error:
            w.errors[record] = answer.error
        else:
            w.answers.put(key, unicodedata.normalize("NFC", answer.text).strip(), answer.en)


def request_of(w: Writers, record: ImageRecord, draft: str) -> Request:
    """What the refiner is asked first."""
    first = hashlib.sha256(f"order/{record.id}".encode()).digest()[0] % 2 == 0
    return Request(
        key=record.id,
        labels=record.labels,
        noun=w.culture.noun(record.labels[-1]),
        draft_en=draft or record.caption,
        description=w.culture.clean(record.description),
        noun_first=first,
    )


def _request_key(w: Writers, request: Request) -> str:
    # As dataclasses.asdict, without its copies: this is asked several times of every record.
    asked = {name: getattr(request, name) for name in _REQUEST}
    return key_of(w.engine.refiner, w.engine.refiner_identity, asked, _known(w, request.labels))


def _known(w: Writers, labels: tuple[str, ...]) -> list[Any]:
    """What the culture says of these labels, not the culture as a whole: a new entry must not have every caption written again."""
    if labels not in w.known:
        if len(w.known) >= _KNOWN_LABELS:
            w.known.clear()
        entry = w.culture.glossary.get(labels[-1])
        w.known[labels] = [w.culture.category(labels).model_dump(), entry.model_dump(exclude={"parts", "common"}) if entry else None]
    return w.known[labels]


def fault_of(w: Writers, request: Request, text: str) -> Fault | None:
    """Why a caption is refused."""
    return check(text, request.labels[-1], w.culture, w.count_tokens, noun_first=request.noun_first, max_tokens=w.recipe.max_tokens)


def settled(w: Writers, record: ImageRecord) -> Caption | Fault | Request:
    """Where a record stands by the answers there are: a caption, refused for good, or the next request to make."""
    if not record.labels:
        # Nothing to anchor a model to: what came with the picture stays as it is.
        return Caption(record.caption, "", 0)
    draft = w.answers.get(draft_key(w, record))
    request = request_of(w, record, draft[0] if draft else "")
    fault = None
    for tries in range(1, w.recipe.retries + 2):
        key = _request_key(w, request)
        answer = w.answers.get(key)
        if answer is None:
            return request
        fault = None if w.answers.passed(key) else fault_of(w, request, answer[0])
        if fault is None:
            w.answers.note_passed(key)
            return Caption(answer[0], answer[1] or _meaning(w, request), tries)
        request = dataclasses.replace(request, refused=(*request.refused, (answer[0], fault.told)))
    assert fault is not None
    return fault


def _meaning(w: Writers, request: Request) -> str:
    entry = w.culture.glossary.get(request.labels[-1])
    # English without the thing's own name would teach a meaning that is not there.
    return f"{entry.en}: {request.draft_en}" if entry and entry.en and request.draft_en else (entry.en if entry else "")


def refine(w: Writers, records: Callable[[], Iterator[ImageRecord]], tick: Tick) -> None:
    """Ask the refiner until each record has a caption or has been refused as often as the recipe allows."""
    for round_ in range(w.recipe.retries + 1):
        before = w.asked
        _keep(w, w.engine.refine(_requests(w, records(), tick if round_ == 0 else None)))
        if w.asked == before:
            return


def _requests(w: Writers, records: Iterator[ImageRecord], tick: Tick | None) -> Iterator[Request]:
    for record in records:
        if record.id not in w.errors:
            found = settled(w, record)
            if isinstance(found, Request):
                yield dataclasses.replace(found, key=f"{record.id}/{_request_key(w, found)}")
        if tick:
            tick()
