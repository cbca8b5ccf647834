"""Listening, and stopping: on SIGTERM no new work is taken, what was accepted is drawn and delivered, and the exit status is 0."""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from kimchi.errors import ServeError

from .settings import Settings
from .threads import off_loop
from .wire import wire

if TYPE_CHECKING:
    from kimchi.generation.engine import Engine

_DELIVERY_S = 2
"""After the last picture is drawn its client has so many seconds to read it; and once more, after the port is closed."""


def listen(host: str, port: int) -> socket.socket:
    """A port to serve on, taken before anything is loaded.

    Raises:
        ServeError: it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise ServeError(f"{host}:{port}: cannot be listened on ({error}). Choose another: --port 8001, or 0 for any that is free.") from error
    return listening


def run(app: FastAPI, engine: "Engine", settings: Settings, listening: socket.socket, ready: Callable[[], None] = lambda: None) -> bool:
    """Serve until SIGTERM or Ctrl-C; a second signal stops at once.

    Args:
        app: from create_app, with whatever is mounted into it.
        engine: the one it serves.
        listening: from `listen`.
        ready: called once, when pictures can be asked for.

    Returns:
        False after a second signal: a step may still be computed, and an interpreter that ends beneath it is aborted.

    Raises:
        KimchiError: the engine could not load its model.
    """
    server = Server(app, engine, settings, ready)
    server.run(sockets=[listening])
    if server.broken is not None:
        raise server.broken
    return not server.force_exit


class Server(uvicorn.Server):
    """Uvicorn's, with an end of our own: its own would close the port before the work is done, and die of the signal."""

    def __init__(self, app: FastAPI, engine: "Engine", settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
        """Arguments as of `run`."""
        proxies = list(settings.proxies)
        config = uvicorn.Config(
            app, http=wire(settings), ws="none", lifespan="on", access_log=False, log_config=None, log_level="error", server_header=False,
            timeout_keep_alive=30,
            proxy_headers=bool(proxies), forwarded_allow_ips=proxies, timeout_graceful_shutdown=_DELIVERY_S,
        )  # fmt: skip
        super().__init__(config)
        self._engine, self._settings, self._ready = engine, settings, ready
        self._told_to_stop = 0
        self._ours: list[asyncio.Task[None]] = []
        self.broken: BaseException | None = None
        """Why the engine did not get ready."""

    def stop(self) -> None:
        """As SIGTERM does; a second time, at once."""
        self._told_to_stop += 1
        if self._told_to_stop > 1:
            self.should_exit = self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Hear signals, where there are any: only the main thread may."""
        here = threading.current_thread() is threading.main_thread()
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGTERM, signal.SIGINT) if here}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal."""
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and wait for the engine behind it."""
        await super().startup(sockets)
        self._ours.append(asyncio.create_task(self._await_engine()))

    async def _await_engine(self) -> None:
        try:
            await off_loop(self._engine.wait_ready)
            self._ready()
        except Exception as error:
            # Told to stop while loading is no failure.
            if not self._told_to_stop:
                self.broken = error
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to go."""
        if self._told_to_stop and len(self._ours) == 1:
            self._ours.append(asyncio.create_task(self._drain()))
        return await super().on_tick(counter)

    async def _drain(self) -> None:
        """The port stays open meanwhile: a balancer reads from /health that it must look elsewhere."""
        if self._engine.state == "ready":
            # A second for the step under way, and no more: whoever sends SIGTERM sends SIGKILL after half a minute.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_s + 1):
                    await off_loop(lambda: self._engine.drain(self._settings.drain_s))
        # The pictures are drawn; their answers are still being written.
        until = time.monotonic() + _DELIVERY_S
        while time.monotonic() < until and not all(map(_idle, self.server_state.connections)):
            await asyncio.sleep(0.05)
        self.should_exit = True


def _idle(connection: object) -> bool:
    cycle = getattr(connection, "cycle", None)
    return cycle is None or cycle.response_complete
