"""The two AIHub commands of the README, run whole: true layouts in, a server that speaks as vLLM does, captions out."""

import http.server
import json
import re
import threading
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from kimchi.data.jsonl import read_records
from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.pipelines.run import prepare
from kimchi.recipes import load_recipe
from kimchi.records import CaptionedRecord, Draft, DroppedRecord

PLACE = "첨성대"


class Talks(http.server.BaseHTTPRequestHandler):
    """Describes pictures, names a look-alike at the first try, and does better when it is told why."""

    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    asked: list[Any]

    def do_POST(self) -> None:
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        self.asked.append(messages)
        content = json.dumps({"choices": [{"message": {"role": "assistant", "content": self._answer(messages)}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, messages: list[Any]) -> str:
        if "image_url" in json.dumps(messages):
            return "A round thing in daylight."
        first = next(m["content"] for m in messages if m["role"] == "user")
        noun = re.findall(r"이름: (.*)", first)[0]
        if len(messages) <= 2:
            return f"{noun}, 기모노를 닮은 모습"
        return f"{noun}, 낮에 본 둥근 모습"

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Generator[tuple[type[Talks], str]]:
    handler = type("Told", (Talks,), {"asked": []})
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield handler, f"http://127.0.0.1:{listening.server_address[1]}/v1"
    listening.shutdown()
    listening.server_close()
    thread.join()


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


@pytest.mark.parametrize("name", ["aihub_food", "aihub_landmarks"])
def test_a_delivery_is_captioned_by_an_endpoint(name: str, tmp_path: Path, server: tuple[type[Talks], str]) -> None:
    handler, address = server
    if name == "aihub_food":
        source = tmp_path / "kfood.zip"
        write_delivery(source, ["ramyeon", "gimbap"], 3, seed=0)
    else:
        source = _landmarks(tmp_path / "d")
    sets = (f"source={source}", f"out={tmp_path / 'run'}", f"captioner.endpoint={address}", f"refiner.endpoint={address}", "embedder=", "flag=[]")
    job = load_recipe(name, sets, kind="prepare")
    outcome = prepare(job)
    kept = list(read_records(outcome.folder / "captions.jsonl", CaptionedRecord))
    assert outcome.unanswered == 0 and len(kept) == (6 if name == "aihub_food" else 2), [
        r.reason for r in read_records(outcome.folder / "captions.dropped.jsonl", DroppedRecord)
    ]
    assert all(r.caption_noun in r.caption_ko and "기모노" not in r.caption_ko for r in kept)
    assert {d.text_en for d in read_records(outcome.folder / "drafts.jsonl", Draft)} == {"A round thing in daylight."}
    # One question for each draft, and two for each caption: the first named a look-alike, and the model was told so.
    assert len(handler.asked) == 3 * len(kept)
    assert prepare(job).asked == 0 and len(handler.asked) == 3 * len(kept), "nothing is asked twice"
    assert (outcome.folder / "review.html").is_file()
