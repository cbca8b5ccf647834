"""Many raters at once on a real server process: how long a tap takes, and that none is lost or doubled, also when the server is killed.

python tests/benchmarks/study_load.py [--raters 200] [--seconds 40] [--every 2] [--kills 0] [--folder DIR]

It is bounded: raters tap at a fixed pace, nobody faster. The clients are a few lines on asyncio's streams, so that what is measured
is the server and not the client; they speak to it as the page does: consent, screens, pictures, taps under names of their own.
"""

import argparse
import asyncio
import contextlib
import json
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT = "# {}\n## 목적\n연구입니다.\n"


def make_study(folder: Path, *, raters: int, prompts: int = 6, conditions: tuple[str, ...] = ("aurora", "basalt", "cobalt"), size_px: int = 128) -> Path:
    """A locked study of the sample world's pictures, three questions each, with repeats, gold and a trap."""
    from kimchi.data.sample_world import worlds
    from kimchi.data.sample_world.pictures import picture
    from kimchi.eval.study.lock import lock
    from kimchi.eval.study.new import new
    from kimchi.eval.study.schema import Instrument

    texts, concepts = folder / "texts", worlds("korean")[:prompts]
    texts.mkdir(parents=True)
    for kind in ("consent", "privacy"):
        for language in ("ko", "en"):
            (texts / f"{kind}.{language}.md").write_text(TEXT.format(kind), encoding="utf-8")
    for number, condition in enumerate(conditions):
        for prompt, concept in enumerate(concepts):
            path = folder / "arms" / condition / f"p{prompt}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Each condition is drawn coarser than the one before, so that its files are shorter: what padding must hide.
            picture(concept, number).render(size_px).quantize(256 >> 2 * number).convert("RGB").save(path)
    instrument = Instrument.model_validate(_instrument(raters, prompts, conditions[0], str(texts), size_px))
    new(instrument, folder / "arms", folder / "study")
    lock(folder / "study", now=1_800_000_000_000)
    return folder / "study"


