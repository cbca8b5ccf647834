"""A folder of one's own pictures: .txt beside them, or metadata as imagefolder has it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data.readers import reader
from kimchi.data.readers.folder import parse_table
from kimchi.errors import DataError


@pytest.mark.parametrize("packed", [False, True])
def test_txt_beside_pictures(tmp_path: Path, make: Any, packed: bool) -> None:
    entries = {
        "떡/송편/1.JPG": make.jpeg(0), "떡/송편/1.txt": "\ufeff솔잎을 깐 송편\n".encode(), "떡/송편/2.jpg": make.jpeg(1),
        "떡/송편/2.TXT": "콩 송편".encode("cp949"),
        "3.jpg": make.jpeg(2), "떡/4.txt": b"lost", "송편/5.jpg": b"<html>", "송편/5.txt": b"x", "송편/6.jpg": make.jpeg(3), "송편/6.txt": b"\xff",
        "notes.docx": b"x",
    }  # fmt: skip
    root = make.put(tmp_path / "d.zip", make.zipped(entries)) if packed else make.unpacked(tmp_path / "d", entries, nfd=True)
    kept, dropped = make.read("folder", root)
    assert {(r.labels, r.caption) for r in kept} == {(("떡", "송편"), "솔잎을 깐 송편"), (("떡", "송편"), "콩 송편"), ((), "")}
    reasons = {record.path.rsplit("/", 1)[-1].rsplit("!", 1)[-1]: record.reason for record in dropped}
    assert set(reasons) == {"4.txt", "5.jpg", "6.jpg", "notes.docx"}
    assert "no picture has its name" in reasons["4.txt"] and "neither UTF-8" in reasons["6.jpg"]


def test_metadata_as_imagefolder_has_it(tmp_path: Path, make: Any) -> None:
    rows = [
        '{"file_name": "1.jpg", "text": "송편"}', "", '{"file_name": "가/2.jpg", "caption": "약과"}', '{"file_name": "none.jpg", "text": "x"}', "[1]"
    ]  # fmt: skip
    entries = {
        "train/metadata.jsonl": "\r\n".join(rows).encode(), "train/1.jpg": make.jpeg(0), "train/가/2.jpg": make.jpeg(1), "train/가/3.jpg": make.jpeg(2),
        "test/metadata.csv": "file_name,text\n./4.jpg,\"한과, 둘\"\n".encode(), "test/4.jpg": make.jpeg(3), "test/4.txt": b"not this",
    }  # fmt: skip
    kept, (dropped,) = make.read("folder", make.unpacked(tmp_path, entries))
    assert {(Path(r.path).name, r.labels, r.caption) for r in kept} == {
        ("1.jpg", (), "송편"), ("2.jpg", ("가",), "약과"), ("3.jpg", ("가",), ""), ("4.jpg", (), "한과, 둘")
    }  # fmt: skip
    assert "'none.jpg' in a row" in dropped.reason


@pytest.mark.parametrize(("content", "said"), [(b'{"file_name": "1.jpg"', "as a table"), (b'{"image": "1.jpg"}', "rows have image"), (b"\xff", "neither")])
def test_a_broken_table_is_told_and_its_pictures_are_kept(tmp_path: Path, make: Any, content: bytes, said: str) -> None:
    (kept,), (dropped,) = make.read("folder", make.unpacked(tmp_path, {"metadata.jsonl": content, "1.jpg": make.jpeg()}))
    assert kept.caption == "" and said in dropped.reason


def test_the_credit_is_what_the_folder_says(tmp_path: Path, make: Any) -> None:
    assert "credit.txt" in reader("folder").credit(make.unpacked(tmp_path, {"1.jpg": make.jpeg()}))
    make.unpacked(tmp_path, {"credit.txt": "사진: 홍길동".encode()})
    assert reader("folder").credit(tmp_path) == "사진: 홍길동"
    assert len(make.read("folder", tmp_path)[1]) == 0


@settings(deadline=None)  # other work may share the cores
@given(st.binary(max_size=60), st.sampled_from(["metadata.jsonl", "metadata.csv"]))
def test_any_table_is_rows_or_a_data_error(content: bytes, name: str) -> None:
    try:
        assert isinstance(parse_table(content, name), list)
    except DataError as error:
        assert name in str(error)
