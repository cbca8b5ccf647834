"""What every reader promises, and the way from members to records that all of them share."""

import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi import parts
from kimchi.data import pictures, reading
from kimchi.data.readers import _labels, _members, reader
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

READERS = parts.names("kimchi.data.readers")


def test_the_readers_of_the_house_are_listed_and_helpers_are_not() -> None:
    assert {"aihub_food", "aihub_landmark", "aihub_objects", "bok_vqa", "folder", "hf_dataset"} <= set(READERS)
    assert not [name for name in READERS if name.startswith("_")]


@pytest.mark.parametrize("name", READERS)
class TestEvery:
    def test_counts_what_it_reads_twice_alike_and_loses_nothing(self, name: str, tmp_path: Path, make: Any) -> None:
        """Litter, strangers, truncated pictures and zips: whatever it is, it is a record or it is dropped with a reason of one paragraph."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"image": [make.jpeg(), b"x"]}), tmp_path / "a.parquet")
        entries = {
            "a/b/1.jpg": make.jpeg(0), "a/b/1.json": b"{}", "a/b/1.txt": b"\xff", "a/b/2.jpg": b"<html>", "a/b/3.JPG": make.jpeg(1)[:200],
            "a/b/.DS_Store": b"x",
            "a/b/metadata.csv": b"file_name\n1.jpg\n", "c.zip": make.zipped({"d/e/4.jpg": make.jpeg(2), "../5.jpg": b"x"}), "f.zip": b"PK\3\4 cut short",
            "g.zip.part0": b"PK", "g.zip.part2": b"PK", "h.tar": make.tar({"h/6.jpg": make.jpeg(3)}), "download.tar": b"<html>", "empty.zip": b"",
        }  # fmt: skip
        root = make.unpacked(tmp_path, entries)
        first = list(reader(name).read(root))
        assert first == list(reader(name).read(root)) and len(first) == reader(name).count(root) > 0
        for record in first:
            assert isinstance(record, ImageRecord | DroppedRecord)
            if isinstance(record, DroppedRecord):
                assert record.reason and "\n" not in record.reason and not record.reason.startswith(str(tmp_path))
            else:
                assert len(record.id) == 16 and len(record.dhash) == 64 and record.source and min(record.size_px) > 0

    def test_a_source_that_is_not_there_is_a_data_error(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"--set source=|save_to_disk"):
            list(reader(name).read(tmp_path / "none.zip"))

    def test_says_whom_to_credit(self, name: str, make: Any, tmp_path: Path) -> None:
        credit = reader(name).credit(make.unpacked(tmp_path, {"a/1.jpg": make.jpeg()}))
        assert credit.strip() and ("NIA" in credit) == (name.startswith("aihub") or name == "bok_vqa")

    def test_stops_when_nobody_asks_any_more(self, name: str, make: Any, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        make.unpacked(tmp_path, {f"a/b/{i}.jpg": make.jpeg(i) for i in range(60)})
        pq.write_table(pa.table({"image": [make.jpeg()] * 60}), tmp_path / "a.parquet")
        found = reader(name).read(tmp_path)
        next(iter(found))
        found.close()  # type: ignore[attr-defined]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_results_come_in_order_and_few_are_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for i in range(40):
            asked.append(i)
            yield i

    def slow(i: int) -> int:
        time.sleep(0.003 * (i % 3))
        return i

    for i, result in enumerate(reading.in_order(slow, items(), count=3, ahead=5)):
        assert result == i and len(asked) <= i + 5
    assert len(asked) == 40


def test_an_error_comes_at_its_place() -> None:
    def work(i: int) -> int:
        if i == 3:
            raise DataError("three")
        return i

    found = reading.in_order(work, range(10), count=2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="three"):
        next(found)


@settings(deadline=None)  # other work may share the cores
@given(st.integers(1, 8), st.integers(0, 30), st.integers(0, 20), st.integers(1, 30), st.integers(1, 20))
def test_a_box_turned_upright_holds_the_same_pixels(orientation: int, x: int, y: int, w: int, h: int) -> None:
    import io

    import numpy as np
    from PIL import Image

    values = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    box = (x, y, min(60, x + w), min(40, y + h))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    coloured = np.stack([values // 256, values % 256, values * 0], axis=-1).astype(np.uint8)
    Image.fromarray(coloured).save(file, "PNG", exif=exif)
    photo = pictures.Photo(file.getvalue(), "a.png")
    assert photo.orientation == orientation and photo.size == ((40, 60) if orientation >= 5 else (60, 40))
    upright = pictures.upright_box(box, photo.stored_size, orientation)
    inside = np.asarray(photo.decode(upright)).reshape(-1, 3).tolist()
    assert sorted(inside) == sorted(coloured[box[1] : box[3], box[0] : box[2]].reshape(-1, 3).tolist())


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_read_small_is_the_same_picture(make: Any, orientation: int) -> None:
    content = make.jpeg(1, 2000, 1200, orientation)
    photo = pictures.Photo(content, "a.jpg")
    whole, small = photo.size, pictures.Photo(content, "a.jpg").decode(least_px=256)
    assert max(small.size) in range(250, 505) and abs(small.width / small.height - whole[0] / whole[1]) < 0.01
    box = (whole[0] // 4, whole[1] // 4, whole[0] // 2, whole[1] // 2)
    exact, quick = pictures.Photo(content, "a").decode(box), pictures.Photo(content, "a").decode(box, least_px=256)
    assert max(quick.size) >= 250 < max(exact.size)
    far = int(pictures.difference_hash(exact), 16) ^ int(pictures.difference_hash(quick), 16)
    assert far.bit_count() <= 6


def test_sharpness_tells_sharp_from_blurred(make: Any) -> None:
    sharp, blurred = (pictures.sharpness(pictures.decode(make.jpeg(1, 512, 512, side=side), "a")) for side in (128, 8))
    assert sharp > 20 * blurred
    assert pictures.sharpness(pictures.decode(make.jpeg(1, 20, 1), "a")) >= 0


def test_a_picture_too_large_and_one_cut_short_are_dropped(tmp_path: Path, make: Any) -> None:
    import struct

    header = bytearray(make.jpeg())
    at = header.index(b"\xff\xc0")
    header[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    kept, dropped = make.read("folder", make.unpacked(tmp_path, {"a/1.jpg": bytes(header), "a/2.jpg": make.jpeg(0, 900, 900)[:-900], "a/3.jpg": make.jpeg()}))
    assert len(kept) == 1 and "the limit" in dropped[0].reason and "cannot be decoded" in dropped[1].reason


def test_a_zip_bomb_among_pictures_costs_only_itself(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kimchi.data.archives import zips

    monkeypatch.setattr(zips, "SMALL_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/bomb.jpg", bytes(10**7))
        archive.writestr("a/1.jpg", make.jpeg())
    kept, (dropped,) = make.read("folder", tmp_path / "d.zip")
    assert len(kept) == 1 and "zip bomb" in dropped.reason


@pytest.mark.parametrize("pair", [("가.jpg", "가.json"), ("가 나 _1.JPG", "가나_1.json"), ("갓_1.jpeg", "갓_1.PNG")])
def test_stems_meet(pair: tuple[str, str]) -> None:
    assert _members.stem(pair[0]) == _members.stem(pair[1])


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
def test_numbers_of_any_kind(value: Any) -> None:
    found = _labels.number(value)
    assert found is None or found - found == 0
