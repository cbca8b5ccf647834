"""`kimchi prepare`: a delivery => records.jsonl => drafts.jsonl => captions.jsonl and captions.dropped.jsonl; manifest.json is written last."""

import dataclasses
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from kimchi.data import archives
from kimchi.data.cultures import Culture, load_culture
from kimchi.data.files import hash_files, sha256, write_json
from kimchi.data.jsonl import read_records, write_records
from kimchi.data.readers import Reader, reader
from kimchi.errors import DataError, OutputError, RecipeError
from kimchi.pipelines.answers import Answers
from kimchi.pipelines.corrections import CORRECTIONS, Correction, read_corrections
from kimchi.pipelines.engines import engine
from kimchi.pipelines.groups import Groups
from kimchi.pipelines.reading import embedded, fit_to_learn, flagged, split_of, unlike
from kimchi.pipelines.refiners import Request
from kimchi.pipelines.review import write_review
from kimchi.pipelines.writing import Caption, Writers, describe, draft_key, refine, settled
from kimchi.recipes import PrepareRecipe, recipe_hash
from kimchi.records import CaptionedRecord, Draft, DroppedRecord, ImageRecord, MadeBy

Progress = Callable[[str, int, int], None]
"""Called with the stage ("read", "describe", "caption"), how many records are done, and how many there are."""

RECORDS, DRAFTS, CAPTIONS, DROPPED, MANIFEST = "records.jsonl", "drafts.jsonl", "captions.jsonl", "captions.dropped.jsonl", "manifest.json"
UNREAD, READ, ANSWERS = "records.dropped.jsonl", "records.json", "answers.sqlite"
_PREPARE = MadeBy(part="prepare")
_READING = ("reader", "source", "min_side_px", "max_aspect", "min_sharpness", "flag", "embedder")
"""The recipe's keys on which records.jsonl depends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOutcome:
    """What a run made."""

    folder: Path
    """Where captions.jsonl lies."""
    kept: int
    """Captioned records."""
    dropped: int
    """Records dropped, each with its reason in captions.dropped.jsonl."""
    unanswered: int
    """Of the dropped, those that a model gave no answer for; the same command asks again."""
    asked: int
    """Questions put to models by this call; 0 when everything was there already."""
    seconds: float
    """Time this call took."""


class _Dropped:
    """What was dropped, kept on disk until it is written: a delivery may hold a million of them."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def sieve(self, stream: Iterator[Any]) -> Iterator[Any]:
        """Let kept records through and keep the dropped ones here."""
        for record in stream:
            if isinstance(record, DroppedRecord):
                self._file.write(json.dumps(dataclasses.asdict(record)).encode() + b"\n")
            else:
                yield record

    def records(self) -> Iterator[DroppedRecord]:
        """All of them, in order."""
        self._file.seek(0)
        for line in self._file:
            found = json.loads(line)
            yield DroppedRecord(path=found["path"], reason=found["reason"], labels=tuple(found["labels"]))


def prepare(recipe: PrepareRecipe, progress: Progress | None = None) -> PrepareOutcome:
    """Read a delivery, describe it, caption it, split it, and write it down. The same call again goes on, and does nothing when nothing is left.

    Raises:
        RecipeError: an unknown reader, captioner, refiner or culture, or shares that leave nothing to train on.
        DataError: the delivery cannot be opened, or nothing in it can be used.
        OutputError: the run folder cannot be written.
    """
    began = time.monotonic()
    if recipe.validation_share + recipe.test_share >= 1:
        raise RecipeError(
            f"validation_share {recipe.validation_share} and test_share {recipe.test_share} leave nothing to train on. Make their sum less than 1."
        )
    folder, source = Path(recipe.out or f"runs/{recipe.name}").expanduser(), Path(recipe.source).expanduser()
    culture, source_reader = load_culture(recipe.culture), reader(recipe.reader)
    answers = Answers(folder / ANSWERS)
    try:
        writers = Writers(recipe, culture, engine(recipe, culture), answers, _counter(recipe.text_encoder))
        corrections = read_corrections(folder / CORRECTIONS)
        inputs = _inputs(recipe, source, culture, writers, folder / CORRECTIONS)
        manifest = _finished(folder, inputs)
        if manifest is None:
            manifest = _work(folder, source, source_reader, writers, corrections, inputs, progress)
    finally:
        answers.close()
    return PrepareOutcome(
        folder=folder, kept=int(manifest["kept"]), dropped=int(manifest["dropped"]), unanswered=int(manifest["unanswered"]),
        asked=writers.asked, seconds=time.monotonic() - began,
    )  # fmt: skip


