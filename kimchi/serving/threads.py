"""Waiting for something that blocks, on a thread that nobody waits for at the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")


async def off_loop(work: Callable[[], _T]) -> _T:
    """What `work` returns. Unlike asyncio.to_thread's, its thread is no reason to keep the process: loading a model takes minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        tell: Callable[[], None]
        try:
            tell = partial(future.set_result, work())
        except BaseException as error:
            tell = partial(future.set_exception, error)
        # The loop may be gone, and whoever waited as well.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else tell())

    threading.Thread(target=run, name="kimchi-serving", daemon=True).start()
    return await future
