"""Label files: opening JSON whatever its encoding, numbers whatever their type, and one label for each picture of the same stem."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from kimchi.data import archives
from kimchi.data.archives import Member
from kimchi.data.readers._members import PICTURES, ends, folder, is_picture, members, name_of, stem
from kimchi.data.reading import Known, dropped, in_order, record_of
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

MAX_LABEL_BYTES = 64 * 2**20
"""Largest label file that is read, bytes."""
Table = dict[str, Any]
Reading = Callable[[Any, Member, str], Known]
"""(the label's JSON, the picture's member, the label's path) => what it says. Raises DataError."""


def text_of(content: bytes, path: str) -> str:
    """UTF-8 with or without a byte order mark, UTF-16 with one, else CP949.

    Raises:
        DataError: none of these.
    """
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp949")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: is text in neither UTF-8 nor CP949. Save it as UTF-8.")


def parse_json(content: bytes, path: str) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: not text, or not JSON.
    """
    try:
        return json.loads(text_of(content, path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: its JSON is damaged ({error}). Fetch it again, or leave its picture out.") from error


def tables(value: Any) -> list[Table]:
    """The objects in a value that may be an object, a list of them, or neither."""
    found = cast(list[Any], value) if isinstance(value, list) else [value]
    return [cast(Table, item) for item in found if isinstance(item, dict)]


def first(value: Any) -> Table:
    """The first of tables(), or an empty one."""
    return next(iter(tables(value)), {})


def text(value: Any) -> str:
    """A value as text, NFC, spaces at either end gone; empty for what is neither text nor number."""
    return archives.nfc(str(value)).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A number that may have been written as text; None for "xx", for NaN and for what is none."""
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(values: Any, count: int) -> tuple[float, ...] | None:
    """Exactly this many numbers, from a list or from text with commas between; None for anything else."""
    items: Iterable[Any] = values.strip(" []()").split(",") if isinstance(values, str) else cast(Iterable[Any], values) if isinstance(values, list) else ()
    found = [number(item) for item in items]
    kept = tuple(value for value in found if value is not None)
    return kept if len(kept) == len(found) == count else None


def corners(values: Any) -> tuple[float, float, float, float] | None:
    """Four numbers of a list or a text, or None."""
    found = numbers(values, 4)
    return (found[0], found[1], found[2], found[3]) if found else None


def pair(width: Any, height: Any) -> tuple[float, float] | None:
    """Width and height, or None unless both are above 0."""
    found = number(width), number(height)
    return (found[0], found[1]) if found[0] and found[1] and min(found[0], found[1]) > 0 else None


def distinct(*names: str) -> tuple[str, ...]:
    """Labels without the empty ones and without repetitions; of equal ones the first stays, but the last name of all stays last."""
    found = [name for name in names if name]
    return tuple(name for name in dict.fromkeys(found[:-1]) if name != found[-1]) + tuple(found[-1:])


def unknown_layout(path: str, value: Any, wanted: str) -> DataError:
    """The refusal of a label of a shape no reader knows: it lists what was met."""
    if isinstance(value, list):
        met = f"a list of {len(cast(list[Any], value))}, whose first has {_keys(first(value))}"
    else:
        met = _keys(cast(Table, value)) if isinstance(value, dict) else f"a {type(value).__name__}"
    return DataError(f"{path}: a JSON layout this reader does not know: {met}, where {wanted} is read. Tell us what the delivery is.")


def _keys(table: Table) -> str:
    names = [text(key)[:40] for key in table]
    return f"the keys {', '.join(sorted(names)[:12])}{' ...' if len(names) > 12 else ''}" if names else "no keys"


class LabelIndex:
    """Where the label of each picture lies, by stem. About 400 bytes a label, measured."""

    def __init__(self, source: Path, ending: str = ".json") -> None:
        self._found: dict[str, tuple[tuple[str, str, str], ...]] = {}
        for member in members(source):
            if ends(member, ending):
                self._add(member)

    def _add(self, member: Member) -> None:
        name = name_of(member)
        # Half a million labels lie in a few thousand folders: their names are kept once each.
        before, inside = (sys.intern(member.path[: len(member.path) - len(name)]), sys.intern(folder(member)))
        if not member.path.endswith(name):
            before, name = "", member.path
        key = stem(name_of(member))
        self._found[key] = (*self._found.get(key, ()), (before, inside, name))

    def path_for(self, picture: Member) -> str:
        """The path of a picture's label; empty when it has none. Of several of its stem, the one beside it, else the one in a folder of the same name.

        Raises:
            DataError: several, and which is its own cannot be told.
        """
        found = self._found.get(stem(name_of(picture)), ())
        if len(found) > 1:
            beside = [place for place in found if place[0] == picture.path[: len(picture.path) - len(name_of(picture))]]
            found = beside or [place for place in found if stem(place[1]) == stem(folder(picture))]
            if len(found) != 1:
                raise DataError(f"{picture.path}: several labels have its name, and {len(found) or 'none'} of them in a folder named as its own.")
        return found[0][0] + found[0][2] if found else ""


def read_labelled(source: Path, name: str, reading: Reading) -> Iterator[ImageRecord | DroppedRecord]:
    """Pictures with one JSON label each, beside them or in a tree of their own: a record for each picture, label without a picture, and stranger.

    Memory: 400 bytes a label and 200 a picture, so 300 MB for half a million of each, beside the archives that are open; no pixels.

    Args:
        source: the delivery.
        name: of the data set, for the records.
        reading: what one label says of its picture.
    """
    index, stems = LabelIndex(source), set[str]()

    def pictures() -> Iterator[Member]:
        for member in members(source):
            if is_picture(member):
                stems.add(stem(name_of(member)))
                yield member

    yield from in_order(lambda member: _record(member, index, name, reading), pictures())
    for member in members(source):
        if not is_picture(member) and not (ends(member, ".json") and stem(name_of(member)) in stems):
            yield left_over(member)


def left_over(member: Member) -> DroppedRecord:
    """Why a member that is no picture is dropped."""
    if member.refusal:
        return dropped(member, member.refusal)
    reason = "is a label, and no picture has its name." if ends(member, ".json") else f"is none of {', '.join(PICTURES)}."
    return dropped(member, reason)


def count_labelled(source: Path) -> int:
    """How many records read_labelled() gives; reads directories only."""
    stems = {stem(name_of(member)) for member in members(source) if is_picture(member)}
    return sum(1 for member in members(source) if is_picture(member) or not (ends(member, ".json") and stem(name_of(member)) in stems))


def _record(member: Member, index: LabelIndex, name: str, reading: Reading) -> ImageRecord | DroppedRecord:
    path = ""
    try:
        path = index.path_for(member)
        if not path:
            return dropped(member, "no label has its name. Fetch the labels of the delivery too; without one it is not known what this is.")
        known = reading(parse_json(archives.read_member(path, MAX_LABEL_BYTES), path), member, path)
    except DataError as error:
        # Without the path, so that equal faults have equal reasons and can be counted.
        return dropped(member, f"its label: {str(error).removeprefix(f'{path}: ')}" if path else error)
    return record_of(member, known, name)
