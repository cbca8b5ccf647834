"""Group commit: answers that arrive together share one transaction, since it is the sync to the disk that takes time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection

from kimchi.errors import OutputError
from kimchi.eval.study.store.engine import Database
from kimchi.eval.study.store.records import Refused

_MOST = 64
"""Writes in one transaction: few enough that the first of them does not wait for the last."""

Work = Callable[[Connection], Any]


class Writer:
    """One thread through which answers reach the database. A write is acknowledged after the commit that holds it, never before."""

    def __init__(self, database: Database) -> None:
        """Start with nothing to do."""
        self._database = database
        self._thread = ThreadPoolExecutor(1, "study-writer")
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, work: Work) -> Any:
        """Run `work` in a transaction and return its value once that is on the disk.

        `work` must refuse before it writes: what it wrote ahead of a refusal would be committed with its neighbours.

        Raises:
            Refused: by `work`; its neighbours are stored all the same.
            OutputError: the disk is full or cannot be written; nothing is stored.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            results = await loop.run_in_executor(self._thread, self._together, [work for work, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                _settle(future, result)

    def _together(self, batch: list[Work]) -> list[Any]:
        """A value or an exception for each: a future left pending would hang its rater."""
        try:
            with self._database.write() as connection:
                return [_tried(work, connection) for work in batch]
        except Exception as error:
            # A bug in one must not turn its neighbours away. A full disk refuses them all, and once is enough to learn it.
            alone = len(batch) == 1 or isinstance(error, OutputError)
            return [error] * len(batch) if alone else [one for work in batch for one in self._together([work])]

    def close(self) -> None:
        """Finish what is under way."""
        self._thread.shutdown()


def _tried(work: Work, connection: Connection) -> Any:
    try:
        return work(connection)
    except Refused as refusal:
        return refusal


def _settle(future: "asyncio.Future[Any]", result: Any) -> None:
    if future.cancelled():  # the browser hung up; what it sent is stored
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
