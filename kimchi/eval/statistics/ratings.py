"""The ratings of one study as a table in memory: a row a rating, a column a fact about it."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kimchi.errors import DataError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

POINTS = 5
"""매우 그렇지 않다 is 1, 매우 그렇다 is 5."""
MISSING = 0
"""판단 불가, or no answer."""
_KEYS = ("rater", "prompt", "model", "criterion")
_BLANK = (None, "", "NA", "nan", "판단 불가")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratings:
    """All arrays are N long, a rating each. Rater, prompt, model and criterion are places in the tuples of names."""

    raters: tuple[str, ...]
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    criteria: tuple[str, ...]
    rater: Ints
    prompt: Ints
    model: Ints
    criterion: Ints
    value: Ints
    """1 to 5; 0 is missing."""
    position: Ints
    """Which of the prompt's pictures this was for this rater, from 1; 0 is unknown."""
    seconds: Floats
    """From the picture's appearance to the answer; NaN is unknown."""

    def __len__(self) -> int:
        return self.value.size

    @property
    def known(self) -> "Ratings":
        """Without the missing ones."""
        return self.where(self.value != MISSING)

    def where(self, mask_N: NDArray[np.bool_]) -> "Ratings":
        """The rows of a mask. Names stay, so that places keep their meaning."""
        return replace(self, **{name: getattr(self, name)[mask_N] for name in (*_KEYS, "value", "position", "seconds")})

    def of(self, criterion: str) -> "Ratings":
        """One criterion's rows.

        Raises:
            DataError: no such criterion.
        """
        return self.where(self.criterion == place(criterion, self.criteria, "criterion"))

    def about(self, prompts: Iterable[str]) -> "Ratings":
        """Only these prompts, as of one domain; the other prompts leave the names too.

        Raises:
            DataError: a prompt that the table does not have.
        """
        wanted = sorted({place(prompt, self.prompts, "prompt") for prompt in prompts})
        kept, there = self.where(np.isin(self.prompt, wanted)), np.full(len(self.prompts), -1)
        there[wanted] = np.arange(len(wanted))
        return replace(kept, prompts=tuple(self.prompts[k] for k in wanted), prompt=there[kept.prompt])

    def turned(self, criteria: Iterable[str]) -> "Ratings":
        """With 1 and 5, 2 and 4 exchanged where agreeing is bad ("오류가 눈에 띈다"). The only place that reverses anything.

        Raises:
            DataError: a criterion that the table does not have.
        """
        places = [place(criterion, self.criteria, "criterion") for criterion in criteria]
        turn_N = np.isin(self.criterion, places) & (self.value != MISSING)
        return replace(self, value=np.where(turn_N, POINTS + 1 - self.value, self.value))


def place(name: str, names: Sequence[str], kind: str) -> int:
    """Where a name stands.

    Raises:
        DataError: it is none of the names.
    """
    if name not in names:
        listed = ", ".join(names[:12]) or "none"
        raise DataError(f"'{name}' is no {kind} of these ratings; they have {listed}{', ...' if len(names) > 12 else ''}. Name one of them.")
    return names.index(name)


def sums(group_N: Ints, number_N: NDArray[Any], groups: int = 0) -> Floats:
    """The sum of the numbers of each group; groups are counted from 0."""
    return np.asarray(np.bincount(group_N, number_N, groups), dtype=np.float64)


def from_columns(columns: Mapping[str, Sequence[Any]], *, models: Sequence[str] = (), criteria: Sequence[str] = ()) -> Ratings:
    """Columns of equal length => Ratings.

    Args:
        columns: rater, prompt, model, criterion (anything that prints as a name), value (1 to 5; None, "", NaN or 0 is missing),
            and where known position (from 1) and seconds. Other columns are left alone.
        models: their order in every table; by default that of their names. A model nobody rated may be named.
        criteria: likewise.

    Raises:
        DataError: a column is missing or of another length, a value is none of 0 to 5, a name is blank or unexpected, or a rater rated the
            same picture twice on the same criterion.
    """
    n = _length(columns)
    orders = {"model": models, "criterion": criteria}
    coded = {key: _coded(key, columns[key], orders.get(key, ())) for key in _KEYS}
    table = Ratings(
        raters=coded["rater"][0],
        prompts=coded["prompt"][0],
        models=coded["model"][0],
        criteria=coded["criterion"][0],
        rater=coded["rater"][1],
        prompt=coded["prompt"][1],
        model=coded["model"][1],
        criterion=coded["criterion"][1],
        value=_values(columns["value"]),
        position=_whole("position", columns.get("position", ()), n),
        seconds=_seconds(columns.get("seconds", ()), n),
    )
    _refuse_doubles(table)
    return table


