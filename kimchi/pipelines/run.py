"""`kimchi prepare`: a delivery => captions.jsonl, captions.dropped.jsonl, and manifest.json, which is written last."""

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from kimchi.data import archives
from kimchi.data.cultures import Culture, load_culture
from kimchi.data.files import hash_files, write_json
from kimchi.data.jsonl import read_records, write_records
from kimchi.data.readers import Reader, reader
from kimchi.errors import DataError, OutputError, RecipeError
from kimchi.pipelines.captioners import captioner
from kimchi.pipelines.groups import Groups
from kimchi.recipes import PrepareRecipe, recipe_hash
from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord, MadeBy

Progress = Callable[[str, int, int], None]
"""Called with the stage ("read", "caption"), how many records are done, and how many there are."""

RECORDS, CAPTIONS, DROPPED, MANIFEST = "records.jsonl", "captions.jsonl", "captions.dropped.jsonl", "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOutcome:
    """What a run made."""

    folder: Path
    """Where captions.jsonl lies."""
    kept: int
    """Captioned records."""
    dropped: int
    """Records dropped, each with its reason in captions.dropped.jsonl."""
    seconds: float
    """Time this call took; near zero when everything was there already."""


@dataclass(slots=True)
class _Dropped:
    records: list[DroppedRecord] = field(default_factory=list[DroppedRecord])

    def sieve(self, stream: Iterator[Any]) -> Iterator[Any]:
        """Let kept records through and keep the dropped ones here."""
        for record in stream:
            if isinstance(record, DroppedRecord):
                self.records.append(record)
            else:
                yield record


def split_of(group: str, recipe: PrepareRecipe) -> str:
    """train, validation or test, by the hash of the group alone: data added later moves nothing that was there."""
    share = int.from_bytes(hashlib.sha256(f"split/{group}".encode()).digest()[:8], "big") / 2**64
    if share < recipe.test_share:
        return "test"
    return "validation" if share < recipe.test_share + recipe.validation_share else "train"


def _version() -> str:
    try:
        return metadata.version("kimchi-diffusion")
    except metadata.PackageNotFoundError:
        return ""


def _finished(folder: Path, inputs: dict[str, str]) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        counted = int(manifest["kept"]) + int(manifest["dropped"]) > 0
        whole = counted and manifest["inputs"] == inputs and all((folder / name).is_file() for name in (CAPTIONS, DROPPED))
        return manifest if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no manifest, or one that nobody finished: the work is done again


def _told(stream: Iterator[Any], stage: str, total: int, progress: Progress | None) -> Iterator[Any]:
    for done, record in enumerate(stream, 1):
        yield record
        if progress:
            progress(stage, done, total)


def prepare(recipe: PrepareRecipe, progress: Progress | None = None) -> PrepareOutcome:
    """Read a delivery, caption it, split it, and write it down. The same call again does nothing when nothing has changed.

    Raises:
        RecipeError: an unknown reader, captioner or culture, or shares that leave nothing to train on.
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
    inputs = {"recipe": recipe_hash(recipe), "source": archives.fingerprint(source), "culture": culture.content_hash, "version": _version()}
    manifest = _finished(folder, inputs)
    if manifest is None:
        manifest = _work(recipe, folder, source, source_reader, culture, inputs, progress)
    return PrepareOutcome(folder=folder, kept=int(manifest["kept"]), dropped=int(manifest["dropped"]), seconds=time.monotonic() - began)


def _work(
    recipe: PrepareRecipe, folder: Path, source: Path, source_reader: Reader, culture: Culture, inputs: dict[str, str], progress: Progress | None
) -> dict[str, Any]:
    # The old proof goes first: a crash below must not leave it standing beside new captions.
    _remove(folder / MANIFEST)
    dropped, groups = _Dropped(), Groups()

    # Read and group
    found = _told(source_reader.read(source), "read", source_reader.count(source) if progress else 0, progress)
    count = write_records(folder / RECORDS, groups.note(dropped.sieve(found)))
    group_of = groups.settle()

    # Caption and split
    captioned = captioner(recipe.captioner, culture, seed=0).caption(read_records(folder / RECORDS, ImageRecord))
    stamped = (_stamp(record, group_of[record.id], recipe, inputs) for record in dropped.sieve(_told(captioned, "caption", count, progress)))
    splits: Counter[str] = Counter()
    kept = write_records(folder / CAPTIONS, _counted(stamped, splits))
    write_records(folder / DROPPED, dropped.records)
    if not kept:
        _remove(folder / CAPTIONS)
        reasons = Counter(record.reason for record in dropped.records).most_common(1)
        raise DataError(
            f"{source}: nothing in it can be used; {len(dropped.records)} dropped{f', mostly: {reasons[0][0]}' if reasons else ''} See {folder / DROPPED}."
        )

    # Prove it
    manifest: dict[str, Any] = {
        "kept": kept, "dropped": len(dropped.records), "splits": dict(sorted(splits.items())), "groups": len(set(group_of.values())),
        "inputs": inputs, "captions_sha256": hash_files([folder / CAPTIONS], 64), "credit": source_reader.credit(source),
        "recipe": recipe.model_dump(mode="json"), "made_by": dataclasses.asdict(_made_by("prepare", inputs)),
    }  # fmt: skip
    write_json(folder / MANIFEST, manifest)
    return manifest


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be replaced ({error.strerror}). Choose a folder that is yours with --set out=FOLDER.") from error


def _made_by(part: str, inputs: dict[str, str]) -> MadeBy:
    return MadeBy(part=part, recipe_hash=inputs["recipe"], version=inputs["version"])


def _stamp(record: CaptionedRecord, group: str, recipe: PrepareRecipe, inputs: dict[str, str]) -> CaptionedRecord:
    made_by = dataclasses.replace(record.made_by, recipe_hash=inputs["recipe"], version=inputs["version"])
    return dataclasses.replace(record, group=group, split=split_of(group, recipe), made_by=made_by)


def _counted(records: Iterator[CaptionedRecord], splits: Counter[str]) -> Iterator[CaptionedRecord]:
    for record in records:
        splits[record.split] += 1
        yield record
