"""The API as it is served: the real application, engine and wire, on a port of this machine; only the weights are tiny and random."""

import contextlib
import importlib.util
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from kimchi.generation.arms import Arms
from kimchi.generation.engine import Engine
from kimchi.generation.generate import Kimchi
from kimchi.generation.worker import LocalWorker
from kimchi.serving.app import create_app
from kimchi.serving.server import Server, listen
from kimchi.serving.settings import Settings


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_TINY = _module("kimchi_tests_tiny", Path(__file__).parents[1] / "generation" / "conftest.py")


def tiny_model() -> Any:
    """As tests/generation draws with."""
    import torch

    from kimchi.models.load import Model

    torch.manual_seed(0)
    return Model(
        name="/secret/place/tiny", unet=_TINY.tiny_unet().eval(), vae=_TINY.tiny_vae().eval(), text=_TINY.tiny_text(), scheduler_config=_TINY.SCHEDULER,
        size_px=64, hashes=dict(_TINY.HASHES), miniature=True,
    )  # fmt: skip


@cache
def _painter(few_step: bool) -> Kimchi:
    # One for all: building and warming up take longer than drawing, and tests ask one server at a time.
    model = tiny_model()
    model.few_step = few_step
    return Kimchi(model, "cpu", lambda _: None)


def tiny_engine(*, few_step: bool = False, **more: Any) -> Engine:
    """An engine that has its model in hand; nothing to compare with."""
    return Engine(LocalWorker(lambda: Arms(_painter(few_step))), **more)


@dataclass
class Running:
    """A server, and how to speak to it."""

    engine: Engine
    settings: Settings
    app: Any
    port: int
    server: Server
    thread: threading.Thread | None = None
    errors: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, **more: Any) -> httpx.Client:
        """A plain client."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **more)

    def post(self, body: Any, path: str = "/v1/images/generations", **headers: str) -> httpx.Response:
        """One request."""
        with self.client() as client:
            return client.post(path, json=body, headers=headers)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """One more."""
        with self.client() as client:
            return client.get(path, headers=headers)

    def raw(self, content: bytes, seconds: float = 20) -> bytes:
        """Bytes over a socket, and all that comes back until the server hangs up."""
        with self.connect(seconds) as open_:
            open_.sendall(content)
            return read_all(open_)

    def connect(self, seconds: float = 20) -> socket.socket:
        """A socket."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def wait(self, state: str = "ready", seconds: float = 60) -> None:
        """Until the engine is in a state."""
        until = time.monotonic() + seconds
        while self.engine.state != state and time.monotonic() < until:
            time.sleep(0.01)
        assert self.engine.state == state

    def stop(self) -> None:
        """As SIGTERM does."""
        self.server.stop()
        if self.thread is not None:
            self.thread.join(40)
            assert not self.thread.is_alive()


def read_all(open_: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):
        while part := open_.recv(65536):
            parts.append(part)
    return b"".join(parts)


def answer_of(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a raw response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def run_server(engine: Engine | None = None, *, mount: Callable[[Any, Engine], None] | None = None, wait: bool = True, **settings: Any) -> Running:
    """Serve in a thread of this process."""
    chosen = Settings(**{"port": 0, "model_id": "tiny", **settings})
    engine = engine or tiny_engine()
    app = create_app(engine, chosen)
    if mount is not None:
        mount(app, engine)
    listening = listen("127.0.0.1", 0)
    running = Running(engine, chosen, app, listening.getsockname()[1], Server(app, engine, chosen))
    running.thread = threading.Thread(target=running.server.run, kwargs={"sockets": [listening]}, daemon=True)
    running.thread.start()
    # The port is bound but refuses until uvicorn listens, and on a busy machine that is later than the thread's start.
    until = time.monotonic() + 30
    while not running.server.started and running.thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    if wait:
        running.wait()
    return running


@pytest.fixture(scope="session")
def api() -> Iterator[Running]:
    """A server that all tests share: who finds it broken knows that an earlier one broke it."""
    running = run_server(tiny_engine(queue=4), arrive_s=3.0)
    yield running
    running.stop()


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Servers of one test."""
    started: list[Running] = []

    def start(engine: Engine | None = None, **more: Any) -> Running:
        started.append(run_server(engine, **more))
        return started[-1]

    yield start
    for one in started:
        if one.thread is not None and one.thread.is_alive():
            one.stop()
