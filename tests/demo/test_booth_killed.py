"""A booth that is killed under its supervisor, and one that is told to end: the page finds the new server, and nothing promised is lost."""

import contextlib
import importlib.util
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def _bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("booth_bench", Path(__file__).parents[1] / "benchmarks" / "booth.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["booth_bench"] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()


def test_kill_9_under_a_supervisor_and_the_page_goes_on_by_itself(browser: "Browser", tmp_path: Path) -> None:
    server = bench.Server(tmp_path / "booth", "--model", "mini", "--no-compare", supervised=True)
    try:
        server.ready()
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(server.url)
        page.locator("#chips .chip").first.wait_for()
        page.locator("#language").click()
        page.locator("#prompt").fill("파란 한복")
        page.locator("#draw").click()
        page.locator("#picture.forming").wait_for()
        before = server.ask("/booth/state")["boot"]
        server.python().kill()
        bench.until(lambda: server.ask("/booth/state")["boot"] != before, 300)
        # Nobody touches the page: it comes back in the visitor's language, and draws what was lost.
        page.locator("#after:not([hidden])").wait_for()
        assert page.locator("#words").inner_text() == "파란 한복" and page.locator("#draw").text_content() == "Draw"
        # Gradio makes a folder at its start; what the killed booth had written is gone.
        assert [path.name for path in (tmp_path / "booth" / "tmp").rglob("*") if path.is_file()] == []
        page.close()
    finally:
        server.stop()


def test_told_to_end_it_finishes_what_was_promised(browser: "Browser", tmp_path: Path) -> None:
    server = bench.Server(tmp_path / "booth", "--model", "mini", "--no-compare")
    try:
        server.ready()
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(server.url)
        page.locator("#chips .chip").first.wait_for()
        page.locator("#prompt").fill("파란 한복")
        page.locator("#draw").click()
        page.locator("#picture.forming").wait_for()
        server.process.send_signal(signal.SIGTERM)
        page.locator("#after:not([hidden])").wait_for()
        assert server.process.wait(60) == 0
        page.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.stop()
