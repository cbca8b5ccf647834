"""What is asked of the engine, and what it tells while it works."""

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from kimchi.errors import LateError
from kimchi.generation.arms import KIMCHI

if TYPE_CHECKING:
    from kimchi.generation.provenance import GeneratedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One piece of work."""

    prompts: tuple[str, ...]
    """As typed; drawn together, with the seeds seed, seed + 1, ..."""
    arms: tuple[str, ...] = (KIMCHI,)
    """Names of kimchi.generation.arms, drawn one after the other with the same seeds."""
    seed: int | None = None
    """0 to 2**32 - 1; None for one drawn by lot."""
    steps: int | None = None
    """Denoising steps; None for the model's own number."""
    guidance: float | None = None
    """0 to 30; None for the model's own."""
    negative: str = ""
    """What should not be in the picture."""
    size_px: int | None = None
    """Side, pixels; None for the model's own."""
    previews: int = 0
    """About how many previews of each picture are told; 0 for none."""
    timeout_s: float | None = None
    """Seconds from submission to the end, waiting included; None for the engine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A place in the queue, told when it changes."""

    place: int
    """1 for the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A picture as it is guessed to become."""

    arm: str
    index: int
    """Which of the request's prompts."""
    step: int
    steps: int
    image: Image.Image
    """RGB; one pixel a latent, or full size by an AutoencoderTiny."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One arm, finished."""

    arm: str
    images: "tuple[GeneratedImage, ...]"
    """One a prompt."""
    prompts_en: tuple[str, ...] = ()
    """In the translated arm: what was drawn."""

    @property
    def prompt_en(self) -> str:
        """The first translation; "" in the other arms."""
        return self.prompts_en[0] if self.prompts_en else ""


Update = Waiting | Preview | Drawn


class Ticket:
    """One request on its way; made by Engine.submit.

    Updates wait until they are read, but for previews and places, of which only the newest of a kind is kept: a reader that is slow or gone costs nothing.
    """

    def __init__(self, request: Request, cancel: "Callable[[Ticket], None]", timeout_s: float, seed: int) -> None:
        """Begin to wait."""
        self.id = secrets.token_hex(8)
        self.request = request
        self.seed = seed
        """Of the first picture, in every arm."""
        self.began_s = time.monotonic()
        self.deadline_s = self.began_s + timeout_s
        self.place = 0
        """1 for the next; 0 while it is drawn and afterwards."""
        self.cancelled = False
        self._cancel = cancel
        self._news: deque[Update] = deque()
        self._changed = threading.Condition()
        self._listeners: list[Callable[[Update | None], None]] = []
        self._drawn: dict[str, tuple[GeneratedImage, ...]] = {}
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """True once nothing more will be told."""
        return self._ended

    def cancel(self) -> None:
        """Leave the queue, or stop between two steps. More than once does nothing more; too late does nothing."""
        self._cancel(self)

    def result(self, timeout_s: float | None = None) -> "dict[str, tuple[GeneratedImage, ...]]":
        """Wait for the end: arm => its pictures.

        Raises:
            KimchiError: what ended it. LateError: not within `timeout_s`; the work itself goes on.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, timeout_s):
                raise LateError(f"No picture within {timeout_s:g} s. Wait for longer, or cancel it.")
        if self._error is not None:
            raise self._error
        return dict(self._drawn)

    def updates(self) -> Iterator[Update]:
        """What happens, until the end. For one reader; leaving early cancels nothing.

        Raises:
            KimchiError: what ended it.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._ended)
                news, ended = self._taken(), self._ended
            yield from news
            if ended:
                return self._finish()

    async def aupdates(self) -> AsyncIterator[Update]:
        """The same in asyncio."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: Update | None) -> None:
            # A loop that is gone reads nothing any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(told.set)

        self.on_update(wake)
        try:
            while True:
                told.clear()
                with self._changed:
                    news, ended = self._taken(), self._ended
                for update in news:
                    yield update
                if ended:
                    self._finish()
                    return
                await told.wait()
        finally:
            with self._changed:
                self._listeners.remove(wake)

    def on_update(self, listener: "Callable[[Update | None], None]") -> None:
        """Also call `listener` on the engine's thread with every update to come, and with None at the end; at once where it has ended."""
        with self._changed:
            self._listeners.append(listener)
            ended = self._ended
        if ended:
            listener(None)

    def tell(self, update: Update) -> None:
        """For the engine: something happened."""
        with self._changed:
            if self._ended:
                return
            if isinstance(update, Drawn):
                self._drawn[update.arm] = update.images
            else:
                self._forget(update)
            self._news.append(update)
            self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener(update)

    def end(self, error: BaseException | None = None) -> bool:
        """For the engine: nothing more comes. False where it had ended before."""
        with self._changed:
            if self._ended:
                return False
            self._ended, self._error, self.place = True, error, 0
            self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener(None)
        return True

    def _forget(self, newer: Waiting | Preview) -> None:
        """Drop what `newer` makes stale."""

        def stale(old: Update) -> bool:
            if isinstance(old, Waiting):
                return True
            return isinstance(old, Preview) and isinstance(newer, Preview) and (old.arm, old.index) == (newer.arm, newer.index)

        self._news = deque(old for old in self._news if not stale(old))

    def _taken(self) -> list[Update]:
        news = list(self._news)
        self._news.clear()
        return news

    def _finish(self) -> None:
        if self._error is not None:
            raise self._error
