"""BOK-VQA: questions on pictures that need outside knowledge. The authors' CSV beside the pictures of AIHub data set 71357.

A row: img_name, question (Korean), h, r, t (a knowledge triple, English names), answer (English). The layout of AIHub's own JSON is not
known; one with the fields of FIELDS is read, any other is dropped with the keys it has. About 3 % of the rows name a Korean thing. The table
is held in memory, about a kilobyte a row: 18 MB.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimchi.data.archives import Member
from kimchi.data.readers._labels import MAX_LABEL_BYTES, Table, distinct, left_over, parse_json, tables, text, text_of, unknown_layout
from kimchi.data.readers._members import ends, is_picture, members, name_of, stem
from kimchi.data.reading import Known, dropped, in_order, record_of
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

SOURCE = "aihub-71357"
CREDIT = (
    "이 결과물은 과학기술정보통신부의 재원으로 한국지능정보사회진흥원(NIA)의 지원을 받아 구축된 "
    "AI 허브(aihub.or.kr) 「외부 지식 기반 멀티모달 질의응답」 데이터를 활용하였습니다. "
    "Made with the data set 'Multimodal question answering with external knowledge' of AI-Hub, National Information Society Agency (NIA), "
    "Republic of Korea, and BOK-VQA (AAAI 2024, arXiv:2401.06443)."
)
FIELDS = {
    "image": ("img_name", "image", "image_name", "img_path", "file_name", "filename"),
    "question": ("question", "question_ko"),
    "answer": ("answer", "answer_ko"),
    "head": ("h", "head", "subject"),
    "relation": ("r", "relation", "predicate"),
    "tail": ("t", "tail", "object"),
}
"""What a row tells, and the columns or keys that may hold it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question on one picture."""

    image: str
    question: str
    head: str
    relation: str
    tail: str
    answer: str

    def known(self) -> Known:
        """The head of the triple names the thing; everything else is told as it came."""
        triple = " - ".join(filter(None, (self.head, self.relation, self.tail)))
        name = " ".join(self.head.replace("_", " ").split())
        return Known(labels=(name,) if name else (), description="\n".join(distinct(triple, self.question, self.answer)))


def _row(table: Table) -> Row:
    found = {field: next((text(table[name]) for name in names if text(table.get(name))), "") for field, names in FIELDS.items()}
    return Row(found["image"], found["question"], found["head"], found["relation"], found["tail"], found["answer"])


def parse_csv(content: bytes, path: str) -> list[Row]:
    """The rows of a table; a question may hold line breaks.

    Raises:
        DataError: not a table, or none of the columns that name a picture; the columns met are listed.
    """
    try:
        table = csv.DictReader(io.StringIO(text_of(content, path), newline=""))
        rows = [_row({str(key): value for key, value in row.items()}) for row in table]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Fetch it again.") from error
    columns = [str(name) for name in table.fieldnames or ()]
    if not set(columns) & set(FIELDS["image"]):
        raise DataError(f"{path}: has the columns {', '.join(name or '(no name)' for name in columns[:12])}, and none of {', '.join(FIELDS['image'])}.")
    return rows


def parse_label(value: Any, path: str) -> list[Row]:
    """JSON labels => rows: one object with its picture's name, a list of them, or `images` and `question` joined by `image_id`.

    Raises:
        DataError: any other layout; the keys met are listed.
    """
    rows = [_row(table) for table in tables(value)]
    if rows and all(row.image and row.question for row in rows):
        return rows
    found: list[Row] = []
    for table in tables(value):
        images = {text(image.get("image_id")): image for image in tables(table.get("images"))}
        asked = [question for name in ("question", "questions", "annotations") for question in tables(table.get(name))]
        found += [_row({**images.get(text(question.get("image_id")), {}), **question}) for question in asked]
    if not found or not all(row.image and row.question for row in found):
        raise unknown_layout(path, value, "a picture's name and a question")
    return found


class _Tables:
    """Every row of a delivery, by the picture's stem; of several on one picture the first with a Korean question."""

    def __init__(self, source: Path) -> None:
        self.rows: dict[str, tuple[Row, Member]] = {}
        self.broken: dict[str, str] = {}
        for member in members(source):
            if ends(member, ".csv", ".json"):
                self._read(member)
        self.pictures = {stem(name_of(member)) for member in members(source) if is_picture(member)}

    def _read(self, member: Member) -> None:
        try:
            content = member.read(MAX_LABEL_BYTES)
            rows = parse_csv(content, member.path) if ends(member, ".csv") else parse_label(parse_json(content, member.path), member.path)
        except DataError as error:
            self.broken[member.path] = str(error)
            return
        for row in rows:
            key = stem(re.split(r"[/\\]", row.image)[-1])
            if key not in self.rows or (not re.search("[가-힣]", self.rows[key][0].question) and re.search("[가-힣]", row.question)):
                self.rows[key] = (row, member)


class Reader:
    """The pictures with the authors' tables beside them."""

    def credit(self, source: Path) -> str:
        """The line AIHub's terms ask for, and the paper."""
        return CREDIT

    def count(self, source: Path) -> int:
        """Records that read() will give; reads directories and tables."""
        return sum(1 for member in members(source) if is_picture(member)) + sum(1 for _ in self._rest(source, _Tables(source)))

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture, labelled with the English name of the thing; then rows without a picture and what is of no use.

        Raises:
            DataError: the delivery as a whole cannot be opened.
        """
        found = _Tables(source)
        yield from in_order(lambda member: _record(member, found), (member for member in members(source) if is_picture(member)))
        yield from self._rest(source, found)

    def _rest(self, source: Path, found: _Tables) -> Iterator[DroppedRecord]:
        for key, (row, table) in found.rows.items():
            if key not in found.pictures:
                yield dropped(table, f"names {row.image!r} in a row, and no picture has that name.")
        for member in members(source):
            if member.path in found.broken:
                yield dropped(member, found.broken[member.path])
            elif not is_picture(member) and not ends(member, ".csv", ".json"):
                yield left_over(member)


def _record(member: Member, found: _Tables) -> ImageRecord | DroppedRecord:
    row = found.rows.get(stem(name_of(member)))
    return record_of(member, row[0].known(), SOURCE) if row else dropped(member, "no row of a table names it, so it is not known what this is.")