def _counter(text_encoder: str) -> Callable[[str], int]:
    from kimchi.models.tokens import counter

    return counter(text_encoder)


def _version() -> str:
    try:
        return metadata.version("kimchi-diffusion")
    except metadata.PackageNotFoundError:
        return ""


def _inputs(recipe: PrepareRecipe, source: Path, culture: Culture, w: Writers, corrections: Path) -> dict[str, str]:
    parts = [w.engine.captioner, w.engine.captioner_identity, w.engine.refiner, w.engine.refiner_identity]
    return {
        "recipe": recipe_hash(recipe), "source": archives.fingerprint(source), "culture": culture.content_hash, "version": _version(),
        "parts": sha256(repr(parts).encode()), "corrections": hash_files([corrections]) if corrections.is_file() else "",
    }  # fmt: skip


def _finished(folder: Path, inputs: dict[str, str]) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        counted = int(manifest["kept"]) > 0 and int(manifest["unanswered"]) == 0
        whole = counted and manifest["inputs"] == inputs and all((folder / name).is_file() for name in (CAPTIONS, DROPPED))
        return manifest if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no manifest, or one that nobody finished: the work goes on


def _work(
    folder: Path, source: Path, source_reader: Reader, w: Writers, corrections: dict[str, Correction], inputs: dict[str, str], progress: Progress | None
) -> dict[str, Any]:
    # The old proof goes first: a crash below must not leave it standing beside new captions.
    _remove(folder / MANIFEST)

    # Read
    count = _read(folder, source, source_reader, w.recipe, inputs["source"], progress)

    # Ask the models for what nobody has asked them yet
    describe(w, _records(folder), _ticks("describe", count, progress))
    refine(w, lambda: _records(folder), _ticks("caption", count, progress))

    # Group, split, and write down
    groups = Groups()
    for _ in groups.note(_records(folder)):
        pass
    group_of, splits = groups.settle(), Counter[str]()
    write_records(folder / DRAFTS, _drafts(w, folder))
    with _Dropped() as refused:
        found = refused.sieve(_captioned(w, record, corrections, group_of[record.id], inputs) for record in _records(folder))
        kept = write_records(folder / CAPTIONS, _counted(found, splits))
        dropped = write_records(folder / DROPPED, itertools.chain(read_records(folder / UNREAD, DroppedRecord), refused.records()))
    if not kept:
        _nothing(folder, source)

    # Prove it
    made_by = [dataclasses.asdict(_stamp(part, inputs)) for part in (_PREPARE, w.engine.captioner, w.engine.refiner)]
    manifest: dict[str, Any] = {
        "kept": kept, "dropped": dropped, "unanswered": len(w.errors), "splits": dict(sorted(splits.items())),
        "groups": group_of.count, "inputs": inputs, "captions_sha256": hash_files([folder / CAPTIONS], 64),
        "credit": source_reader.credit(source), "recipe": w.recipe.model_dump(mode="json"), "made_by": made_by,
    }  # fmt: skip
    write_review(folder, w.culture, tries=w.tries, credit=manifest["credit"])
    write_json(folder / MANIFEST, manifest)
    return manifest


