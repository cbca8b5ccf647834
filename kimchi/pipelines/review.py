"""A run folder => review.html, a contact sheet on which people correct and drop captions; what they save is corrections.jsonl."""

import base64
import dataclasses
import hashlib
import heapq
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kimchi import __version__
from kimchi.data import pictures
from kimchi.data.archives import read_member
from kimchi.data.cultures import Culture
from kimchi.data.files import hash_files, write_text
from kimchi.data.jsonl import read_records
from kimchi.data.readers.aihub_food import SAMPLE_MARK
from kimchi.errors import DataError
from kimchi.pipelines.corrections import CORRECTIONS, Correction, read_corrections
from kimchi.records import CaptionedRecord, Draft, DroppedRecord, ImageRecord

REVIEW = "review.html"
_RECORDS, _DRAFTS, _CAPTIONS, _DROPPED, _MANIFEST = "records.jsonl", "drafts.jsonl", "captions.jsonl", "captions.dropped.jsonl", "manifest.json"
_ORDINARY = 5
"""The tier of pictures that ask for no attention."""
_FIRST_SHARE = 0.75
"""Of a sample, at most this goes to pictures that ask for attention while there are others: a page of dropped ones alone shows no caption."""
_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture of the run, kept or dropped."""

    position: int
    """Its number in the run: kept ones first, in the order of captions.jsonl."""
    id: str
    """Empty for one that was dropped in reading; no correction can name it."""
    path: str
    labels: tuple[str, ...]
    box: pictures.Box | None
    caption: CaptionedRecord | None
    reason: str = ""
    """Why it was dropped."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the run folder knows of pictures beside their captions."""

    corrections: dict[str, Correction]
    flags: dict[str, tuple[str, ...]]
    tries: Mapping[str, int]


def write_review(
    folder: Path, culture: Culture, *, limit: int = 2000, thumb_px: int = 160, tries: Mapping[str, int] | None = None, credit: str | None = None
) -> Path:
    """Write review.html, whole or not at all.

    Args:
        folder: a run folder with captions.jsonl; records, drafts, dropped ones, corrections and manifest are read where they are there.
        culture: whose names for things the captions must hold.
        limit: most pictures on the page; of more, the same sample is drawn every time.
        thumb_px: longest side of a thumbnail, pixels.
        tries: record id => how often its caption was written until it passed, where that is known.
        credit: what the terms of the data ask to be said; None takes it from manifest.json.

    Raises:
        DataError: no captions.jsonl, or a line of a file that cannot be understood; file and line are named.
        OutputError: the folder cannot be written.
    """
    flags = {record.id: record.flags for record in _lines(folder / _RECORDS, ImageRecord) if record.flags}
    known, totals = _Known(read_corrections(folder / CORRECTIONS), flags, tries or {}), Counter[str]()
    chosen = _choose(_counted(_pictures(folder), totals), known, limit)
    found = sorted((picture for picture in _pictures(folder) if picture.position in chosen), key=lambda p: (p.labels, p.path, p.position))
    drafts = _drafts(folder, {picture.id for picture in found})
    values = {
        "cards": [_card(picture, known, drafts, culture, thumb_px) for picture in found],
        "corrections": [dataclasses.asdict(correction) for correction in known.corrections.values()],
        "kept": totals["kept"], "dropped": totals["dropped"], "run": str(folder.resolve()), "captions": hash_files([folder / _CAPTIONS]),
        "tag": culture.tag, "language": {"ko": culture.language, "en": culture.language_en}, "texts": json.loads(_template("review_texts.json")),
        "terms": _terms(folder, credit), "version": __version__,
    }  # fmt: skip
    path = folder / REVIEW
    write_text(path, _page(values))
    return path


def _lines(path: Path, cls: type[Any]) -> Iterator[Any]:
    return read_records(path, cls) if path.is_file() else iter(())


def _pictures(folder: Path) -> Iterator[_Picture]:
    """Every picture of the run, one at a time: a delivery may hold a million."""
    position = -1
    for position, record in enumerate(read_records(folder / _CAPTIONS, CaptionedRecord)):
        yield _Picture(position, record.id, record.path, record.labels, record.box, record)
    # A dropped record has no id of its own. Those that were read follow each other as they do in records.jsonl.
    refused = _refused(folder)
    expected = next(refused, None)
    for after, record in enumerate(_lines(folder / _DROPPED, DroppedRecord), position + 1):
        if expected and record.path == expected.path:
            yield _Picture(after, expected.id, record.path, record.labels, expected.box, None, record.reason)
            expected = next(refused, None)
        else:
            yield _Picture(after, "", record.path, record.labels, None, None, record.reason)


def _refused(folder: Path) -> Iterator[ImageRecord]:
    """What was read and has no caption; captions.jsonl keeps the order of records.jsonl."""
    captions = read_records(folder / _CAPTIONS, CaptionedRecord)
    caption = next(captions, None)
    for record in _lines(folder / _RECORDS, ImageRecord):
        if caption and record.id == caption.id:
            caption = next(captions, None)
        else:
            yield record


