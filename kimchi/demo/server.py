"""Serving, and stopping: at SIGTERM nothing new is taken, what was promised is drawn and shown, and the exit status is 0."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Generator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from kimchi.generation.engine import Engine

DRAIN_S = 20.0
"""How long pictures that were promised may still take."""
_DELIVERY_S = 0.5
"""The last event has to reach the page before its connection is closed."""


def run(app: "FastAPI", engine: "Engine", listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one stops at once."""
    # No access log: it would keep addresses. No proxy headers: whoever sends them could pass for this machine.
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, timeout_keep_alive=30, timeout_graceful_shutdown=2
    )
    _Server(config, engine).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Uvicorn's, with an end of our own: its own would close the pages before the work is done, and die of the signal."""

    def __init__(self, config: uvicorn.Config, engine: "Engine") -> None:
        super().__init__(config)
        self._engine, self._told, self._ending = engine, 0, None

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
        self._told += 1
        if self._told > 1:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to go."""
        if self._told and self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return await super().on_tick(counter)

    async def _end(self) -> None:
        if self._engine.state == "ready":
            await asyncio.to_thread(self._engine.drain, DRAIN_S)
            await asyncio.sleep(_DELIVERY_S)
        self.should_exit = True
