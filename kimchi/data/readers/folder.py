"""A plain folder of pictures, or a zip of one: image.jpg with image.txt beside it, or metadata.jsonl as Hugging Face's imagefolder has it.

metadata.jsonl (or metadata.csv) holds one object a picture, `file_name` relative to its own folder, and `text`, the caption. Captions that stand in
such a table are held in memory; those in .txt files are read with their pictures.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from kimchi.data import archives
from kimchi.data.archives import Member
from kimchi.data.readers._labels import MAX_LABEL_BYTES, Table, left_over, tables, text, text_of
from kimchi.data.readers._members import ends, is_picture, members, name_of, stem
from kimchi.data.reading import Known, dropped, in_order, record_of
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

TABLES = ("metadata.jsonl", "metadata.csv")
CREDITS = "credit.txt"
"""What stands in a file of this name at the top of the folder is said wherever something made from it is shown."""
CAPTIONS = ("text", "caption", "caption_ko")
"""Columns that may hold a caption; the first that holds anything is taken."""
_NO_NAMES = ("train", "training", "validation", "valid", "val", "test", "images", "image", "data")


def folder_labels(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The folders above a picture, without those that name a split."""
    return tuple(part for part in parts[:-1] if part.casefold() not in _NO_NAMES)


def parse_table(content: bytes, path: str) -> list[Table]:
    """The rows of metadata.jsonl or metadata.csv; blank lines are passed over.

    Raises:
        DataError: a line that is no JSON object, or rows without `file_name`; the keys met are listed.
    """
    whole = text_of(content, path)
    try:
        rows = list[Table](csv.DictReader(io.StringIO(whole))) if path.casefold().endswith(".csv") else _json_lines(whole)
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Each line is one JSON object with `file_name`.") from error
    if rows and not any("file_name" in row for row in rows):
        raise DataError(f"{path}: its rows have {', '.join(sorted(map(str, rows[0])))}, and no `file_name`. Name each row's picture there.")
    return rows


def _json_lines(whole: str) -> list[Table]:
    lines = [line for line in re.split("\r\n|\r|\n", whole) if line.strip()]
    return [row for line in lines for row in tables(json.loads(line))]


class _Notes:
    """What is said about the pictures: by table, and where their .txt files lie."""

    def __init__(self, source: Path) -> None:
        self.rows: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.named: list[tuple[str, Member, str]] = []
        self.broken: dict[str, str] = {}
        self.pictures: set[str] = set()
        for member in members(source):
            if _is_table(member):
                self._read(member)
            elif ends(member, ".txt"):
                self.files[_key(member)] = member.path
            elif is_picture(member):
                self.pictures |= {_place(member.parts), _key(member)}

    def _read(self, member: Member) -> None:
        try:
            rows = parse_table(member.read(MAX_LABEL_BYTES), member.path)
        except DataError as error:
            self.broken[member.path] = str(error)
            return
        for row in rows:
            steps = [step for step in text(row.get("file_name")).replace("\\", "/").split("/") if step not in ("", ".")]
            place = _place((*member.parts[:-1], *steps))
            self.named.append((place, member, "/".join(steps)))
            self.rows.setdefault(place, next((found for name in CAPTIONS if (found := text(row.get(name)))), ""))

    def caption(self, member: Member) -> str:
        """The caption of a picture; empty when nothing holds one.

        Raises:
            DataError: its .txt file cannot be read.
        """
        if found := self.rows.get(_place(member.parts)):
            return found
        if not (path := self.files.get(_key(member))):
            return ""
        try:
            return text(text_of(archives.read_member(path, MAX_LABEL_BYTES), path))
        except DataError as error:
            raise DataError(f"{member.path}: its caption: {str(error).removeprefix(f'{path}: ')}") from error


def _place(parts: tuple[str, ...]) -> str:
    return "/".join(parts)


def _key(member: Member) -> str:
    return _place((*member.parts[:-1], stem(name_of(member))))


def _is_table(member: Member) -> bool:
    return not member.refusal and name_of(member).casefold() in TABLES


def _is_credit(member: Member) -> bool:
    return len(member.parts) == 1 and name_of(member).casefold() == CREDITS and not member.refusal


class Reader:
    """A folder or zip of one's own pictures."""

    def credit(self, source: Path) -> str:
        """What credit.txt says; without one, that somebody has to say it."""
        for member in members(source):
            if _is_credit(member):
                return text(text_of(member.read(MAX_LABEL_BYTES), member.path))
        return f"Made with the pictures of '{source.name}'. Whose they are is not known here: write it into {CREDITS} in that folder."

    def count(self, source: Path) -> int:
        """Records that read() will give; reads directories and metadata tables."""
        notes = _Notes(source)
        return sum(1 for member in members(source) if is_picture(member)) + sum(1 for _ in self._rest(source, notes))

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture, labelled by the folders it lies in, with its caption where there is one; then what belongs to no picture.

        Raises:
            DataError: the folder or zip cannot be opened.
        """
        notes = _Notes(source)
        yield from in_order(lambda member: _record(member, notes), (member for member in members(source) if is_picture(member)))
        yield from self._rest(source, notes)

    def _rest(self, source: Path, notes: _Notes) -> Iterator[DroppedRecord]:
        for place, table, name in notes.named:
            if place not in notes.pictures:
                yield dropped(table, f"names {name or 'nothing'!r} in a row, and there is no such picture beside it.")
        for member in members(source):
            if member.path in notes.broken:
                yield dropped(member, notes.broken[member.path])
            elif ends(member, ".txt"):
                if _key(member) not in notes.pictures and not _is_credit(member):
                    yield dropped(member, "is a caption, and no picture has its name.")
            elif not is_picture(member) and not _is_table(member):
                yield left_over(member)


def _record(member: Member, notes: _Notes) -> ImageRecord | DroppedRecord:
    labels = folder_labels(member.parts)
    try:
        return record_of(member, Known(labels=labels, caption=notes.caption(member)), "folder")
    except DataError as error:
        return dropped(member, error, labels)
