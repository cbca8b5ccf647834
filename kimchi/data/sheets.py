"""Rows of an .xlsx file's first sheet, one at a time: the format is a zip of XML, and text is all that is wanted of it.

ECMA-376 part 1, chapter 18: cells hold numbers, text of their own, or numbers into a table of shared strings.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError, iterparse

from kimchi.errors import DataError

_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LETTERS = re.compile(r"[A-Z]+")


def read_sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number, cells) of each row, counted from 1; empty cells between filled ones are empty strings.

    Raises:
        DataError: not a spreadsheet, or a damaged one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            shared = list(_strings(archive)) if "xl/sharedStrings.xml" in names else []
            sheets = sorted((n for n in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n)), key=lambda n: int(n[19:-4]))
            if not sheets:
                raise DataError(f"{path}: holds no sheet. Save it again as .xlsx, or as TSV.")
            with archive.open(sheets[0]) as file:
                for number, row in enumerate(_elements(file, "row"), 1):
                    yield number, _cells(row, shared)
    except (zipfile.BadZipFile, ParseError, IndexError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as a spreadsheet ({error}). Download it again, or save it as TSV.") from error


def _elements(file: IO[bytes], name: str) -> Iterator[Element]:
    """Elements of one name, each emptied once it has been used: a corpus of 200,000 rows does not fit otherwise."""
    for _, element in iterparse(file):
        if element.tag == _SPACE + name:
            yield element
            element.clear()


def _strings(archive: zipfile.ZipFile) -> Iterator[str]:
    with archive.open("xl/sharedStrings.xml") as file:
        for item in _elements(file, "si"):
            # Runs of one text in several formats, without the phonetic guides beside them.
            yield "".join(t.text or "" for t in [*item.findall(f"{_SPACE}t"), *item.findall(f"{_SPACE}r/{_SPACE}t")])


def _cells(row: Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row.findall(f"{_SPACE}c"):
        place = _column(cell.get("r", "")) if cell.get("r") else len(cells)
        cells += [""] * (place - len(cells))
        cells.append(_text(cell, shared))
    return cells


def _column(reference: str) -> int:
    """ "C7" => 2."""
    match = _LETTERS.match(reference)
    number = 0
    for letter in match.group() if match else "A":
        number = number * 26 + ord(letter) - 64
    return number - 1


def _text(cell: Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(t.text or "" for t in cell.iter(f"{_SPACE}t"))
    value = cell.findtext(f"{_SPACE}v") or ""
    return shared[int(value)] if cell.get("t") == "s" else value
