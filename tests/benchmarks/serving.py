"""The HTTP API under measure, on the miniature: what it adds to drawing, how it bears a crowd, how it stops, and whether it grows.

    python tests/benchmarks/serving.py [--part overhead|crowd|term|growth] [--clients 50] [--seconds 180]

The server is `kimchi serve` in a process of its own; clients share this one. Bars hold for two free cores: the load that was there is printed too.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ASK = {"prompt": "한국의 라면을 그려줘"}
FEW = {**ASK, "steps": 4}


class Serving:
    """`kimchi serve`, running."""

    def __init__(self, folder: Path, *more: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "kimchi", "serve", "--port", str(self.port), "--no-demo", *more]
        environ = {**os.environ, "KIMCHI_HOME": str(folder / "home"), "MALLOC_ARENA_MAX": "2"}
        self.log = (folder / "log.txt").open("w+")
        self.process = subprocess.Popen(command, cwd=folder, env=environ, stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        """Until it is warm."""
        import httpx

        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError(self.log.read())
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            time.sleep(0.2)

    def stop(self) -> int:
        """As an operator does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def rss_mb(self) -> float:
        """Resident memory, MB."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss / 1e6


def overhead(pairs: int = 40) -> dict[str, Any]:
    """The same request through HTTP and as a Python call, in turns, one process: what is between them is the API."""
    import threading

    import httpx

    from kimchi.generation.engine import Engine, Request
    from kimchi.serving.app import create_app
    from kimchi.serving.server import Server, listen
    from kimchi.serving.settings import Settings

    engine = Engine.load("mini")
    settings, listening = Settings(port=0, model_id="mini"), listen("127.0.0.1", 0)
    server = Server(create_app(engine, settings), engine, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while engine.state != "ready" or not server.started:
        time.sleep(0.1)
    through: list[tuple[float, float]] = []
    called: list[tuple[float, float]] = []

    def timed(work: Any, number: int) -> tuple[float, float]:
        began, busy = time.perf_counter(), time.process_time()
        work(number)
        return time.perf_counter() - began, time.process_time() - busy

    with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False, timeout=60) as client:
        for number in range(pairs + 2):
            through.append(timed(lambda seed: client.post("/v1/images/generations", json={**FEW, "seed": seed}).raise_for_status(), number))
            called.append(timed(lambda seed: engine.submit(Request(prompts=(ASK["prompt"],), steps=4, seed=seed)).result(), number))
    server.stop()
    thread.join()
    # The first two warm up. Differences of neighbours: what else runs here disturbs both alike.
    wall, busy = ([a[i] - b[i] for a, b in zip(through[2:], called[2:], strict=True)] for i in (0, 1))
    picture = statistics.median(a for a, _ in called[2:])
    return {"median_ms": 1000 * statistics.median(wall), "processor_ms": 1000 * statistics.median(busy), "picture_ms": 1000 * picture}


async def _crowd(server: Serving, clients: int, seconds: float) -> dict[str, Any]:
    import httpx

    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    waits: list[float] = []
    over = time.monotonic() + seconds

    async def person(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=180) as client:
            while time.monotonic() < over:
                response = await client.post("/v1/images/generations", json=FEW)
                statuses[response.status_code] += 1
                problem = _wrong(response)
                if problem:
                    wrong.append(problem)
                # A client that has read the answer does as it says, though not in step with all the others.
                await asyncio.sleep(min(float(response.headers.get("retry-after", 0)), 2) * (0.5 + number / clients))

    async def watcher() -> None:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as client:
            while time.monotonic() < over:
                began = time.perf_counter()
                statuses[(await client.get("/health")).status_code] += 0
                waits.append(time.perf_counter() - began)
                await asyncio.sleep(0.1)

    await asyncio.gather(watcher(), *(person(number) for number in range(clients)))
    waits.sort()
    return {
        "statuses": dict(statuses), "5xx": sum(n for status, n in statuses.items() if status >= 500), "wrong": wrong[:3], "wrong_count": len(wrong),
        "health_p50_ms": 1000 * waits[len(waits) // 2], "health_p95_ms": 1000 * waits[int(0.95 * len(waits))], "health_max_ms": 1000 * waits[-1],
    }  # fmt: skip


def _wrong(response: Any) -> str:
    """What an answer should not be: neither a picture nor a clean 429."""
    from PIL import Image

    if response.status_code == 200:
        with Image.open(io.BytesIO(base64.b64decode(response.json()["data"][0]["b64_json"]))) as image:
            return "" if image.size == (128, 128) else f"a picture of {image.size}"
    clean = response.status_code == 429 and response.json()["error"]["code"] == "queue_full" and int(response.headers["retry-after"]) > 0
    return "" if clean else f"{response.status_code} {response.text[:200]}"


def term(server: Serving) -> dict[str, Any]:
    """SIGTERM with a picture under the brush and others in the queue."""
    import threading

    import httpx

    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.post(f"{server.url}/v1/images/generations", json=ASK, trust_env=False, timeout=60).status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    status = server.process.wait(60)
    return {"accepted": len(threads), "delivered": answers.count(200), "exit": status, "seconds": time.monotonic() - began}


def growth(server: Serving, requests: int = 300) -> dict[str, Any]:
    """Memory over requests of every kind: finished, streamed, cancelled at all moments, refused."""
    import httpx

    at = {0: server.rss_mb()}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        for number in range(1, requests + 1):
            body: dict[str, Any] = {**FEW, "seed": number}
            match number % 6:
                case 0:
                    _leave(server.port, {**body, "steps": 25}, 0.02 * (number % 30))
                case 1:
                    client.post("/v1/images/generations", json={**body, "stream": True, "partial_images": 3}).raise_for_status()
                case 2:
                    assert client.post("/v1/images/generations", json={**body, "n": -1}).status_code == 400
                case 3:
                    _leave(server.port, {**body, "steps": 25, "stream": True, "partial_images": 3}, 0.02 * (number % 30))
                case _:
                    while client.post("/v1/images/generations", json=body).status_code == 429:
                        time.sleep(0.2)
            if number % 50 == 0:
                at[number] = server.rss_mb()
    return {"rss_mb": {number: round(mb, 1) for number, mb in at.items()}, "after_100_mb": at[requests] - at[100]}


def _leave(port: int, body: dict[str, Any], after_s: float) -> None:
    """Ask, and hang up."""
    content = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", port)) as open_:
        open_.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content))
        open_.sendall(content)
        time.sleep(after_s)


def row(what: str, bar: str, measured: str) -> None:
    """One line of the table."""
    print(f"{what:<70} {bar:<24} {measured}", flush=True)


def _rows(part: str, found: dict[str, Any]) -> None:
    match part:
        case "overhead":
            told = f"{found['median_ms']:.1f} ms (processor time {found['processor_ms']:.1f}, the client's own included; a picture {found['picture_ms']:.0f})"
            row("the API over the Python call, a picture", "< 15 ms", told)
        case "crowd":
            row("50 clients for 3 minutes: neither a picture nor a clean 429", "0", f"{found['wrong_count']} of {found['statuses']}")
            row("  /health p95 meanwhile / 5xx", "< 100 ms / 0", f"{found['health_p95_ms']:.0f} ms (p50 {found['health_p50_ms']:.0f}) / {found['5xx']}")
        case "term":
            told = f"{found['delivered']} of {found['accepted']}, exit {found['exit']}, {found['seconds']:.1f} s"
            row("SIGTERM with work in flight: delivered / exit / time", "all / 0 / 30 s", told)
        case _:
            row("300 requests, cancelled ones among them: growth after the 100th", "< 10 MB", f"{found['after_100_mb']:+.1f} MB {found['rss_mb']}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("overhead", "crowd", "growth", "term"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=180)
    given = parser.parse_args()
    row("what", "bar", "measured")
    for part in (given.part,) if given.part else ("overhead", "crowd", "growth", "term"):
        load = os.getloadavg()[0]
        if part == "overhead":
            _rows(part, overhead())
        else:
            with tempfile.TemporaryDirectory() as scratch:
                server = Serving(Path(scratch))
                server.wait()
                try:
                    found = {"crowd": lambda s: asyncio.run(_crowd(s, given.clients, given.seconds)), "growth": growth, "term": term}[part](server)
                    if part == "crowd" and found["wrong"]:
                        print(found["wrong"])
                    _rows(part, found)
                finally:
                    server.stop()
        print(f"  load before {load:.1f}, after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
