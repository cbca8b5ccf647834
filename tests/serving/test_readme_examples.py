"""The README's client examples, run as they stand against a server of the miniature, only on another port."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kimchi.generation.engine import BASE, KIMCHI, TRANSLATED, Engine

from .conftest import run_server

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PLACE = "http://127.0.0.1:8000"


def _section() -> str:
    return next((part for part in re.split(r"^## ", README, flags=re.MULTILINE) if part.startswith("Serve\n")), "")


PYTHON = re.findall(r"```python\n(.*?)```", _section(), re.DOTALL)
CURL = re.findall(r"^curl .*$", _section(), re.MULTILINE)


@pytest.fixture(scope="module")
def mini() -> Iterator[Any]:
    running = run_server(Engine.load("mini", arms=(KIMCHI, BASE, TRANSLATED)), wait=False, model_id="mini")
    running.wait(seconds=300)
    yield running
    running.stop()


def test_there_are_examples() -> None:
    assert not _section() or (PYTHON and CURL)


def test_python(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for code in PYTHON:
        mini = request.getfixturevalue("mini")
        done = subprocess.run([sys.executable, "-c", code.replace(PLACE, mini.url)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_curl(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for line in CURL:
        mini = request.getfixturevalue("mini")
        command = line.replace(PLACE, mini.url).replace("curl ", "curl -sS --fail --noproxy '*' ", 1)
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and '"data":[{' in done.stdout, done.stderr + done.stdout[:300]
