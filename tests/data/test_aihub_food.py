"""Data set 79 in its true layout, traps and all, and the sample world's delivery of it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kimchi.data import archives, pictures
from kimchi.data.readers import reader
from kimchi.data.readers.aihub_food import CREDIT, parse_crop, parse_crops
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.errors import DataError, RecipeError
from kimchi.records import DroppedRecord, ImageRecord


class Cp949(zipfile.ZipInfo):
    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp949"), self.flag_bits & ~0x800


def jpeg(seed: int, width: int = 80, height: int = 60) -> bytes:
    values = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(Cp949(name), content)
    return file.getvalue()


def unpacked(root: Path, entries: dict[str, bytes]) -> Path:
    for name, content in entries.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def read(source: Path) -> tuple[list[ImageRecord], list[DroppedRecord]]:
    found = list(reader("aihub_food").read(source))
    assert len(found) == reader("aihub_food").count(source)
    return [r for r in found if isinstance(r, ImageRecord)], [r for r in found if isinstance(r, DroppedRecord)]


@pytest.mark.parametrize(
    ("value", "box"),
    [
        ("10,20,30,40", (10, 20, 40, 60)),
        (" 10, 20, 30, 40 ", (10, 20, 40, 60)),
        ("10,20,30,40 checked by 2", (10, 20, 40, 60)),
        ("10.5,20.0,30,40", (10, 20, 40, 60)),
        ("640,480", (0, 0, 640, 480)),
        (",640,480", (0, 0, 640, 480)),
        ("dissimilar,640,480", (0, 0, 640, 480)),
        ("open,640,480", (0, 0, 640, 480)),
        ("", None), ("  ", None), ("open", None), ("10", None), ("1,2,3", None), ("1,2,3,4,5", None), ("1,2,x,4", None),
        ("10,20,-30,40", None), ("10,20,0,40", None), ("9" * 5000 + ",1,2,3", None), ("1e400,1,2,3", None),
    ],
)  # fmt: skip
def test_crop_lines(value: str, box: pictures.Box | None) -> None:
    assert parse_crop(value) == box


@settings(deadline=None)  # other work may share the cores
@given(st.text())
def test_any_crop_file_is_survived(text: str) -> None:
    for value in (*parse_crops(text).values(), parse_crop(text)):
        assert value is None or (value[0] < value[2] and value[1] < value[3])


@settings(deadline=None)  # other work may share the cores
@given(*[st.integers(0, 9999)] * 2, *[st.integers(1, 9999)] * 2, st.sampled_from([",", ", ", " ,"]))
def test_every_good_line_is_understood(x: int, y: int, w: int, h: int, comma: str) -> None:
    assert parse_crop(comma.join(map(str, (x, y, w, h)))) == (x, y, x + w, y + h)


def test_crop_keys_match_whatever_their_case_and_strangers_are_passed_over() -> None:
    boxes = parse_crops("[Img]\n# note\nIMG_000_0000=1,2,30,40\nimg_000_0001.JPG = 1,2,30,40\nImg_000_0002 1,2,3,4\nImg_000_0003=\r\n")
    assert boxes == {"img_000_0000": (1, 2, 31, 42), "img_000_0001": (1, 2, 31, 42)}


def test_the_true_layout(tmp_path: Path) -> None:
    grill = {
        "갈비구이/Img_000_0000.jpg": jpeg(0), "갈비구이/Img_000_0001.JPG": jpeg(1), "갈비구이/Img_000_0002.jpg": jpeg(2),
        "갈비구이/crop_area.properties": "img_000_0000=10,5,40,30\nImg_000_0001=60,40,900,900\nImg_000_0002=3,3,2,2\n".encode("cp949"),
        "갈비구이/.DS_Store": b"x", "__MACOSX/갈비구이/._Img_000_0000.jpg": b"x",
    }  # fmt: skip
    source = tmp_path / "kfood.zip"
    source.write_bytes(zipped({"구이.zip": zipped(grill), "국.zip": zipped({"무국/Img_016_0000.jpg": jpeg(3)})}))
    kept, dropped = read(source)
    assert not dropped
    assert [r.labels for r in kept] == [("구이", "갈비구이")] * 3 + [("국", "무국")]
    # Case of the key, clipping at the edge, and the area floor.
    assert [r.box for r in kept] == [(10, 5, 50, 35), (60, 40, 80, 60), None, None]
    assert kept[0].path == f"{source}!구이.zip!갈비구이/Img_000_0000.jpg" and kept[0].source == "aihub-79"
    assert archives.read_member(kept[3].path) == jpeg(3)


@pytest.mark.parametrize("prefix", ["", "kfood/", "kfood/구이/", "raw/구이/구이/구이/"])
def test_the_class_is_the_folder_that_holds_the_picture(tmp_path: Path, prefix: str) -> None:
    """An extraction tool's extra level 구이/구이/갈비구이 changes nothing."""
    root = unpacked(
        tmp_path / "d", {f"{prefix}구이/갈비구이/Img_000_0000.jpg": jpeg(0), f"{prefix}구이/갈비구이/crop_area.properties": b"Img_000_0000=10,5,40,30"}
    )
    (kept,), _ = read(root)
    assert (kept.labels, kept.box) == (("구이", "갈비구이"), (10, 5, 50, 35))


