"""`kimchi serve` as a process of its own: signals, a full port, and what it leaves."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ASK = {"prompt": "눈 오는 밤의 한옥", "steps": 25}
SECRET = "kimchi-0123456789abcdefghij"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """The command, running."""

    def __init__(self, model: str, folder: Path, *more: str, **environ: str) -> None:
        self.port, self.log = free_port(), folder / "log.txt"
        command = [sys.executable, "-m", "kimchi", "serve", "--model", model, "--port", str(self.port), "--no-demo", *more]
        told = {**os.environ, "OMP_NUM_THREADS": "1", "KIMCHI_HOME": str(folder / "home"), **environ}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def wait(self, status: int = 200) -> None:
        """Until health says so."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/health").status_code == status:
                    return
            time.sleep(0.3)
        raise AssertionError(self.log.read_text())

    def end(self) -> None:
        """By force, if it still runs."""
        self.client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Any]:
    started: list[Serving] = []

    def start(model: Any, *more: str, **environ: str) -> Serving:
        started.append(Serving(str(model), tmp_path, *more, **environ))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_sigterm_with_work_in_flight(serving: Any, base_folder: Path) -> None:
    one = serving(base_folder, "-v", KIMCHI_API_KEYS=SECRET)
    one.wait()
    one.client.headers["Authorization"] = f"Bearer {SECRET}"
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(one.client.post("/v1/images/generations", json=ASK))) for _ in range(4)]
    with socket.create_connection(("127.0.0.1", one.port)) as idle, socket.create_connection(("127.0.0.1", one.port)) as slow:
        slow.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\n")
        for thread in threads:
            thread.start()
        while "kimchi_drawing 1.0" not in one.client.get("/metrics").text:
            time.sleep(0.01)
        time.sleep(0.3)
        began = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(40)
        assert one.process.wait(30) == 0, one.log.read_text()
        assert time.monotonic() - began < 30
        assert idle.fileno() > 0
    assert [answer.status_code for answer in answers] == [200] * 4
    log = one.log.read_text()
    assert log.count("POST /v1/images/generations 200") == 4
    assert SECRET not in log and "한옥" not in log and "Traceback" not in log


def test_sigterm_while_loading(serving: Any, base_folder: Path) -> None:
    one = serving(base_folder)
    one.wait(503)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) == 0, one.log.read_text()


@pytest.mark.slow
def test_interrupted_twice_is_at_once(serving: Any, base_folder: Path) -> None:
    one = serving(base_folder)
    one.wait()

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            one.client.post("/v1/images/generations", json={**ASK, "steps": 100, "n": 10})

    threading.Thread(target=ask, daemon=True).start()
    time.sleep(0.5)
    one.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(15) == 0, one.log.read_text()


@pytest.mark.slow
def test_killed_it_comes_back_on_the_same_port(serving: Any, base_folder: Path, tmp_path: Path) -> None:
    one = serving(base_folder)
    one.wait()
    one.process.kill()
    one.process.wait()
    again = serving(base_folder, "--port", str(one.port))
    again.port, again.client = one.port, httpx.Client(base_url=f"http://127.0.0.1:{one.port}", timeout=60, trust_env=False)
    again.wait()
    assert again.client.post("/v1/images/generations", json={**ASK, "steps": 1}).status_code == 200


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux: the limit is set on a process that runs")
def test_a_full_disk_stops_no_picture(serving: Any, base_folder: Path) -> None:
    """Nothing is written, so that nothing can fail to be: from here on no file may grow by a byte."""
    one = serving(base_folder)
    one.wait()
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (0, 0))
    answer = one.client.post("/v1/images/generations", json={**ASK, "steps": 2, "response_format": "url"}).json()
    assert one.client.get("/v1/images/files/" + answer["data"][0]["url"].rpartition("/")[2]).headers["content-type"] == "image/png"


def test_a_port_that_is_taken(base_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "kimchi", "serve", "--model", str(base_folder), "--port", str(port)], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 1 and done.stderr.startswith(f"ServeError: 127.0.0.1:{port}: cannot be listened on"), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kimchi", "serve", "--model", "nowhere", "--port", "0", "--no-demo"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "ModelError: nowhere: no such model" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_two_replicas_draw_the_same(serving: Any, base_folder: Path) -> None:
    """Stateless behind any balancer: the same hash, the same bytes."""
    both = [serving(base_folder), serving(base_folder)]
    answers = []
    for one in both:
        one.wait()
        answers.append(one.client.post("/v1/images/generations", json={**ASK, "steps": 2, "seed": 7}))
    first, second = (answer.json() for answer in answers)
    assert answers[0].headers["x-kimchi-model-hash"] == answers[1].headers["x-kimchi-model-hash"] == first["kimchi"]["model_hash"]
    assert first["data"] == second["data"]
    assert json.dumps(first["kimchi"] | {"seconds": 0}) == json.dumps(second["kimchi"] | {"seconds": 0})
