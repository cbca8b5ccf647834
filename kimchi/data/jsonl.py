"""Records on disk: one JSON object a line, UTF-8, Korean readable."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from kimchi.data.files import atomic_path
from kimchi.errors import DataError

Record = TypeVar("Record")


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _explain(path: Path, number: int, cls: type[Any], error: ValidationError) -> DataError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the line"
    return DataError(
        f"{path}, line {number}: {where}: {first['msg']}. Each line is one {cls.__name__} as JSON; mend or delete this line, or make the file again."
    )


def read_records(path: Path, cls: type[Record]) -> Iterator[Record]:
    """The records of a file, one at a time; blank lines, a byte order mark and keys of later versions are passed over.

    Raises:
        DataError: no such file, or a line that is not such a record; file and line are named.
    """
    try:
        # Bytes, not text lines: str.splitlines would also break at U+2028, which JSON allows within a string.
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.strip():
                    continue
                try:
                    record = _adapter(cls).validate_json(line)
                except ValidationError as error:
                    raise _explain(path, number, cls, error) from error
                yield record
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). `kimchi prepare` writes such files; check the path.") from error


def write_records(path: Path, records: Iterable[object]) -> int:
    """Write records whole or not at all, and say how many there were; they are taken one at a time.

    Raises:
        OutputError: the place cannot be written.
    """
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for record in records:
            file.write(_adapter(type(record)).dump_json(record) + b"\n")
            count += 1
    return count
