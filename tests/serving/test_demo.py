"""The booth inside the API: one engine behind both, the API's own addresses untouched, and Gradio's client at /demo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import run_server, tiny_engine


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("gradio", reason="needs the booth: pip install 'kimchi-diffusion[demo]'")
    from kimchi.demo.app import mount
    from kimchi.demo.settings import Settings

    folder: Path = tmp_path_factory.mktemp("booth")
    running = run_server(tiny_engine(few_step=True), mount=lambda app, engine: mount(app, engine, Settings(folder=folder, compare=False), "/demo"))
    yield running
    running.stop()


def test_the_page(both: Any) -> None:
    page = both.get("/demo/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "unsafe-inline" in page.headers["content-security-policy"], "the booth's own policy, not the API's"
    assert page.headers["x-kimchi-model-hash"] == both.engine.identity["model_hash"]


def test_the_api_beside_it(both: Any) -> None:
    assert both.post({"prompt": "한국의 라면을 그려줘", "steps": 1}).status_code == 200
    assert both.get("/docs").headers["content-security-policy"].startswith("default-src 'none'")
    assert not [path for path in both.get("/openapi.json").json()["paths"] if "demo" in path]
    refused = both.get("/demonstration")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert 'route="/demo"' in both.get("/metrics").text


def test_gradio_s_client(both: Any) -> None:
    from gradio_client import Client

    before = both.engine.stats().done
    client = Client(f"{both.url}/demo/", verbose=False, download_files=False)
    try:
        told = client.predict("한국의 라면을 그려줘", seed="7", api_name="/generate")
    finally:
        client.close()
    assert (told["state"], told["seed"], set(told["pictures"])) == ("done", 7, {"kimchi"})
    assert both.engine.stats().done == before + 1