def _read(folder: Path, source: Path, source_reader: Reader, recipe: PrepareRecipe, delivery: str, progress: Progress | None) -> int:
    """records.jsonl, unless it is there already and whole; how many records it holds."""
    depends = {"delivery": delivery, "version": _version(), **recipe.model_dump(mode="json", include=set(_READING))}
    try:
        proof = json.loads((folder / READ).read_text(encoding="utf-8"))
        if proof["depends"] == depends and all((folder / name).is_file() for name in (RECORDS, UNREAD)):
            return int(proof["count"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    _remove(folder / READ)
    total = source_reader.count(source) if progress else 0
    with _Dropped() as dropped:
        found = fit_to_learn(unlike(_told(source_reader.read(source), "read", total, progress)), recipe)
        count = write_records(folder / RECORDS, embedded(flagged(dropped.sieve(found), recipe), recipe))
        write_records(folder / UNREAD, dropped.records())
    write_json(folder / READ, {"count": count, "depends": depends})
    return count


def _records(folder: Path) -> Iterator[ImageRecord]:
    return read_records(folder / RECORDS, ImageRecord)


def _told(stream: Iterator[Any], stage: str, total: int, progress: Progress | None) -> Iterator[Any]:
    tick = _ticks(stage, total, progress)
    for record in stream:
        yield record
        tick()


def _ticks(stage: str, total: int, progress: Progress | None) -> Callable[[], None]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(stage, done, total)

    return tick


def _drafts(w: Writers, folder: Path) -> Iterator[Draft]:
    for record in _records(folder):
        found = w.answers.get(draft_key(w, record))
        if found and found[0]:
            yield Draft(id=record.id, text_en=found[0], made_by=w.engine.captioner)


def _captioned(w: Writers, record: ImageRecord, corrections: dict[str, Correction], group: str, inputs: dict[str, str]) -> CaptionedRecord | DroppedRecord:
    correction = corrections.get(record.id)
    if correction and correction.drop:
        return DroppedRecord(path=record.path, reason=_ended(f"dropped by a person{f': {correction.note}' if correction.note else ''}"), labels=record.labels)
    if correction and correction.caption_ko:
        return _made(w, record, correction.caption_ko, correction.caption_en, _stamp(MadeBy(part="person"), inputs), group)
    if record.id in w.errors:
        return DroppedRecord(path=record.path, reason=f"{_ended(f'no answer: {w.errors[record.id]}')} Run the same command again.", labels=record.labels)
    found = settled(w, record)
    if isinstance(found, Caption):
        if found.tries > 1:
            w.tries[record.id] = found.tries
        return _made(w, record, found.text, found.en, _stamp(w.engine.refiner if found.tries else MadeBy(part="source"), inputs), group)
    reason = "no answer. Run the same command again." if isinstance(found, Request) else found.reason
    return DroppedRecord(path=record.path, reason=reason, labels=record.labels)


def _ended(text: str) -> str:
    """A sentence with its full stop: models, servers and people leave it out."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…", "。")) else f"{text}."


def _made(w: Writers, record: ImageRecord, text: str, en: str, made_by: MadeBy, group: str) -> CaptionedRecord:
    entry = w.culture.glossary.get(record.labels[-1]) if record.labels else None
    noun = w.culture.noun(record.labels[-1]) if record.labels else text
    return CaptionedRecord(
        id=record.id, path=record.path, labels=record.labels, box=record.box, caption_noun=noun, caption_ko=text,
        caption_en=en, caption_romanised=entry.romanised if entry else "", split=split_of(group, w.recipe), group=group, made_by=made_by,
    )  # fmt: skip


def _stamp(made_by: MadeBy, inputs: dict[str, str]) -> MadeBy:
    return dataclasses.replace(made_by, recipe_hash=inputs["recipe"], version=inputs["version"])


def _counted(records: Iterator[CaptionedRecord], splits: Counter[str]) -> Iterator[CaptionedRecord]:
    for record in records:
        splits[record.split] += 1
        yield record


def _nothing(folder: Path, source: Path) -> None:
    _remove(folder / CAPTIONS)
    reasons = Counter(record.reason for record in itertools.islice(read_records(folder / DROPPED, DroppedRecord), 10_000))
    mostly = f", mostly: {reasons.most_common(1)[0][0]}" if reasons else ""
    raise DataError(f"{_ended(f'{source}: nothing in it can be used{mostly}')} See {folder / DROPPED}, which gives every reason.")


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be replaced ({error.strerror}). Choose a folder that is yours with --set out=FOLDER.") from error
