"""The booth on the miniature, measured in real Chromium over a real server process: start, first preview, a crowd, a day's soak, and being killed.

python tests/benchmarks/booth.py [--part start|preview|crowd|killed|soak] [--requests 300] [--compare] [--few-step LORA] [--model mini]

It is bounded: one page after the other but for the crowd, which is 24. Every row says what load the machine had beside it.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

PROMPTS = ("노을 진 바닷가의 거북선", "비빔밥 한 그릇 그려 줘", "파란 한복", "밤의 광화문", "하얀 달항아리", "산속의 한옥")
FIRST_PAINT = """() => new Promise((tell) => {
  const picture = document.getElementById("picture"), from = performance.now();
  const seen = new MutationObserver(() => picture.hidden || picture.decode().then(() => requestAnimationFrame(() => tell(performance.now() - from)), () => 0));
  seen.observe(picture, { attributes: true });
  document.getElementById("draw").click();
})"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`kimchi demo` as an operator starts it."""

    def __init__(self, folder: Path, *more: str, supervised: bool = False) -> None:
        self.folder, self.port = folder, free_port()
        command = [sys.executable, "-m", "kimchi", "demo", "--port", str(self.port), "--out", str(folder), *more]
        if supervised:
            command = ["bash", "-c", 'until "$@"; do sleep 1; done', "booth", *command]
        self.began_s = time.monotonic()
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2", "KIMCHI_BOOTH_PIN": "4821-한복"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    @property
    def url(self) -> str:
        """Of the visitors' page."""
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, path: str, body: Any = None) -> Any:
        """One JSON question."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def ready(self, within_s: float = 600) -> float:
        """Wait for the engine; seconds since the process was started."""
        until(lambda: self.ask("/booth/state")["engine"] == "ready", within_s)
        return time.monotonic() - self.began_s

    def python(self) -> psutil.Process:
        """The process that serves, under a supervisor or not."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return next(one for one in family if "kimchi" in one.cmdline() and "python" in one.name())

    def stop(self) -> None:
        """As an operator does; and whatever is left of it, by force."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def until(true: Callable[[], Any], within_s: float) -> None:
    """Wait until something holds; what cannot be asked does not hold yet."""
    end = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if true():
                return
        if time.monotonic() > end:
            raise TimeoutError("it never came")
        time.sleep(0.05)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The machine's own browser."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found)
        yield browser
        browser.close()


def row(what: str, bar: str, measured: str) -> None:
    """One line of the table, with the load of the machine over the last minute."""
    print(f"{what:<44} bar {bar:<28} measured {measured}   (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)


def start(folder: Path, more: list[str]) -> None:
    """Seconds from the command to a page that can be used, and to a warm engine."""
    with chromium() as browser:
        server = Server(folder, *more)
        try:
            page = browser.new_page()
            until(lambda: server.ask("/booth/state"), 120)
            page.goto(server.url)
            page.locator("#booth").wait_for(timeout=120_000)
            usable_s = time.monotonic() - server.began_s
            row("start: page usable / engine healthy", "< 10 s / < 15 s", f"{usable_s:.1f} s / {server.ready():.1f} s")
        finally:
            server.stop()


def preview(folder: Path, more: list[str]) -> None:
    """Milliseconds from the tap on the button to the first preview on the screen."""
    with served(folder, more) as (server, page):
        took: list[float] = []
        for number in range(12):
            page.locator("#prompt").fill(PROMPTS[number % len(PROMPTS)])
            took.append(page.evaluate(FIRST_PAINT))
            page.locator("#after:not([hidden])").wait_for(timeout=600_000)
            page.locator("#new").click()
        row("first preview on screen after the button", "< 500 ms", f"median {statistics.median(took):.0f} ms, worst of {len(took)} {max(took):.0f} ms")
        row("a picture, by the engine's own count", "", f"{server.ask('/booth/state')['seconds']:.2f} s")


def soak(folder: Path, more: list[str], requests: int) -> None:
    """Memory and files over many pictures through one page."""
    with served(folder, more) as (server, page):
        memory, files = list[float](), list[int]()
        processes = [server.python(), *server.python().children(recursive=True)]
        for number in range(requests):
            page.locator("#prompt").fill(PROMPTS[number % len(PROMPTS)])
            page.locator("#draw").click()
            page.locator("#after:not([hidden])").wait_for(timeout=600_000)
            page.locator("#new").click()
            # The page's process, and the one that draws.
            memory.append(sum(process.memory_info().rss for process in processes) / 1e6)
            files.append(sum(1 for _ in folder.rglob("*")))
            if number % 50 == 49:
                print(f"  {number + 1}: {memory[-1]:.0f} MB, {files[-1]} files", flush=True)
        half = min(100, requests // 3)
        # Means of ten: one picture's own buffers come and go.
        before, after = statistics.mean(memory[half - 10 : half]), statistics.mean(memory[-10:])
        row(f"soak, {requests} pictures: memory after picture {half}", "< +10 MB", f"{after - before:+.1f} MB ({before:.0f} to {after:.0f})")
        row("soak: files in the booth's folder", "flat", f"{files[half - 1]} to {files[-1]}")


def crowd(folder: Path, more: list[str], visitors: int = 24) -> None:
    """Everyone presses the button at once."""
    with served(folder, more) as (server, _):
        slow: list[float] = []

        def visitor(number: int) -> tuple[str, float]:
            began_s = time.monotonic()
            event = server.ask("/gradio_api/call/generate", {"data": [PROMPTS[number % len(PROMPTS)], "", "", f"visitor {number}", "ko"]})
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=900)
            connection.request("GET", f"/gradio_api/call/generate/{event['event_id']}")
            told = [line for line in connection.getresponse().read().decode().splitlines() if line.startswith("data: [")]
            connection.close()
            last = json.loads(told[-1].removeprefix("data: "))[0]
            return last.get("why", last["state"]), time.monotonic() - began_s

        with ThreadPoolExecutor(visitors + 1) as hall:
            going = [hall.submit(visitor, number) for number in range(visitors)]
            while not all(one.done() for one in going):
                began_s = time.monotonic()
                server.ask("/booth/state")
                slow.append(time.monotonic() - began_s)
                time.sleep(0.2)
        kinds = [one.result()[0] for one in going]
        told = f"{kinds.count('done')} pictures, {kinds.count('busy')} told to come back, {len(kinds) - kinds.count('done') - kinds.count('busy')} other"
        row(f"{visitors} visitors at once", "a picture or a friendly word", f"{told}; the last after {max(one.result()[1] for one in going):.0f} s")
        row("... how long the page waits for an answer then", "no stall", f"median {statistics.median(slow) * 1000:.0f} ms, worst {max(slow) * 1000:.0f} ms")


def killed(folder: Path, more: list[str]) -> None:
    """kill -9 under the supervisor of eval/booth.md while a picture is drawn."""
    with served(folder, more, supervised=True) as (server, page):
        page.locator("#prompt").fill(PROMPTS[0])
        page.locator("#draw").click()
        page.locator("#picture.forming").wait_for(timeout=600_000)
        before = server.ask("/booth/state")["boot"]
        server.python().kill()
        began_s = time.monotonic()
        until(lambda: (told := server.ask("/booth/state"))["boot"] != before and told["engine"] == "ready", 600)
        healthy_s = time.monotonic() - began_s
        page.locator("#after:not([hidden])").wait_for(timeout=600_000)
        shown_s = time.monotonic() - began_s
        row("kill -9 under a supervisor: healthy again", "< 20 s", f"{healthy_s:.1f} s; the page drew the lost picture by itself after {shown_s:.1f} s")


@contextlib.contextmanager
def served(folder: Path, more: list[str], supervised: bool = False) -> Iterator[tuple[Server, Any]]:
    """A warm booth, and a page on it."""
    with chromium() as browser:
        server = Server(folder, *more, supervised=supervised)
        try:
            server.ready()
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(server.url)
            page.locator("#chips .chip").first.wait_for(timeout=120_000)
            yield server, page
        finally:
            server.stop()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[..., None]] = {"start": start, "preview": preview, "crowd": crowd, "killed": killed, "soak": soak}
    parser.add_argument("--part", choices=[*parts], action="append")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--compare", action="store_true", help="soak and crowd with all three pictures; without it, KIMCHI's own alone")
    parser.add_argument("--few-step", default="", help="soak and crowd with such a LoRA: 4 steps a picture, where a CPU takes an hour for 300 pictures")
    chosen = parser.parse_args()
    for name in chosen.part or parts:
        with tempfile.TemporaryDirectory() as place:
            more = ["--model", chosen.model, *(["--no-compare"] if name in ("soak", "crowd") and not chosen.compare else [])]
            if chosen.few_step and name in ("soak", "crowd"):
                more += ["--few-step", chosen.few_step]
            extra = {"requests": chosen.requests} if name == "soak" else {}
            parts[name](Path(place) / "booth", more, **extra)


if __name__ == "__main__":
    main()
