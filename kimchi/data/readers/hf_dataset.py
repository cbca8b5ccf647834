"""A data set of Hugging Face's `datasets` with an image column, from a folder: what save_to_disk writes, or Parquet files as the hub has them.

    datasets.load_dataset("NAME").save_to_disk("FOLDER")        once, with a network; then source: FOLDER

Pictures are read where they lie in the tables ("FOLDER/train/data-00000-of-00001.arrow!image!17"), nothing is copied. A row takes no memory
once its record is out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from kimchi.data import archives
from kimchi.data.archives import MAX_MEMBER_BYTES, columns, nfc
from kimchi.data.readers._labels import distinct, text
from kimchi.data.reading import Known, in_order, picture_record
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

CAPTIONS = ("text", "caption", "caption_ko", "prompt")
LABELS = ("category", "label", "labels", "class", "name")
DESCRIPTIONS = ("description",)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table say what."""

    image: str
    captions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    class_names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Of a ClassLabel column: its numbers' names."""


def columns_of(table: columns.Table, path: str) -> Columns:
    """What each column is, by the features that datasets writes into a file, else by type and name.

    Raises:
        DataError: no image column; the columns met are listed.
    """
    features, names = _features(table), list(cast(list[str], table.schema.names))
    images = [name for name in names if features.get(name, {}).get("_type") == "Image"] or [name for name in names if _holds_bytes(table, name)]
    if not images:
        raise DataError(f"{path}: has the columns {', '.join(names) or '(none)'}, and none of them holds pictures. An Image column is needed.")
    classes = {name: cast(list[str], features[name].get("names", [])) for name in names if features.get(name, {}).get("_type") == "ClassLabel"}
    labels = distinct(*(name for name in (*LABELS, *classes) if name in names))
    return Columns(images[0], tuple(name for name in CAPTIONS if name in names), labels, tuple(name for name in DESCRIPTIONS if name in names), classes)


def _features(table: columns.Table) -> dict[str, dict[str, Any]]:
    try:
        told = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in told.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _holds_bytes(table: columns.Table, name: str) -> bool:
    kind = str(table.schema.field(name).type)
    return kind.startswith("struct<bytes: ") or (kind in ("binary", "large_binary") and name in ("image", "img", "jpg", "png"))


def files_of(source: Path) -> list[Path]:
    """The tables of a data set, in a fixed order; what `map` left in its cache is none of them.

    Raises:
        DataError: there are none.
    """
    if source.suffix.lower() in columns.ENDINGS and source.is_file():
        return [source]
    found = [path for ending in columns.ENDINGS for path in source.rglob(f"*{ending}") if path.is_file() and _is_data(path)]
    if not found:
        raise DataError(
            f"{source}: holds no Arrow or Parquet file. Write the data set there first: datasets.load_dataset(NAME).save_to_disk(FOLDER); "
            "for a folder of picture files use `reader: folder`."
        )
    return sorted(found)


def _is_data(path: Path) -> bool:
    try:
        state = json.loads((path.parent / "state.json").read_text(encoding="utf-8"))
        return path.name in [item["filename"] for item in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return not path.name.startswith(("cache-", "."))


class Reader:
    """A data set on this disk."""

    def credit(self, source: Path) -> str:
        """Name, licence, home and citation as the data set states them."""
        for path in sorted(source.rglob("dataset_info.json")) if source.is_dir() else []:
            try:
                told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                stated = [text(told.get(key)) for key in ("dataset_name", "license", "homepage", "citation")]
            except (OSError, ValueError, AttributeError):
                continue
            if any(stated):
                return f"Made with the data set {'; '.join(filter(None, stated))}."
        return f"Made with the data set '{source.name}'. It states no licence; its owner does, where it was fetched."

    def count(self, source: Path) -> int:
        """Records that read() will give."""
        return sum(_rows(path) for path in files_of(source))

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every row of every table.

        Raises:
            DataError: no tables, or a table without pictures.
        """
        yield from in_order(_record, self._places(source))

    def _places(self, source: Path) -> "Iterator[_Place]":
        for path in files_of(source):
            try:
                table = columns.table(path)
            except DataError as error:
                # One broken table of many must not cost the rest.
                yield _Place(path, None, 0, str(error))
                continue
            found = columns_of(table, str(path))
            yield from map(partial(_Place, path, found), range(table.rows))


def _rows(path: Path) -> int:
    try:
        return columns.table(path).rows
    except DataError:
        return 1


@dataclass(frozen=True, slots=True)
class _Place:
    file: Path
    columns: Columns | None
    row: int
    refusal: str = ""


def _record(place: _Place) -> ImageRecord | DroppedRecord:
    path, known = nfc(str(place.file)), Known()
    if place.columns is None:
        return DroppedRecord(path=path, reason=place.refusal.removeprefix(f"{path}: "))
    path = f"{path}!{place.columns.image}!{place.row}"
    try:
        known = _known(place, place.columns)
        path, content = _content(place, place.columns.image, path)
        return picture_record(content, path, known, "dataset")
    except DataError as error:
        return DroppedRecord(path=path, reason=str(error).removeprefix(f"{path}: "), labels=known.labels)


def _known(place: _Place, told: Columns) -> Known:
    row = columns.table(place.file).row(place.row, (*told.captions, *told.labels, *told.descriptions))
    return Known(
        labels=distinct(*(_label(row[name], told.class_names.get(name)) for name in told.labels)),
        caption=next((found for name in told.captions if (found := text(row[name]))), ""),
        description="\n".join(filter(None, (text(row[name]) for name in told.descriptions))),
    )


def _label(value: Any, names: list[str] | None) -> str:
    if names is None:
        return text(value) if isinstance(value, str) else ""
    return nfc(names[value]) if isinstance(value, int) and 0 <= value < len(names) else ""


def _content(place: _Place, column: str, path: str) -> tuple[str, bytes]:
    """Where the picture's bytes are and the bytes: within the table, or in the file that it names."""
    try:
        return path, archives.read_member(path)
    except DataError:
        value = columns.table(place.file).row(place.row, (column,))[column]
        named = cast(dict[str, Any], value).get("path") if isinstance(value, dict) else None
        if not isinstance(named, str) or not named:
            raise
    file = nfc(str(place.file.parent / named))
    return file, archives.read_member(file, MAX_MEMBER_BYTES)
