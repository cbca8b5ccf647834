"""The two AIHub commands of the README, run whole: true layouts in, a server that speaks as vLLM does, captions out."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kimchi.data.jsonl import read_records
from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe, load_recipe
from kimchi.records import CaptionedRecord, Draft, DroppedRecord

PLACE = "첨성대"


def says(messages: list[Any]) -> str:
    """Describes pictures, names a look-alike at the first try, and does better when it is told why."""
    if "image_url" in json.dumps(messages):
        return "A round thing in daylight."
    noun = _noun(messages)
    return f"{noun}, 기모노를 닮은 모습" if len(messages) <= 2 else f"{noun}, 낮에 본 둥근 모습"


def _noun(messages: list[Any]) -> str:
    first = next(m["content"] for m in messages if m["role"] == "user")
    return re.findall(r"이름: (.*)", first)[0]


def _landmarks(folder: Path) -> Path:
    """Two photographs in the layout of 랜드마크 이미지: pictures and labels in zips of their own, a region level in the labels."""
    concept = next(c for c in CONCEPTS.values() if c.ko == PLACE)
    (folder / "Training").mkdir(parents=True)
    with (
        zipfile.ZipFile(folder / "Training" / "[원천]경상북도_001.zip", "w") as pictures,
        zipfile.ZipFile(folder / "Training" / "[라벨]경상북도.zip", "w") as labels,
    ):
        for i in range(2):
            name = f"{PLACE}_{i:03d}_4154486{i}"
            picture(concept, i).render(160).save(folder / "one.jpg")
            pictures.write(folder / "one.jpg", f"{PLACE}/{name}.jpg")
            category = {
                "id": 1,
                "name": PLACE,
                "supercategory": "문화유산",
                "metainfo": {"name_kr": PLACE, "Type2": "사적", "add": "경상북도 경주시 인왕동 839-1"},
            }
            image = {"file_name": f"{name}.jpg", "width": 160, "height": 160, "image_id": i}
            box = {"category_id": 1, "bbox": [5.5, 4.0, 155.0, 158.2], "image_id": i, "id": f"{i}_1"}
            label = {"images": [image], "annotations": [box], "categories": [category]}
            labels.writestr(f"경상북도/{PLACE}/{name}.json", json.dumps(label, ensure_ascii=False))
    (folder / "one.jpg").unlink()
    return folder


def _job(name: str, source: Path, out: Path, address: str) -> PrepareRecipe:
    """A shipped recipe with both models behind the endpoint. The miniature's tokens are counted, and pictures compared by hash: nothing is downloaded here."""
    here = (f"source={source}", f"out={out}", f"captioner.endpoint={address}", f"refiner.endpoint={address}")
    return load_recipe(name, (*here, "text_encoder=mini-korean-clip", "embedder=", "flag=[]"), kind="prepare")


def _dropped(folder: Path) -> list[DroppedRecord]:
    return list(read_records(folder / "captions.dropped.jsonl", DroppedRecord))


@pytest.mark.parametrize("name", ["aihub_food", "aihub_landmarks"])
def test_a_delivery_is_captioned_by_an_endpoint(name: str, delivery: Path, tmp_path: Path, server: Any) -> None:
    server.says = says
    source, count = (delivery, 12) if name == "aihub_food" else (_landmarks(tmp_path / "d"), 2)
    job = _job(name, source, tmp_path / "run", server.address)
    outcome = prepare(job)
    kept = list(read_records(outcome.folder / "captions.jsonl", CaptionedRecord))
    assert outcome.unanswered == 0 and len(kept) == count, [r.reason for r in _dropped(outcome.folder)]
    assert all(r.caption_noun in r.caption_ko and "기모노" not in r.caption_ko for r in kept)
    assert {d.text_en for d in read_records(outcome.folder / "drafts.jsonl", Draft)} == {"A round thing in daylight."}
    # One question for each draft, and two for each caption: the first named a look-alike, and the model was told so.
    assert len(server.asked) == 3 * count
    assert prepare(job).asked == 0 and len(server.asked) == 3 * count, "nothing is asked twice"
    assert (outcome.folder / "review.html").is_file()


def test_what_got_no_answer_says_so_and_is_asked_again(delivery: Path, tmp_path: Path, server: Any) -> None:
    # The prompt takes "설명:" off, and nothing is left.
    server.says = lambda messages: "설명:" if "image_url" not in json.dumps(messages) and _noun(messages) == "김밥" else says(messages)
    job = _job("aihub_food", delivery, tmp_path / "run", server.address)
    outcome = prepare(job)
    assert (outcome.kept, outcome.unanswered) == (6, 6)
    told = [record.reason for record in _dropped(outcome.folder) if record.reason.startswith("no answer")]
    assert told == ["no answer: the model wrote nothing. Run the same command again."] * 6
    server.says = says
    again = prepare(job)
    assert (again.kept, again.unanswered, again.asked) == (12, 0, 12)
