"""Uploading an export: what is refused, and what a hub of our own on this machine gets to see."""

import base64
import json
import shutil
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from kimchi.cli import main
from kimchi.data.files import write_json
from kimchi.errors import OutputError
from kimchi.models.export import export
from kimchi.models.places import weights_folder

TOKEN = "hf_aSecretThatMustNotBeSeen"


@pytest.fixture
def unknown_data(tmp_path: Path) -> Path:
    """mini-ko, had nobody written down what it was trained with."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("adapter.safetensors", "card.json"):
        (folder / name).write_bytes((weights_folder() / "mini-ko" / name).read_bytes())
    return folder


class TestRefusals:
    def test_no_token(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        with pytest.raises(OutputError, match="HF_TOKEN"):
            export("mini", "kohya", out=tmp_path / "out", push="me/mini")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["mini", "a/b/c", "me/mini;rm", "https://huggingface.co/me/mini"])
    def test_no_name(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        with pytest.raises(OutputError, match="OWNER/NAME"):
            export("mini", "kohya", out=tmp_path / "out", push=name)

    def test_data_without_a_credit(self, unknown_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        with pytest.raises(OutputError, match=r"`credit` in card\.json"):
            export(str(unknown_data), "kohya", out=tmp_path / "out", push="me/mini")
        assert not (tmp_path / "out").exists()


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as an upload of small files speaks."""

    seen: list[tuple[str, str, bytes]]
    refuse = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, self.headers.get("Authorization", ""), body))
        if self.refuse:
            return self._answer(401, {"error": f"Invalid token {self.headers.get('Authorization')}"})
        here = f"http://{self.headers['Host']}/me/mini"
        if self.path.endswith("/repos/create"):
            return self._answer(200, {"url": here, "name": "me/mini", "id": "0"})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self._answer(200, {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        return self._answer(200, {"commitUrl": f"{here}/commit/{'0' * 40}", "commitOid": "0" * 40, "success": True, "hookOutput": ""})

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", ""), b""))
        self._answer(200, {"sha": "0" * 40, "id": "me/mini", "siblings": []})

    def _answer(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Generator[tuple[str, type[_Hub]]]:
    handler = type("Hub", (_Hub,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(hub: tuple[str, type[_Hub]], monkeypatch: pytest.MonkeyPatch) -> type[_Hub]:
    """As if this process had been started with that hub's address."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name, value in (("HF_ENDPOINT", hub[0]), ("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_PROGRESS_BARS", "1")):
        monkeypatch.setenv(name, value)
    return hub[1]


def push(folder: Path, run: str = "mini") -> int:
    return main(["export", run, "--format", "diffusers", "--out", str(folder), "--push", "me/mini", "--json"])


class TestUpload:
    def test_the_folder_arrives_and_the_token_is_shown_to_nobody(self, online: type[_Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert push(tmp_path / "out") == 0
        out, err = capsys.readouterr()
        assert json.loads(out.splitlines()[-1])["pushed"].endswith("/me/mini")
        assert "no pictures, no captions" in err and "outside Korea" in err
        created = next(json.loads(body) for path, _, body in online.seen if path.endswith("/repos/create"))
        assert created["name"] == "mini" and (created.get("private") or created.get("visibility") == "private")
        commit = next(body for path, _, body in online.seen if "/commit/" in path).decode().splitlines()
        files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in map(json.loads, commit) if line["key"] == "file"}
        assert files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert any(authorization == f"Bearer {TOKEN}" for _, authorization, _ in online.seen)
        assert TOKEN not in out + err + "".join(content.decode("utf-8", "replace") for content in files.values())

    def test_a_hub_that_turns_it_away_is_one_paragraph_without_the_token(self, online: type[_Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        online.refuse = True
        assert push(tmp_path / "out") == 1
        out, err = capsys.readouterr()
        assert "the upload failed" in err and TOKEN not in out + err
        assert (tmp_path / "out" / "card.json").is_file()

    def test_nobody_there(self, online: type[_Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        assert push(tmp_path / "out") == 1
        assert "the upload failed" in capsys.readouterr().err

    def test_what_is_uploaded_names_no_folder_of_this_machine(self, online: type[_Hub], tmp_path: Path) -> None:
        run = tmp_path / "run"
        shutil.copytree(weights_folder() / "mini-ko", run)
        card = json.loads((run / "card.json").read_text(encoding="utf-8"))
        write_json(run / "card.json", card | {"text_encoder": str(weights_folder() / "mini-aligned-clip"), "base": str(tmp_path / "base")})
        assert push(tmp_path / "out", str(run)) == 0
        for path in (tmp_path / "out").iterdir():
            assert str(tmp_path).encode() not in path.read_bytes() and str(weights_folder()).encode() not in path.read_bytes()