def read_csv(path: Path, *, models: Sequence[str] = (), criteria: Sequence[str] = ()) -> Ratings:
    """A UTF-8 CSV whose header names the columns of `from_columns`.

    Raises:
        DataError: the file is not there, is not UTF-8, or its columns are refused.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header, *body = list(rows) or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as ratings: {error}. Give a UTF-8 CSV with the columns {', '.join(_KEYS)}, value.") from error
    ragged = next((k for k, row in enumerate(body, start=2) if len(row) != len(header)), None)
    if ragged:
        raise DataError(f"{path}, line {ragged}: {len(body[ragged - 2])} cells under a header of {len(header)}. Every line needs a cell for each column.")
    columns = list(zip(*body, strict=True)) or [()] * len(header)
    return from_columns(dict(zip(header, columns, strict=True)), models=models, criteria=criteria)


def _length(columns: Mapping[str, Sequence[Any]]) -> int:
    absent = [key for key in (*_KEYS, "value") if key not in columns]
    if absent:
        raise DataError(f"Ratings without {', '.join(absent)}: a rating is a rater's value for a prompt, a model and a criterion. Add the column.")
    n = len(columns["value"])
    uneven = [key for key in (*_KEYS, "position", "seconds") if len(columns.get(key, ())) not in (n, *(() if key in _KEYS else (0,)))]
    if uneven:
        raise DataError(f"{', '.join(uneven)}: not as long as value ({n}). Every column has a cell for each rating.")
    return n


def _coded(key: str, cells: Sequence[Any], order: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    named = {cell: str(cell).strip() for cell in dict.fromkeys(cells)}
    blank = [cell for cell, name in named.items() if not name or cell is None]
    if blank:
        raise DataError(f"{key} {blank[0]!r}: a rating without a {key} cannot be placed. Name the {key} in every row.")
    unexpected = sorted(set(named.values()) - set(order)) if order else []
    if unexpected:
        raise DataError(f"{key} '{unexpected[0]}' is none of those expected: {', '.join(order)}. Add it to them, or leave its rows out.")
    names = tuple(dict.fromkeys(order)) or tuple(sorted(set(named.values())))
    places = {name: k for k, name in enumerate(names)}
    codes = {cell: places[name] for cell, name in named.items()}
    return names, np.fromiter(map(codes.__getitem__, cells), dtype=np.int64, count=len(cells))


def _values(cells: Sequence[Any]) -> Ints:
    def read(cell: Any) -> int:
        if cell in _BLANK or cell != cell:
            return MISSING
        try:
            value = float(cell)
        except (TypeError, ValueError):
            value = -1.0
        if value not in range(POINTS + 1):
            raise DataError(f"value {cell!r}: a rating is a whole number from 1 to {POINTS}, or empty (or 0) where there is none. Mend the cell.")
        return int(value)

    return _read(cells, read, np.int64)


def _whole(name: str, cells: Sequence[Any], n: int) -> Ints:
    def read(cell: Any) -> int:
        number = _number(name, cell)
        if number != number:
            return 0
        if number < 0 or number != int(number):
            raise DataError(f"{name} {cell!r}: places are counted 1, 2, 3; 0 or empty is unknown. Mend the cell.")
        return int(number)

    return _read(cells, read, np.int64) if len(cells) else np.zeros(n, dtype=np.int64)


def _seconds(cells: Sequence[Any], n: int) -> Floats:
    return _read(cells, lambda cell: _number("seconds", cell), np.float64) if len(cells) else np.full(n, np.nan)


def _number(name: str, cell: Any) -> float:
    if cell in _BLANK:
        return float("nan")
    try:
        number = float(cell)
    except (TypeError, ValueError):
        number = float("inf")
    if abs(number) > 1e9:
        raise DataError(f"{name} {cell!r}: this must be a number below 1e9, or empty where it is unknown. Mend the cell.")
    return number


def _read(cells: Sequence[Any], read: Callable[[Any], Any], kind: Any) -> Any:
    """Each distinct cell read once: a study has a million cells and five values."""
    known = {cell: read(cell) for cell in dict.fromkeys(cells)}
    return np.fromiter(map(known.__getitem__, cells), dtype=kind, count=len(cells))


def _refuse_doubles(table: Ratings) -> None:
    sizes = (len(table.raters), len(table.prompts), len(table.models), len(table.criteria))
    # Four counts can overflow one integer; two pairs of them cannot.
    first, second = table.rater * sizes[1] + table.prompt, table.model * sizes[3] + table.criterion
    order = np.lexsort((second, first))
    twice = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
    if twice.any():
        row = order[1:][twice][0]
        who, what = table.raters[table.rater[row]], f"{table.prompts[table.prompt[row]]} / {table.models[table.model[row]]}"
        raise DataError(
            f"Rater '{who}' rated {what} on '{table.criteria[table.criterion[row]]}' twice. A picture has one rating of each rater and criterion: "
            "keep the latest revision, and keep repeated trials in a table of their own."
        )
