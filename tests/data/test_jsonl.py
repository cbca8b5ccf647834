"""Records survive the disk, and a broken line is named."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data.jsonl import read_records, write_records
from kimchi.errors import DataError
from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord, MadeBy

CAPTIONED = CaptionedRecord(
    id="a", path="김치.zip!a.jpg", labels=("면", "라면"), box=(1, 2, 3, 4), caption_noun="라면", caption_ko="라면", made_by=MadeBy(part="t")
)


def test_round_trip_is_equal_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "captions.jsonl"
    assert write_records(path, iter([CAPTIONED, CAPTIONED])) == 2
    assert list(read_records(path, CaptionedRecord)) == [CAPTIONED, CAPTIONED]
    assert "라면" in path.read_text(encoding="utf-8")


@settings(deadline=None)  # other work may share the cores
@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, reason: str, labels: list[str]) -> None:
    """U+2028, newlines and quotes stay within their line."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    records = [DroppedRecord(path="x", reason=reason, labels=tuple(labels))] * 2
    write_records(path, records)
    assert list(read_records(path, DroppedRecord)) == records


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": 3, "path": "x"}', '{"path": "x"}', '{"id": "a", "path": "x", "box": [1, 2]}', "\udce3".encode("utf-8", "surrogateescape")]
)
def test_a_broken_line_is_named(tmp_path: Path, line: str | bytes) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"id": "a", "path": "x"}\n\n' + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(DataError, match=r"records\.jsonl, line 3.*ImageRecord"):
        list(read_records(path, ImageRecord))


def test_byte_order_mark_blank_lines_and_later_keys_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "path": "x", "of_next_year": 1}\n\n')
    assert list(read_records(path, ImageRecord)) == [ImageRecord(id="a", path="x")]


def test_a_stream_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write_records(path, [ImageRecord(id="old", path="x")])

    def broken():  # type: ignore[no-untyped-def]
        yield ImageRecord(id="new", path="x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(path, broken())
    assert [record.id for record in read_records(path, ImageRecord)] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["records.jsonl"]


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_records(tmp_path / "none.jsonl", ImageRecord))
