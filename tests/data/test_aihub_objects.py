"""Data set 144 in its true layout: a JSON of the same stem beside each picture, classes in the folder's name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data import reading
from kimchi.data.readers.aihub_objects import folder_labels, parse_label
from kimchi.errors import DataError

FOLDER = "HF010785_유적건조물_교통통신_교통통신시설_우체국_인천우체국"


def label(corners: Any = (10, 12, 60, 50), imsize: Any = (80, 60), **region: Any) -> dict[str, Any]:
    told = [{"value": "인천우체국(仁川郵遞局)은 …[1][2]"}, {"value": "인천광역시 중구 항동6가 1"}, {"value": ""}]
    return {
        "image": {"identifier": "HF010785_0002_0002.jpg", "imsize": imsize},
        "regions": [{"boxcorners": corners, "class": "유적건조물", "tags": ["종ID:HF010785", "메모:"], "sem_ext": told, **region}],
    }


def test_the_true_layout(tmp_path: Path, make: Any) -> None:
    inner = {f"64/{FOLDER}/HF010785_0002_0002.jpg": make.jpeg(0), f"64/{FOLDER}/HF010785_0002_0002.json": make.label(label())}
    tower = {"첨성대/첨성대_1.JPG": make.jpeg(1), "첨성대/첨성대_1.json": make.label(label(sem_ext=[{"value": "첨성대(瞻星臺)는 …"}]))}
    root = tmp_path / "한국형 사물 이미지"
    make.unpacked(root, {"유적건조물/64_유적건조물.zip": make.zipped(inner), "랜드마크/첨성대.zip": make.zipped(tower)})
    (landmark, heritage), dropped = make.read("aihub_objects", root)
    assert not dropped
    assert heritage.labels == ("유적건조물", "교통통신", "교통통신시설", "우체국", "인천우체국") and heritage.source == "aihub-144"
    assert heritage.box == (10, 12, 60, 50) and heritage.description.splitlines() == ["인천우체국(仁川郵遞局)은 …[1][2]", "인천광역시 중구 항동6가 1"]
    assert landmark.labels == ("랜드마크", "첨성대") and landmark.description == "첨성대(瞻星臺)는 …"


@pytest.mark.parametrize(
    ("parts", "labels"),
    [
        (("유적건조물", "64", FOLDER, "a.jpg"), ("유적건조물", "교통통신", "교통통신시설", "우체국", "인천우체국")),
        (("HF000001_유적건조물_주거생활__가옥_북촌_한옥", "a.jpg"), ("유적건조물", "주거생활", "가옥", "북촌 한옥")),
        (("랜드마크", "01", "경주타워", "a.jpg"), ("랜드마크", "경주타워")),
        (("랜드마크", "64", "a.jpg"), ("랜드마크", "물")),
        (("a.jpg",), ("물",)),
    ],
)
def test_labels_come_from_the_folder(parts: tuple[str, ...], labels: tuple[str, ...]) -> None:
    assert folder_labels(parts, "물") == labels


def test_swapped_corners_several_regions_and_text_for_numbers(tmp_path: Path, make: Any) -> None:
    several = label(["60", "50", "10", "12"], ["80", "60"])
    several["regions"].append({"boxcorners": [0, 0, 20, 20]})
    (record,), _ = make.read("aihub_objects", make.unpacked(tmp_path, {f"{FOLDER}/1.jpg": make.jpeg(), f"{FOLDER}/1.json": make.label([several])}))
    assert record.box == (10, 12, 60, 50) and record.description


def test_label_without_region_keeps_the_whole_picture(tmp_path: Path, make: Any) -> None:
    (record,), _ = make.read(
        "aihub_objects", make.unpacked(tmp_path, {f"{FOLDER}/1.jpg": make.jpeg(), f"{FOLDER}/1.json": make.label({**label(), "regions": []})})
    )
    assert record.box is None and record.labels[-1] == "인천우체국" and record.description == ""


def test_orphans_broken_labels_and_broken_pictures(tmp_path: Path, make: Any) -> None:
    entries = {
        f"{FOLDER}/1.jpg": make.jpeg(0), f"{FOLDER}/2.json": make.label(label()), f"{FOLDER}/3.jpg": make.jpeg(1), f"{FOLDER}/3.json": b'{"image": ',
        f"{FOLDER}/4.jpg": make.jpeg(2)[:300], f"{FOLDER}/4.json": make.label(label()), f"{FOLDER}/5.jpg": make.jpeg(3), f"{FOLDER}/5.json": b'{"ann": 1}',
    }  # fmt: skip
    kept, dropped = make.read("aihub_objects", make.put(tmp_path / "64.zip", make.zipped(entries)).parent)
    reasons = {record.path.rsplit("/", 1)[-1]: record.reason for record in dropped}
    assert not kept and list(reasons) == ["1.jpg", "3.jpg", "4.jpg", "5.jpg", "2.json"]
    assert "the keys ann, where" in reasons["5.jpg"] and "JSON is damaged" in reasons["3.jpg"]


@settings(deadline=None)  # other work may share the cores
@given(st.recursive(st.none() | st.floats() | st.text(max_size=4), lambda below: st.lists(below, max_size=3) | st.dictionaries(
    st.sampled_from(["image", "regions", "imsize", "boxcorners", "class", "sem_ext", "value"]), below), max_leaves=10))  # fmt: skip
def test_any_json_gives_a_known_or_a_data_error(value: Any) -> None:
    try:
        assert isinstance(parse_label(json.loads(json.dumps(value)), ("랜드마크", "물", "a.jpg"), "a.json"), reading.Known)
    except DataError as error:
        assert "keys" in str(error) or "a list of" in str(error) or "a " in str(error)
