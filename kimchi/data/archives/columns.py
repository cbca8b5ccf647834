"""Pictures within Arrow and Parquet tables, as Hugging Face datasets writes them: "data.arrow!image!17" is row 17 of column image.

An Arrow file is mapped, so any row is at hand; of a Parquet file the last row groups stay decoded, which serves rows asked for in order.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

from kimchi.errors import DataError

ENDINGS = (".arrow", ".parquet")
_OPEN_TABLES, _OPEN_GROUPS = 8, 2
_LOCK = threading.RLock()
_OPEN: "OrderedDict[tuple[object, ...], Table]" = OrderedDict()


class Table:
    """One open file and its schema."""

    def __init__(self, real: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.parquet: Any = pq.ParquetFile(real) if real.suffix.lower() == ".parquet" else None
        self.whole: Any = None if self.parquet else _arrow(pa, real)
        self.schema: Any = self.parquet.schema_arrow if self.parquet else self.whole.schema
        self.rows: int = self.parquet.metadata.num_rows if self.parquet else self.whole.num_rows
        self._groups: OrderedDict[tuple[int, tuple[str, ...]], Any] = OrderedDict()

    def row(self, number: int, columns: tuple[str, ...]) -> dict[str, Any]:
        """Some columns of one row, as Python values."""
        table, at = (self.whole, number) if self.whole is not None else self._group(number, columns)
        return {name: table.column(name)[at].as_py() for name in columns}

    def _group(self, number: int, columns: tuple[str, ...]) -> tuple[Any, int]:
        with _LOCK:
            group = 0
            while number >= (rows := self.parquet.metadata.row_group(group).num_rows):
                number, group = number - rows, group + 1
            table = self._groups.pop((group, columns), None)
            if table is None:
                table = self.parquet.read_row_group(group, columns=list(columns))
            self._groups[group, columns] = table
            while len(self._groups) > 2 * _OPEN_GROUPS:
                self._groups.popitem(last=False)
            return table, number


def _arrow(pa: Any, real: Path) -> Any:
    mapped = pa.memory_map(str(real))
    try:
        return pa.ipc.open_stream(mapped).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(mapped).read_all()


def table(real: Path) -> Table:
    """An Arrow or Parquet file, kept open between calls.

    Raises:
        DataError: it cannot be read as one.
    """
    try:
        status = real.stat()
        key = (str(real), status.st_mtime_ns, status.st_size)
        with _LOCK:
            found = _OPEN.pop(key, None) or Table(real)
            _OPEN[key] = found
            while len(_OPEN) > _OPEN_TABLES:
                _OPEN.popitem(last=False)
            return found
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{real}: cannot be read as a table ({error}). Write it again with datasets' save_to_disk.") from error


def read_cell(path: str, real: Path, levels: list[str], limit: int) -> bytes:
    """The picture at [column, row] of a table.

    Raises:
        DataError: no such place, no bytes in it, or more of them than the limit.
    """
    column, row = "!".join(levels[:-1]), levels[-1]
    found = table(real)
    if not row.isdecimal() or int(row) >= found.rows or column not in found.schema.names:
        raise DataError(f"{path}: no such row and column. The table has changed since it was read; prepare again.")
    try:
        value = found.row(int(row), (column,))[column]
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged within the table ({error}). Write the table again.") from error
    content = cast(dict[str, Any], value).get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or len(content) > limit:
        raise DataError(f"{path}: holds no picture's bytes, or more than {limit:,} of them.")
    return content
