"""Parallel text: sentences of one meaning in Korean and English, read from whatever they come in, and cleaned.

Layouts: AIHub's Korean-English corpora (xlsx with columns 원문 and 번역문; JSON with ko and en), TSV and CSV, JSONL, folders saved by
`datasets`, and the captions.jsonl that `kimchi prepare` leaves.
"""

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from kimchi.errors import DataError

KO = ("ko", "caption_ko", "원문", "한국어", "korean", "kor")
EN = ("en", "caption_en", "번역문", "최종번역문", "영어", "english", "eng")
"""Names of the columns, the first that is there; which side is which language is then seen from the text."""
LONGEST = 1000
"""Characters of either side; more is a page that was not cut into sentences."""
SUFFIXES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".xlsx")
_HANGUL = re.compile(r"[가-힣]")
_LETTER = re.compile(r"[^\W\d_]")
_HIDDEN = "#@"
"""Starts AIHub's stand-ins for names and numbers, as in #@이름#."""
_DIALOGUE = re.compile(r"^[>|\-\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One meaning in two languages."""

    en: str
    ko: str
    picture: str = ""
    """Name of the picture that both describe; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that is not learned from, and why."""

    where: str
    reason: str
    """empty, language, long, encoding, hidden, or duplicate."""
    ko: str
    en: str
    """Both sides, their first 200 characters."""


@dataclass(slots=True, kw_only=True)
class Corpus:
    """What was read."""

    pairs: list[Pair] = field(default_factory=list[Pair])
    refused: list[Refused] = field(default_factory=list[Refused])
    counts: Counter[str] = field(default_factory=Counter[str])
    """Rows kept, kept with their sides swapped back, and refused by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    where: str
    ko: str
    en: str
    picture: str = ""


def read_parallel(path: Path, layout: str = "auto") -> Corpus:
    """A file, or every file of a folder that holds parallel text, cleaned; a sentence pair is kept once.

    Args:
        layout: auto goes by suffix and columns; tsv, jsonl, aihub, datasets and captions insist.

    Raises:
        DataError: nothing there, a file that cannot be read, or no row with both languages.
    """
    corpus, seen = Corpus(), set[tuple[str, str]]()
    for row in _rows(path, layout):
        found = clean(row.ko, row.en)
        pair = None if isinstance(found, str) else Pair(ko=found[0], en=found[1], picture=row.picture)
        reason = found if isinstance(found, str) else "duplicate" if found in seen else ""
        if pair is None or reason:
            corpus.counts[reason] += 1
            corpus.refused.append(Refused(where=row.where, reason=reason, ko=row.ko[:200], en=row.en[:200]))
            continue
        seen.add((pair.ko, pair.en))
        corpus.pairs.append(pair)
        corpus.counts["kept"] += 1
        # By what was written there, so that a swapped column shows in the counts.
        corpus.counts["swapped"] += bool(_HANGUL.search(row.en)) and not _HANGUL.search(row.ko)
    if not corpus.pairs:
        said = ", ".join(f"{n} {reason}" for reason, n in corpus.counts.items() if reason != "swapped") or "no rows"
        raise DataError(
            f"{path}: no pair of sentences is left ({said}). Each row needs Korean and English; columns are {KO[0]} and {EN[0]}, or 원문 and 번역문."
        )
    return corpus


def clean(ko: str, en: str) -> tuple[str, str] | str:
    """Both sides made plain, swapped back where they were exchanged; or the reason why the pair is refused."""
    ko, en = _plain(ko), _plain(en)
    if not ko or not en:
        return "empty"
    if max(len(ko), len(en)) > LONGEST:
        return "long"
    if "\ufffd" in ko + en:
        return "encoding"
    if _HIDDEN in ko + en:
        return "hidden"
    if _korean(en) > _korean(ko):
        ko, en = en, ko
    # A Korean sentence may hold English names and the reverse; a side that is mostly the other language is no translation.
    if _korean(ko) < 0.3 or _korean(en) > 0.2:
        return "language"
    return ko, en


def _plain(text: str) -> str:
    """NFC, one line, single spaces, without control characters and the marks that AIHub sets before lines of dialogue."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(c if unicodedata.category(c)[0] != "C" or c.isspace() else "" for c in text)
    return _DIALOGUE.sub("", " ".join(text.split())).strip()


def _korean(text: str) -> float:
    letters = len(_LETTER.findall(text))
    return len(_HANGUL.findall(text)) / letters if letters else 0.0


def _rows(path: Path, layout: str) -> Iterator[_Row]:
    if path.is_dir():
        if layout == "datasets" or (layout == "auto" and ((path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file())):
            yield from _saved(path)
            return
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    else:
        files = [path]
    if not files or not all(f.is_file() for f in files):
        raise DataError(f"{path}: no parallel text there. Give a file ({', '.join(SUFFIXES)}), a folder of such files, or one saved by `datasets`.")
    for file in files:
        yield from _file(file, layout)


def _file(path: Path, layout: str) -> Iterator[_Row]:
    suffix = {"tsv": ".tsv", "jsonl": ".jsonl", "captions": ".jsonl"}.get(layout, path.suffix.lower())
    try:
        if suffix == ".xlsx":
            yield from _sheet(path)
        elif suffix == ".json":
            yield from _json(path)
        elif suffix == ".jsonl":
            yield from _lines_of_json(path)
        elif suffix in (".tsv", ".txt", ".csv"):
            yield from _columns(path, "," if suffix == ".csv" else "\t")
        else:
            raise DataError(f"{path}: suffix {suffix!r} is not one of {', '.join(SUFFIXES)}. Name its layout in the recipe: tsv, jsonl, aihub, captions.")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path and its rights.") from error


def decode(line: bytes) -> str:
    """UTF-8, or else the Korean code page; what is neither keeps U+FFFD, by which it is refused."""
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("utf-8", "replace")


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            # UTF-16 holds line ends of two bytes.
            yield from path.read_text(encoding="utf-16").splitlines()
            return
        file.seek(0)
        for line in file:
            yield decode(line).rstrip("\r\n")


def _columns(path: Path, delimiter: str) -> Iterator[_Row]:
    # Tabs need no quoting, and a lone quotation mark would swallow the lines after it.
    rows = csv.reader(_lines(path), delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL)
    csv.field_size_limit(1 << 24)
    ko, en = 0, 1
    for number, cells in enumerate(rows, 1):
        if number == 1 and (header := _header(cells)):
            ko, en = header
            continue
        if any(cells):
            yield _Row(where=f"{path.name}:{number}", ko=_at(cells, ko), en=_at(cells, en))


def _header(cells: Iterable[str]) -> tuple[int, int] | None:
    """Places of the two columns, where a row names them."""
    names = [c.strip().lower() for c in cells]
    found = [next((names.index(name) for name in known if name in names), -1) for known in (KO, EN)]
    return (found[0], found[1]) if min(found) >= 0 else None


def _at(cells: list[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _record(record: Any, where: str) -> _Row:
    """A JSON object or a row of a data set; anything else is an empty row, which is counted."""
    values = cast(dict[str, Any], record) if isinstance(record, dict) else {}
    inner = values.get("translation")
    values = cast(dict[str, Any], inner) if isinstance(inner, dict) else values
    ko, en = (next((str(values[name]) for name in known if values.get(name)), "") for known in (KO, EN))
    return _Row(where=where, ko=ko, en=en, picture=str(values.get("path", "")) if "caption_ko" in values else "")


def _lines_of_json(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: is not JSON ({error}). Mend or delete that line.") from error
        # Held-out pictures keep their captions to themselves.
        if not isinstance(record, dict) or record.get("split", "train") == "train":
            yield _record(record, f"{path.name}:{number}")


def _json(path: Path) -> Iterator[_Row]:
    try:
        content: Any = json.loads(decode(path.read_bytes()))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}). Unpack or download it again.") from error
    # AIHub wraps its list in one key, "data" or the corpus's name; or a file is a single record.
    if isinstance(content, dict):
        values = cast(dict[str, Any], content)
        content = next((v for v in values.values() if isinstance(v, list)), [values])
    for number, record in enumerate(cast(list[Any], content), 1):
        yield _record(record, f"{path.name}:{number}")


def _sheet(path: Path) -> Iterator[_Row]:
    from kimchi.data.sheets import read_sheet

    columns: tuple[int, int] | None = None
    for number, cells in read_sheet(path):
        if columns is None:
            columns = _header(cells)
            # Titles may stand above the header; a sheet without one is told after its first rows.
            if columns is None and number > 20:
                raise DataError(f"{path}: none of its first rows names a Korean and an English column ({', '.join(KO)}; {', '.join(EN)}). Add a header.")
            continue
        if any(cells):
            yield _Row(where=f"{path.name}:{number}", ko=_at(cells, columns[0]), en=_at(cells, columns[1]))


def _saved(path: Path) -> Iterator[_Row]:
    import datasets

    loaded: Any = datasets.load_from_disk(str(path))
    part: Any = loaded["train"] if isinstance(loaded, dict) else loaded
    for number, record in enumerate(part):
        yield _record(record, f"{path.name}:{number}")
