"""BOK-VQA: the authors' table as published (first header empty, English names, line breaks in questions), beside its pictures."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data.readers.bok_vqa import parse_csv, parse_label
from kimchi.errors import DataError

KO = """,img_name,question,h,r,t,answer,fold
5,111500420220706183019.jpg,이미지 속 대한민국의 중요무형문화재를 뭐라고 불러?,Tightrope walking,subject,Intangible Cultural Heritage (South Korea),ropewalk,1.0
881,211301320221025154450.jpg,"이미지 내 백제의 절은
어느 도시의 문화재일까?",Mireuksa_(Baekje),subject,Iksan City_Cultural Property,Iksan,1.0
9,999999920221025154450.jpg,무엇일까?,Onggi,IsA,pottery,pottery,2.0
"""
EN = ",img_name,question,h,r,t,answer\n0,111500420220706183019.jpg,What is it called?,Tightrope walking,subject,Heritage,ropewalk\n"


def test_the_published_layout(tmp_path: Path, make: Any) -> None:
    entries = {
        "data/BOKVQA_data_en.csv": EN.encode(), "data/BOKVQA_data_ko.csv": KO.encode("utf-8-sig"), "data/all_triple.csv": b"h,r,t\na,b,c\n",
        "image/111500420220706183019.jpg": make.jpeg(0), "image/211301320221025154450.JPG": make.jpeg(1), "image/100000020221025154450.jpg": make.jpeg(2),
    }  # fmt: skip
    (rope, temple), dropped = make.read("bok_vqa", make.unpacked(tmp_path, entries))
    assert rope.labels == ("Tightrope walking",) and temple.labels == ("Mireuksa (Baekje)",) and rope.source == "aihub-71357"
    assert rope.description.splitlines() == [
        "Tightrope walking - subject - Intangible Cultural Heritage (South Korea)", "이미지 속 대한민국의 중요무형문화재를 뭐라고 불러?", "ropewalk"
    ]  # fmt: skip
    assert "백제의 절은\n어느 도시" in temple.description
    assert len(dropped) == 3 and "no row" in dropped[0].reason and "999999920221025154450.jpg" in dropped[1].reason and "columns h, r, t" in dropped[2].reason


def test_json_of_the_sibling_set_is_read_and_any_other_lists_its_keys(tmp_path: Path, make: Any) -> None:
    sibling = {
        "images": [{"image_id": "7", "image": "1115.jpg", "category": "문화"}],
        "question": [{"image_id": 7, "question_id": 1, "question": "이것은?", "answer": "줄타기", "answer_type": "x"}],
    }
    entries = {"[라벨]a.json": make.label(sibling, bom=True), "b.json": make.label({"dataset": {}, "shapes": []}), "문화/1115.jpg": make.jpeg()}
    (record,), (dropped,) = make.read("bok_vqa", make.unpacked(tmp_path, entries))
    assert record.description == "이것은?\n줄타기" and "the keys dataset, shapes, where" in dropped.reason


@settings(deadline=None)  # other work may share the cores
@given(st.binary(max_size=80))
def test_any_table_is_rows_or_a_data_error(content: bytes) -> None:
    try:
        assert isinstance(parse_csv(content, "a.csv"), list)
    except DataError as error:
        assert "a.csv" in str(error)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [{}], {"images": 1}, {"question": [{"image_id": 1}]}, [{"image": "a.jpg", "question": "q"}, 3]])
def test_any_json_is_rows_or_a_data_error(value: Any) -> None:
    try:
        assert [row.image for row in parse_label(value, "a.json")] == ["a.jpg"]
    except DataError as error:
        assert "does not know" in str(error)