def _counted(found: Iterator[_Picture], totals: Counter[str]) -> Iterator[_Picture]:
    for picture in found:
        totals["kept" if picture.caption else "dropped"] += 1
        yield picture


def _tier(picture: _Picture, known: _Known) -> int:
    """Who comes first onto the page: 0 decided by a person, 1 flagged, 2 rewritten, 3 dropped, 4 dropped for good."""
    if picture.id in known.corrections:
        return 0
    if picture.id in known.flags:
        return 1
    if known.tries.get(picture.id, 1) > 1:
        return 2
    return _ORDINARY if picture.caption else 3 if picture.id else 4


def _choose(found: Iterator[_Picture], known: _Known, limit: int) -> set[int]:
    """Positions of the pictures to show: tier by tier, within a tier one of each label in turn, in the order of a hash."""
    places: dict[tuple[int, tuple[str, ...]], list[tuple[int, int]]] = {}
    for picture in found:
        order = hashlib.sha256(f"review/{picture.id or picture.path}".encode()).digest()[:8]
        heap = places.setdefault((_tier(picture, known), picture.labels), [])
        heapq.heappush(heap, (-int.from_bytes(order, "big"), picture.position))
        if len(heap) > limit:
            heapq.heappop(heap)  # the last in order
    turns = sorted((tier, turn, *place) for (tier, _), heap in places.items() for turn, place in enumerate(sorted(heap, reverse=True)))
    first = [position for tier, _, _, position in turns if tier != _ORDINARY]
    rest = [position for tier, _, _, position in turns if tier == _ORDINARY]
    first = first[: max(limit - len(rest), round(_FIRST_SHARE * limit))]
    return {*first, *rest[: limit - len(first)]}


def _drafts(folder: Path, wanted: set[str]) -> dict[str, str]:
    return {draft.id: draft.text_en for draft in _lines(folder / _DRAFTS, Draft) if draft.id in wanted}


def _card(picture: _Picture, known: _Known, drafts: dict[str, str], culture: Culture, thumb_px: int) -> dict[str, Any]:
    thumbnail, unseen = _thumbnail(picture, thumb_px)
    caption, label = picture.caption, picture.labels[-1] if picture.labels else ""
    return {
        "id": picture.id, "labels": picture.labels, "names": culture.displays(label) if label else (),
        "noun": caption.caption_noun if caption else culture.noun(label) if label else "",
        "text": caption.caption_ko if caption else "", "en": caption.caption_en if caption else "",
        "romanised": caption.caption_romanised if caption else _romanised(culture, label), "draft": drafts.get(picture.id, ""),
        "split": caption.split if caption else "", "group": caption.group if caption else "", "by": caption.made_by.part if caption else "",
        "flags": known.flags.get(picture.id, ()), "tries": known.tries.get(picture.id, 0), "dropped": caption is None, "reason": picture.reason,
        "path": picture.path, "file": Path(picture.path.split("!")[-1]).name, "picture": thumbnail, "unseen": unseen,
    }  # fmt: skip


def _romanised(culture: Culture, label: str) -> str:
    entry = culture.glossary.get(label)
    return entry.romanised if entry else ""


def _thumbnail(picture: _Picture, thumb_px: int) -> tuple[str, str]:
    """A JPEG in base64, or why there is none."""
    try:
        image = pictures.crop(pictures.decode(read_member(picture.path), picture.path), picture.box)
    except DataError as error:
        return "", str(error).removeprefix(f"{picture.path}: ")
    image.thumbnail((thumb_px, thumb_px), reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return base64.b64encode(file.getvalue()).decode(), ""


def _terms(folder: Path, credit: str | None) -> dict[str, Any]:
    if credit is None:
        try:
            credit = str(json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["credit"])
        except (OSError, ValueError, KeyError, TypeError):
            credit = ""  # no manifest yet: the page then says no more than that the data has terms
    return {"credit": credit, "sample": credit.startswith(SAMPLE_MARK)}


def _template(name: str) -> str:
    return (resources.files("kimchi.pipelines") / "templates" / name).read_text(encoding="utf-8")


def _page(values: dict[str, Any]) -> str:
    environment = Environment(loader=PackageLoader("kimchi.pipelines"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    style, script = _template("review.css"), _template("review.js")
    # Captions and labels are anyone's: only this script and this style may run, by their hashes, and nothing may be fetched.
    policy = "; ".join((
        "default-src 'none'", f"script-src {_source(script)}", f"style-src {_source(style)}", "img-src data:", "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip
    return environment.get_template("review.html").render(policy=policy, style=Markup(style), script=Markup(script), data=_embedded(values))


def _source(text: str) -> str:
    """An inline text as a source of a content security policy: CSP Level 3, 2.3.1."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(value: Any) -> Markup:
    """JSON that cannot end the <script> it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
