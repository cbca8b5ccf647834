"""The landmark set of 2020 in its true layout: pictures in parts by region, one label tree a region with a region level of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data import archives, reading
from kimchi.data.readers.aihub_landmark import parse_label
from kimchi.errors import DataError

NAME = "3.1독립선언기념탑"


def label(file_name: str, bbox: Any = (10, 12, 60, 50), width: Any = 80, height: Any = 60, name: str = NAME, **category: Any) -> dict[str, Any]:
    return {
        "info": {"description": "2020 landmark Dataset", "url": "https://aihub.or.kr/aidata/8009", "version": "1.0", "year": 2020},
        "images": [{"license": 1, "file_name": file_name, "width": width, "height": height, "image_id": 41544868}],
        "annotations": [
            {"type": "Bounding box", "category_id": 15919, "bbox": bbox, "image_id": 41544868, "id": "41544868_1", "truncated": "0", "hidden": "0"}
        ],
        "categories": [{
            "id": 15919, "name": name, "supercategory": "지역상징성",
            "metainfo": {"location1": "서울특별시", "location2": "서대문구", "Type1": "지역상징성", "Type2": "기념비",
                         "name_kr": name, "add": "서울특별시 서대문구 현저동 101"}, **category,
        }],
    }  # fmt: skip


def test_the_true_layout(tmp_path: Path, make: Any) -> None:
    pictures = {f"Training/[원천]서울특별시_{part}.zip": {f"{NAME}/{NAME}_039_{part}.jpg": make.jpeg(i)} for i, part in enumerate(("001", "002"))}
    labels = {f"서울특별시/{NAME}/{NAME}_039_{part}.json": make.label(label(f"{NAME}_039_{part}.jpg")) for part in ("001", "002")}
    entries = {name: make.zipped(content) for name, content in pictures.items()}
    root = make.unpacked(tmp_path / "d", {**entries, "Training/[라벨]서울특별시.zip": make.zipped(labels)})
    kept, dropped = make.read("aihub_landmark", root)
    assert not dropped and len(kept) == 2
    assert kept[0].labels == ("지역상징성", "기념비", NAME) and kept[0].source == "aihub-landmark-2020"
    assert kept[0].box == (10, 12, 60, 50)  # corners; as x, y, width, height it would leave the picture
    assert kept[0].description == f"{NAME}\n기념비\n서울특별시 서대문구 현저동 101"
    assert kept[0].size_px == (50, 38) and kept[0].sharpness > 0
    assert archives.read_member(kept[1].path) == make.jpeg(1)


@pytest.mark.parametrize("nfd", [True, False])
def test_an_unpacked_macos_copy_with_spaces_and_capitals(tmp_path: Path, make: Any, nfd: bool) -> None:
    """`검멀레동굴 _066_42469394.jpg`, NFD on the disk, .JPG, and a label whose name has no space."""
    make.unpacked(tmp_path, {"[원천]제주특별자치도_001/검멀레동굴/검멀레동굴 _066_42469394.JPG": make.jpeg()}, nfd=nfd)
    make.unpacked(tmp_path, {"[라벨]제주특별자치도/제주특별자치도/검멀레동굴/검멀레동굴_066_42469394.json": make.label(label("x", name="검멀레동굴"))})
    (record,), dropped = make.read("aihub_landmark", tmp_path)
    assert not dropped and record.labels[-1] == "검멀레동굴" and archives.read_member(record.path) == make.jpeg()


def test_either_side_may_be_missing_and_is_told(tmp_path: Path, make: Any) -> None:
    entries = {
        "a/b/a_1.jpg": make.jpeg(0), "l/b/a_1.json": make.label(label("a_1.jpg")), "a/b/a_2.jpg": make.jpeg(1), "l/b/a_3.json": make.label(label("a_3.jpg")),
        "a/b/a_4.jpg": make.jpeg(2)[:300], "l/b/a_4.json": make.label(label("a_4.jpg")), "l/b/읽어.txt": b"x",
    }  # fmt: skip
    kept, dropped = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert [Path(r.path).name for r in kept] == ["a_1.jpg"]
    reasons = {Path(r.path).name: r.reason for r in dropped}
    assert list(reasons) == ["a_2.jpg", "a_4.jpg", "a_3.json", "읽어.txt"]
    assert "no label" in reasons["a_2.jpg"] and "cannot be decoded" in reasons["a_4.jpg"] and "no picture" in reasons["a_3.json"]
    assert all(str(tmp_path) not in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "JSON is damaged"), (b"[" * 100_000, "JSON is damaged"), (b"\xff\xff\xff", "neither UTF-8 nor CP949"), (b"[]", "a list of 0"),
        (b'{"shapes": [], "imagePath": "a.jpg"}', r"the keys imagePath, shapes, where"), (b'"text"', "a str"), (b'{"images": [1], "categories": 3}', "keys"),
    ],
)  # fmt: skip
def test_a_label_that_cannot_be_read_costs_its_picture_and_nothing_else(tmp_path: Path, make: Any, content: bytes, said: str) -> None:
    entries = {"a/1.jpg": make.jpeg(0), "a/1.json": content, "a/2.jpg": make.jpeg(1), "a/2.json": make.label(label("2.jpg"))}
    kept, (dropped,) = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert len(kept) == 1 and said in dropped.reason and dropped.path.endswith("1.jpg")


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value]])
@pytest.mark.parametrize(("bom", "encoding"), [(False, "utf-8"), (True, "utf-8"), (False, "cp949")])
def test_object_or_list_with_or_without_a_mark_in_either_encoding(tmp_path: Path, make: Any, wrap: Any, bom: bool, encoding: str) -> None:
    entries = {"a/1.jpg": make.jpeg(), "a/1.json": make.label(wrap(label("1.jpg")), bom, encoding)}
    (record,), _ = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert record.labels[-1] == NAME


@pytest.mark.parametrize(
    ("bbox", "box"),
    [
        (["10.4", "12", " 60 ", "50"], (10, 12, 60, 50)), ([60, 50, 10, 12], (10, 12, 60, 50)), ([-5, -5, 900, 40], (0, 0, 80, 40)),
        ("10,12,60,50", (10, 12, 60, 50)), (["xx", 1, 2, 3], None), ([1, 2, 3], None), (None, None), ([30, 30, 32, 31], None),
        ([float("1e300"), 0, 0, 40], (0, 0, 80, 40)), ({"x": 1}, None),
    ],
)  # fmt: skip
def test_boxes_are_sorted_clipped_and_never_fatal(tmp_path: Path, make: Any, bbox: Any, box: Any) -> None:
    entries = {"a/1.jpg": make.jpeg(), "a/1.json": make.label(label("1.jpg", bbox, "80", " 60"))}
    (record,), _ = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert record.box == box


@pytest.mark.parametrize(
    ("orientation", "size", "bbox", "box"),
    [
        (6, (80, 60), (0, 0, 40, 30), (30, 0, 60, 40)),  # drawn before it was turned: the stored left top is the upright right top
        (8, (80, 60), (0, 0, 40, 30), (0, 40, 30, 80)),
        (6, (60, 80), (0, 40, 60, 80), (0, 40, 60, 80)),  # drawn on the upright picture
        (3, (80, 60), (0, 0, 40, 30), (0, 0, 40, 30)),  # a half turn keeps the size: taken as upright
        (1, (160, 120), (0, 0, 80, 60), (0, 0, 40, 30)),  # scaled after it was labelled
        (1, (500, 60), (0, 0, 40, 30), None),  # of some other picture
        (6, None, (0, 40, 60, 80), (0, 40, 60, 80)),
    ],
)  # fmt: skip
def test_the_box_is_turned_with_the_picture_it_was_drawn_on(tmp_path: Path, make: Any, orientation: int, size: Any, bbox: Any, box: Any) -> None:
    width, height = size or (None, None)
    entries = {"a/1.jpg": make.jpeg(orientation=orientation), "a/1.json": make.label(label("1.jpg", bbox, width, height))}
    (record,), _ = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert record.box == box


def test_of_two_labels_of_one_name_the_one_of_its_folder_is_taken(tmp_path: Path, make: Any) -> None:
    entries = {"원천/가/1.jpg": make.jpeg(0), "원천/나/1.jpg": make.jpeg(1), "원천/다/1.jpg": make.jpeg(2)}
    entries |= {f"라벨/{name}/1.json": make.label(label("1.jpg", name=name)) for name in "가나"}
    kept, dropped = make.read("aihub_landmark", make.unpacked(tmp_path, entries))
    assert [r.labels[-1] for r in kept] == ["가", "나"] and "several labels" in dropped[0].reason


def test_underscores_of_a_name_are_spaces_and_numbers_may_be_text() -> None:
    value = label("a.jpg", name="북촌_한옥마을", id="15919")
    value["annotations"].insert(0, {"category_id": "0", "bbox": [0, 0, 1, 1], "image_id": "41544868"})
    known = parse_label(json.loads(json.dumps(value)), "a.jpg", "a.json")
    assert known.labels[-1] == "북촌 한옥마을" and known.box == (10, 12, 60, 50)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "bbox", "image_id", "metainfo", "file_name", "width"]), below),
    max_leaves=8,
)


@settings(deadline=None)  # other work may share the cores
@given(st.dictionaries(st.sampled_from(["images", "annotations", "categories", "info"]), json_values) | json_values)
def test_any_json_gives_a_known_or_a_data_error(value: Any) -> None:
    try:
        known = parse_label(value, "a.jpg", "a.json")
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(known, reading.Known) and all(known.labels)