def test_a_folder_of_zips_a_single_dish_and_a_loose_picture(tmp_path: Path) -> None:
    assert read(unpacked(tmp_path / "z", {"구이.zip": zipped({"갈비구이/a.jpg": jpeg(0)})}))[0][0].labels == ("구이", "갈비구이")
    assert read(unpacked(tmp_path / "갈비구이", {"a.jpg": jpeg(0)}))[0][0].labels == ("갈비구이",)
    (tmp_path / "loose.zip").write_bytes(zipped({"a.jpg": jpeg(0)}))
    assert "no folder holds it" in read(tmp_path / "loose.zip")[1][0].reason


def test_what_cannot_be_used_is_dropped_with_its_reason(tmp_path: Path) -> None:
    entries = {
        "구이/a/1.jpg": jpeg(0), "구이/a/2.jpg": jpeg(1)[:400], "구이/a/3.jpg": b"", "구이/a/4.txt": b"x",
        "구이/b/5.jpg": jpeg(0), "구이/b/6.png": b"<html>", "구이/b/7.gif": jpeg(2),
    }  # fmt: skip
    kept, dropped = read(unpacked(tmp_path, entries))
    # The same bytes again are a record again, of the same id: whoever holds all records drops them, not a reader.
    assert [Path(r.path).name for r in kept] == ["1.jpg", "5.jpg", "7.gif"] and kept[0].id == kept[1].id != kept[2].id
    reasons = {Path(r.path).name: r.reason for r in dropped}
    assert list(reasons) == ["2.jpg", "3.jpg", "4.txt", "6.png"]
    assert "cannot be decoded" in reasons["2.jpg"] and "none of" in reasons["4.txt"]
    assert all(str(tmp_path) not in reasons[name] for name in ("2.jpg", "3.jpg", "6.png"))


def test_a_rotated_photograph_is_cropped_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg(0))).save(file, "JPEG", exif=exif)
    (kept,), _ = read(unpacked(tmp_path, {"국/무국/a.jpg": file.getvalue(), "국/무국/crop_area.properties": b"a=0,40,60,40"}))
    assert kept.box == (0, 40, 60, 80)  # it would not fit into the 80 x 60 of the file


def test_nothing_to_open_is_an_error_and_not_a_dropped_record(tmp_path: Path) -> None:
    (tmp_path / "kfood.zip").write_bytes(zipped({"a/a.jpg": jpeg(0)})[:-9])
    with pytest.raises(DataError):
        list(reader("aihub_food").read(tmp_path / "kfood.zip"))
    with pytest.raises(RecipeError, match="aihub_food"):
        reader("aihub_fod")


SLUGS = ("ramyeon", "gimbap", "bibimbap")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("delivery") / "kfood.zip"
    assert write_delivery(path, SLUGS, 14, seed=500) == 42
    return path


def test_the_sample_delivery_reads_back(sample: Path) -> None:
    kept, dropped = read(sample)
    assert sorted(r.labels[-1] for r in kept) == ["김밥"] * 14 + ["라면"] * 15 + ["비빔밥"] * 14  # one of them twice, for the pipeline to drop
    assert ["cannot be decoded" in r.reason for r in dropped] == [True]
    assert {r.box for r in kept} == {None, (2, 2, 126, 126)}
    assert kept[0].path.endswith("kfood.zip!면.zip!라면/Img_050_0000.jpg")
    assert len({r.id for r in kept}) == 42


def test_the_sample_delivery_is_written_as_aihub_writes(sample: Path) -> None:
    with zipfile.ZipFile(sample) as outer:
        infos = outer.infolist()
        assert [info.orig_filename.encode("cp437").decode("cp949") for info in infos] == ["면.zip", "밥.zip"]
        assert all(info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x800 for info in infos)


def test_the_sample_delivery_is_the_same_bytes_each_time(sample: Path, tmp_path: Path) -> None:
    write_delivery(tmp_path / "again.zip", SLUGS, 14, seed=500)
    assert (tmp_path / "again.zip").read_bytes() == sample.read_bytes()


def test_the_sample_delivery_is_not_credited_to_aihub(sample: Path, tmp_path: Path) -> None:
    assert "no AIHub data" in reader("aihub_food").credit(sample)
    assert reader("aihub_food").credit(tmp_path) == CREDIT and "한국지능정보사회진흥원" in CREDIT


@pytest.mark.parametrize("slug", ["hanok", "ramen", "nothing"])
def test_only_korean_food_is_delivered(tmp_path: Path, slug: str) -> None:
    with pytest.raises(DataError, match="ramyeon"):
        write_delivery(tmp_path / "k.zip", ["gimbap", slug], 1, seed=0)
    assert not list(tmp_path.iterdir())