def _instrument(raters: int, prompts: int, focus: str, texts: str, size_px: int) -> dict[str, Any]:
    labels = {"ko": ["매우 그렇지 않다", "그렇지 않다", "보통이다", "그렇다", "매우 그렇다"], "en": ["1", "2", "3", "4", "5"]}
    said = {"alignment": "그림이 문장의 내용과 일치한다", "reality": "실제 사진처럼 자연스럽게 보인다", "suitability": "한국의 문화를 알맞게 나타냈다"}
    return {
        "kind": "study", "name": "load", "title": {"ko": "한국을 그린 그림들", "en": "Pictures of Korea"}, "size_px": size_px,
        "scales": {"agreement": {"labels": labels, "unable": {"ko": "판단 불가", "en": "Cannot judge"}}},
        "criteria": [{"id": one, "name": {"ko": one, "en": one}, "text": {"ko": text, "en": one}} for one, text in said.items()],
        "domains": {"culture": {"name": {"ko": "문화", "en": "Culture"}, "criteria": list(said), "per_rater": prompts}},
        "prompts": [{"id": f"p{n}", "domain": "culture", "noun": f"문장 {n}", "rich": f"한국의 문장 {n}", "en": f"Sentence {n}"} for n in range(prompts)],
        "assignment": {"raters": raters, "spare": 0.1, "repeats": 1, "gold": 1, "traps": 1, "gap": 3},
        "analysis": {"focus": focus, "photograph": None}, "consent": {"texts": texts},
    }  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process of its own, started as an operator starts it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, kiosk: bool = False) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "kimchi", "study", "serve", str(self.folder), "--port", str(self.port), *(["--kiosk"] if kiosk else [])]
        self.process = subprocess.Popen(command)
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}")
            time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def kill(self) -> None:
        """As a power cut would, so far as a process can."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def cpu_seconds(self) -> float:
        """What it has computed since it was last started."""
        import psutil

        assert self.process is not None
        times = psutil.Process(self.process.pid).cpu_times()
        return round(times.user + times.system, 1)

    def stop(self) -> None:
        """End it as an operator does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Client:
    """A browser without a screen: one connection kept alive, and cookies."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """GET."""
        return await self.ask("GET", path, headers=headers)

    async def form(self, path: str, **fields: str) -> Answer:
        """POST a form."""
        from urllib.parse import urlencode

        return await self.ask("POST", path, urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    async def post(self, path: str, value: Any) -> Answer:
        """POST JSON."""
        return await self.ask("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    async def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """One request; raises OSError or EOFError when the server is gone."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        lines = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), **(headers or {})}
        if self.cookies:
            lines["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
            writer.write("\r\n".join(head).encode() + body)
            return self._keep(await asyncio.wait_for(_read(reader, method), 30))
        except BaseException:
            self.close()
            raise

    def _keep(self, answer: Answer) -> Answer:
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, content = value.split(";")[0].partition("=")
                self.cookies[key] = content.strip('"')
        if ("connection", "close") in answer.headers:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    length = int(dict(headers).get("content-length", 0))
    return Answer(int(head[0].split()[1]), headers, await reader.readexactly(length) if length and method != "HEAD" else b"")


async def take_part(client: Client, **more: str) -> dict[str, Any]:
    """Consent, and the screens."""
    page = (await client.get("/consent")).body.decode()
    hidden = dict(re.findall(r'name="(version|once)" value="([^"]*)"', page))
    answer = await client.form("/consent", agree="1", **hidden, **more)
    assert answer.status == 303, (answer.status, answer.body[-400:])
    plan = await client.get("/api/plan")
    assert plan.status == 200, plan.status
    return plan.json()


def tap(plan: dict[str, Any], screen: dict[str, Any], criterion: str, value: int, rev: int = 1) -> dict[str, Any]:
    """One answer as the page sends it."""
    named = {"seat": plan["seat"], "trial": screen["trial"], "criterion": criterion, "client_uuid": secrets.token_hex(16)}
    return {**named, "value": value, "rev": rev, "rt_ms": 1234.5, "shown_ms": 1200.25}


@dataclass
class Count:
    """What the raters saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each tap that was acknowledged at the first try, once everybody has arrived."""
    arriving: list[float] = field(default_factory=list)
    """Of the taps before: two hundred people never press "agree" within two seconds, and a commit each takes its time."""
    here: int = 0
    """Raters who have their screens."""
    all: int = 0
    acknowledged: set[str] = field(default_factory=set)
    sent: int = 0
    tries: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


async def rate(port: int, count: Count, over: Callable[[], bool], every: float, again: float) -> None:
    """One rater: a tap each `every` seconds, sent until it is acknowledged; a picture with each screen."""
    client, dice = Client(port), random.Random()
    await asyncio.sleep(dice.random() * min(every, 2))
    plan = await _patient(lambda: take_part(client), again)
    count.here += 1
    for screen in plan["screens"]:
        await _patient(lambda address=screen["picture_url"]: client.get(address), again)
        for criterion in screen["criteria"]:
            began = time.perf_counter()
            if over():
                client.close()
                return
            await _send(client, count, tap(plan, screen, criterion, dice.randint(0, 5)), again)
            await asyncio.sleep(max(0.0, every - (time.perf_counter() - began)))
    client.close()


async def _send(client: Client, count: Count, body: dict[str, Any], again: float) -> None:
    count.sent += 1
    for number in range(10_000):
        began = time.perf_counter()
        try:
            count.tries += 1
            answer = await client.post("/api/tap", body)
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(again * (0.5 + random.random()))
            continue
        count.statuses[answer.status] += 1
        if answer.status == 200:
            count.acknowledged.add(body["client_uuid"])
            if number == 0:
                (count.seconds if count.here == count.all else count.arriving).append(time.perf_counter() - began)
            return
        await asyncio.sleep(again)


async def _patient(call: Any, again: float) -> Any:
    while True:
        try:
            return await call()
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(again * (0.5 + random.random()))


async def _kill_often(server: Server, kills: int, seconds: float) -> None:
    """Kill -9 and start again, evenly over the time."""
    for _ in range(kills):
        await asyncio.sleep(random.random() * max(0.2, seconds / kills))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def load(server: Server, *, raters: int, seconds: float, every: float = 2.0, kills: int = 0) -> Count:
    """Everyone at once."""
    count, again = Count(all=raters), 0.3
    killer = asyncio.create_task(_kill_often(server, kills, seconds))
    until = time.monotonic() + seconds

    def over() -> bool:
        # On a machine that does much else, people may not even be in when the time is up.
        return time.monotonic() > until and killer.done() and len(count.acknowledged) > raters

    people = [asyncio.create_task(rate(server.port, count, over, every, again)) for _ in range(raters)]
    await asyncio.gather(killer, *people)
    return count


def check(folder: Path, count: Count) -> dict[str, Any]:
    """None lost, none doubled, and the chain holds."""
    import sqlite3

    from kimchi.eval.study.store import open_store

    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        stored = Counter(row[0] for row in database.execute("SELECT client_uuid FROM rating"))
    with open_store(folder / "study.db") as store:
        chain = store.verify_chain()
    return {
        "lost": len(count.acknowledged - stored.keys()), "doubled": sum(n - 1 for n in stored.values()), "stored": len(stored),
        "acknowledged": len(count.acknowledged), "chain": chain.ok, "links": chain.links, "broken": chain.broken,
    }  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--every", type=float, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        server = Server(make_study(Path(scratch), raters=given.raters, prompts=20, conditions=("a1", "b1", "c1", "d1", "e1"), size_px=given.size))
        server.start()
        began = time.monotonic()
        count = asyncio.run(load(server, raters=given.raters, seconds=given.seconds, every=given.every, kills=given.kills))
        took, spent = time.monotonic() - began, server.cpu_seconds()
        server.stop()
        ms = {name: {f"p{round(100 * share)}": round(1000 * percentile(values, share), 1) for share in (0.5, 0.95, 0.99, 1)} | {"taps": len(values)}
              for name, values in (("steady", count.seconds), ("arriving", count.arriving))}  # fmt: skip
        found = {
            "sent": count.sent,
            "tries": count.tries,
            "statuses": dict(count.statuses),
            "ms": ms,
            "seconds": round(took, 1),
            "cpu_s": {"server": spent, "clients": round(time.process_time(), 1)},
            **check(server.folder, count),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
