"""Before the doors open: everything a day at a booth needs, tried once, each with a line that says ok, warn or fail."""

import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from kimchi.errors import BlockedError, KimchiError

from .settings import Settings

if TYPE_CHECKING:
    from kimchi.generation.engine import Engine
    from kimchi.generation.safety import Guard

    from .chips import Offer

_ROOM_MIB, _LITTLE_MIB = 1024, 200
_PATIENT_S, _LONG_S = 15.0, 60.0
"""How long a visitor waits gladly for everything on the screen, and at all."""
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one check found."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    """What was found; for warn and fail also what to do."""
    seconds: float = 0.0

    def line(self) -> str:
        """For a terminal."""
        return f"{self.state:<5} {self.name:<11} {self.text}"


class Outside:
    """Addresses beyond this machine that something tried to reach."""

    def __init__(self) -> None:
        """None yet."""
        self.tried: list[str] = []


@contextmanager
def no_outside() -> Generator[Outside]:
    """Refuse and note every connection that would leave this machine, from all of this process."""
    outside, connect, lookup = Outside(), socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        host = str(address[0]) if isinstance(address, tuple) else ""
        if host and not host.startswith(_LOOPBACK):
            outside.tried.append(host)
            raise OSError(f"{host}: a booth asks no other machine")
        connect(self, address)

    def looked(host: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        if name and not name.startswith((*_LOOPBACK, "0.0.0.0")) and name != "::":
            outside.tried.append(name)
            raise socket.gaierror(f"{name}: a booth asks no other machine")
        return lookup(host, *more, **named)

    socket.socket.connect, socket.getaddrinfo = guarded, looked  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield outside
    finally:
        socket.socket.connect, socket.getaddrinfo = connect, lookup  # pyright: ignore[reportAttributeAccessIssue]


def check(make: "Callable[[], tuple[Engine, Guard]]", settings: Settings) -> Iterator[Found]:
    """Try everything; a line as soon as it is known.

    Args:
        make: the engine, not started, and its guard; errors in it are findings too.
        settings: of the booth that will open.
    """
    with no_outside() as outside:
        yield _timed("fonts", _fonts)
        yield _timed("disk", lambda: _disk(settings))
        yield _timed("staff", lambda: _staff(settings))
        try:
            engine, guard = make()
        except KimchiError as error:
            yield Found(name="weights", state="fail", text=f"{type(error).__name__}: {error}")
            return
        try:
            weights = _timed("weights", lambda: _weights(engine))
            yield weights
            if weights.state == "fail":
                return
            yield _timed("blocklist", lambda: _blocklist(guard))
            yield _timed("checker", lambda: _checker(guard))
            yield _timed("suggestions", lambda: _suggestions(engine, guard, settings))
            yield _timed("picture", lambda: _picture(engine, settings))
            yield _timed("page", lambda: _page(engine, guard, settings))
        finally:
            engine.close()
        reached = ", ".join(dict.fromkeys(outside.tried))
        yield Found(name="offline", state="fail" if reached else "ok", text=f"tried to reach {reached}" if reached else "nothing asked another machine")


def _timed(name: str, look: Callable[[], tuple[Literal["ok", "warn", "fail"], str]]) -> Found:
    began_s = time.monotonic()
    try:
        state, text = look()
    except (KimchiError, OSError) as error:
        state, text = "fail", f"{type(error).__name__}: {error}"
    return Found(name=name, state=state, text=text, seconds=round(time.monotonic() - began_s, 2))


def _fonts() -> tuple[Literal["ok", "warn", "fail"], str]:
    folder = resources.files("kimchi.demo") / "static" / "font"
    found = [name for name in ("KimchiKR-Regular.woff2", "KimchiKR-Bold.woff2") if (folder / name).is_file() and (folder / name).read_bytes()[:4] == b"wOF2"]
    if len(found) < 2 or not (folder / "OFL.txt").is_file():
        return "fail", "the Korean font of the page or its licence is missing; install KIMCHI again"
    return "ok", f"{', '.join(found)}, with their licence"


def _disk(settings: Settings) -> tuple[Literal["ok", "warn", "fail"], str]:
    from .journal import Journal

    settings.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(settings.folder)
    free_mib = shutil.disk_usage(settings.folder).free // 2**20
    closed = "; the booth is CLOSED by its staff since the last time, and opens on the staff page" if journal.closed else ""
    state = "fail" if free_mib < _LITTLE_MIB else "warn" if free_mib < _ROOM_MIB or closed else "ok"
    return state, f"{settings.folder}: {free_mib:,} MiB free{closed}"


def _staff(settings: Settings) -> tuple[Literal["ok", "warn", "fail"], str]:
    from .staff import temperatures

    degrees = ", ".join(f"{value:.0f} °C {name}" for name, value in list(temperatures().items())[:3])
    told = f"temperature {degrees}" if degrees else "temperature not readable on this machine"
    return ("ok" if settings.pin else "warn"), f"{'a PIN is set' if settings.pin else 'no PIN: the staff page is off'}; {told}"


def _weights(engine: "Engine") -> tuple[Literal["ok", "warn", "fail"], str]:
    began_s = time.monotonic()
    engine.start()
    engine.wait_ready(600)
    told = engine.identity
    few = ", few-step" if told["few_step"] else ""
    seconds = time.monotonic() - began_s
    return "ok", f"{told['model']} {told['model_hash']}, {told['size_px']} px, {told['steps']} steps{few}, on {told['device']}; ready in {seconds:.1f} s"


def _blocklist(guard: "Guard") -> tuple[Literal["ok", "warn", "fail"], str]:
    # A word that every list must refuse, written apart and in the look-alikes that the folding is for.
    if not guard.find("누 드") or not guard.find("n u d e"):
        return "fail", "the shipped blocklist refuses nothing; install KIMCHI again"
    chosen = guard.own.chosen()
    return "ok", f"Korean and English lists hold; {len(chosen.blocked)} words added and {len(chosen.allowed)} allowed by the staff"


def _checker(guard: "Guard") -> tuple[Literal["ok", "warn", "fail"], str]:
    return ("warn", " ".join(guard.missing)) if guard.missing else ("ok", "finished pictures are looked at before they are shown")


def _offer(engine: "Engine", settings: Settings) -> "Offer":
    from kimchi.data.cultures import load_culture

    from .chips import Offer

    return Offer(load_culture(settings.culture), miniature=bool(engine.identity["miniature"]))


def _suggestions(engine: "Engine", guard: "Guard", settings: Settings) -> tuple[Literal["ok", "warn", "fail"], str]:
    offered = _offer(engine, settings).suggestions()
    for one in offered:
        try:
            guard.check_prompts([one.text])
        except BlockedError:
            return "fail", f"{one.text!r} is offered and blocked at once; change the culture's file, or allow it on the staff page"
    if not offered:
        return "warn", f"the culture {settings.culture!r} offers nothing this model can draw; add `booth` to its file, see data/cultures/ko.yaml"
    return "ok", f"{len(offered)} offered, none of them blocked"


def _picture(engine: "Engine", settings: Settings) -> tuple[Literal["ok", "warn", "fail"], str]:
    from kimchi.generation.engine import KIMCHI, Preview, Request
    from kimchi.generation.mark import marked_png

    from .desk import ARMS

    arms = tuple(arm for arm in ARMS if arm in engine.identity["arms"] and (settings.compare or arm == KIMCHI))
    offered = _offer(engine, settings).suggestions()
    began_s, first_s = time.monotonic(), 0.0
    ticket = engine.submit(Request(prompts=(offered[0].text if offered else "한복",), arms=arms, seed=7, previews=8, timeout_s=600))
    for update in ticket.updates():
        if isinstance(update, Preview) and not first_s:
            first_s = time.monotonic() - began_s
    pictures, seconds = ticket.result(), time.monotonic() - began_s
    own = pictures[KIMCHI][0]
    size_kb = len(marked_png(own.image, own.provenance)) // 1000
    state = "ok" if seconds <= _PATIENT_S else "warn" if seconds <= _LONG_S else "fail"
    advice = "" if state == "ok" else "; see eval/booth.md, what to do when it is slow: --few-step, --no-compare, a GPU"
    return state, f"{', '.join(arms)}: first preview {first_s:.2f} s, all {seconds:.1f} s, to take home {size_kb} kB with its label{advice}"


def _page(engine: "Engine", guard: "Guard", settings: Settings) -> tuple[Literal["ok", "warn", "fail"], str]:
    import uvicorn
    from fastapi import FastAPI

    from .app import listen, mount

    listening = listen("127.0.0.1", 0)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    began_s = time.monotonic()
    mount(app, engine, settings, "/", guard)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    here = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        page = _fetch(f"{here}/")
        state = _fetch(f"{here}/booth/state")
        _fetch(f"{here}/booth/static/font/KimchiKR-Regular.woff2")
    finally:
        server.should_exit = True
        thread.join(10)
    if b'"engine":"ready"' not in state or b'"analytics_enabled":false' not in page.replace(b" ", b""):
        return "fail", "the page came, but does not say that it is ready and silent; run `kimchi demo -v` and look"
    return "ok", f"served in {time.monotonic() - began_s:.1f} s, {len(page) // 1000} kB"


def _fetch(url: str) -> bytes:
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read()
        except ConnectionError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)
