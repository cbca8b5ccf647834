"""A form sent twice claims one place: the second sending waits for the first and gets its answer."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from kimchi.eval.study.store import Session

_KEPT = 1000


class Claims:
    """Forms given out and what became of them."""

    def __init__(self) -> None:
        """No form was given out."""
        self._tasks: OrderedDict[str, asyncio.Task[Session]] = OrderedDict()

    def ticket(self) -> str:
        """The number of a new form."""
        return secrets.token_hex(16)

    async def once(self, ticket: str, claim: Callable[[], Awaitable[Session]]) -> Session:
        """Claim for the form of this number, or what it has claimed already.

        Raises:
            Whatever `claim` raises; then the form may be sent again.
        """
        task = self._tasks.get(ticket) if len(ticket) == 32 else None
        if task is None:
            task = asyncio.ensure_future(_run(claim))
            self._tasks[ticket] = task
        while len(self._tasks) > _KEPT:
            self._tasks.popitem(last=False)
        try:
            # Shielded: a rater who hangs up must not leave a place half claimed.
            return await asyncio.shield(task)
        except Exception:
            self._tasks.pop(ticket, None)
            raise


async def _run(claim: Callable[[], Awaitable[Session]]) -> Session:
    return await claim()
