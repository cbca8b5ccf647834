"""A booth that really runs: a random, very small model on the real engine, Gradio, uvicorn on a thread, and Chromium."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PIN = "4821-한복"
SIZES = {"phone": (360, 800), "laptop": (1366, 768), "kiosk": (1920, 1080)}


class Booth:
    """One running booth."""

    def __init__(self, engine: Any, guard: Any, folder: Path, port: int = 0, **settings: Any) -> None:
        import uvicorn
        from fastapi import FastAPI

        from kimchi.demo.app import listen, mount
        from kimchi.demo.settings import Settings

        listening = listen("127.0.0.1", port)
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder, self.engine, self.guard = folder, engine, guard
        app = FastAPI()
        settings = {"pin": PIN, "lan_url": self.url, "idle_s": 0, **settings}
        self.desk = mount(app, engine, Settings(folder=folder, **settings), "/", guard)
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started, 60)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)


def until(true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from kimchi.generation.safety import Guard

    return Guard.load(own=tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def engine(base_folder: Path, guard: Any) -> Iterator[Any]:
    """The real engine over random weights: everything but the pictures is as on a stand."""
    pytest.importorskip("gradio", reason="needs the extra `demo`: pip install -e '.[demo]'")
    from kimchi.generation.engine import Engine

    made = Engine.load(str(base_folder), device="cpu", base=str(base_folder), translator="mini", guard=guard, queue=8, timeout_s=300)
    made.start()
    made.wait_ready(300)
    yield made
    made.close()


@pytest.fixture(scope="session")
def booth(engine: Any, guard: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booth]:
    """KIMCHI's own picture alone: most tests need no more, and it takes a third of the time."""
    running = Booth(engine, guard, tmp_path_factory.mktemp("booth"), compare=False)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def comparing(engine: Any, guard: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booth]:
    """All three pictures."""
    running = Booth(engine, guard, tmp_path_factory.mktemp("comparing"))
    yield running
    running.stop()


@pytest.fixture
def visit(browser: "Browser", booth: Booth) -> "Iterator[Callable[..., Page]]":
    """A visitor's page; at the end, any error in it, any address but this machine's, and any breach of its policy has failed the test."""
    faults, contexts = list[str](), list[Any]()

    def opened(size: str = "laptop", url: str = "", locale: str = "ko-KR", **more: Any) -> "Page":
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, **more)
        contexts.append(context)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
        context.on("request", lambda request: None if request.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else faults.append(request.url))
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.goto(url or f"{booth.url}/")
        page.locator("#chips .chip").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def hogged(engine: Any) -> Iterator[Callable[[int], list[Any]]]:
    """Keep the engine busy with long work, and so many more in the queue."""
    from kimchi.generation.engine import Request

    held: list[Any] = []

    def hog(waiting: int) -> list[Any]:
        held.append(engine.submit(Request(prompts=("한복",), steps=1000, timeout_s=600)))
        until(lambda: engine.stats().drawing and not engine.stats().waiting)
        held.extend(engine.submit(Request(prompts=("한복",), steps=1000, timeout_s=600)) for _ in range(waiting))
        return held

    yield hog
    for ticket in held:
        ticket.cancel()
    until(lambda: not engine.stats().drawing and not engine.stats().waiting)
