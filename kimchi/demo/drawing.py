"""One visitor's picture, from the button to the last comparison, as a row of small events for the page."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, KimchiError, LateError, PromptError, RequestError
from kimchi.generation.engine import KIMCHI, Drawn, Preview, Request, Ticket, Waiting
from kimchi.generation.mark import marked_png

from . import pictures
from .desk import Desk
from .words import fill, words

if TYPE_CHECKING:
    from kimchi.generation.provenance import GeneratedImage

Event = dict[str, Any]
LONGEST = 300
"""Characters of a prompt. Encoders hear fewer; a text of ten thousand is no visitor's."""
_BEAT_S = 1.0
"""Between two signs of life: Gradio sees that a browser is gone only when something is sent."""
_PREVIEWS = 8
_Update = TypeVar("_Update")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a visitor asked for."""

    prompt: str
    style: str = ""
    """The name of one of the culture's styles."""
    seed: int | None = None
    visitor: str = ""
    """Whose picture it is: one at a time."""
    language: str = ""


async def draw(desk: Desk, asked: Asked) -> AsyncGenerator[Event]:
    """Draw for a visitor.

    Yields:
        Events with a "state": waiting (place, 1 = next), preview (arm, step, steps, image), drawn (arm, image), beat, and at last
        done (name of the keepsake, seed, pictures by arm) or refused (why, message, seconds). Images are data URLs.

    Leaving early stops the work.
    """
    desk.journal.count("asked")
    try:
        ticket = _submit(desk, asked)
    except _Refusal as refusal:
        yield refusal.event
        return
    desk.begin(asked.visitor, ticket)
    drawn: dict[str, GeneratedImage] = {}
    finished = False
    try:
        async for update in _with_beats(ticket.aupdates(), _BEAT_S):
            if isinstance(update, Drawn):
                drawn[update.arm] = update.images[0]
            yield _told(desk, update)
        event = await _done(desk, asked, drawn)
        finished = True
        yield event
    except Exception as error:
        finished = True
        yield _refusal(desk, asked, error)
    finally:
        desk.end(asked.visitor, ticket)
        if not finished:
            desk.journal.count("cancelled")


class _Refusal(Exception):
    def __init__(self, event: Event) -> None:
        super().__init__(event["why"])
        self.event = event


def _submit(desk: Desk, asked: Asked) -> Ticket:
    """The engine's ticket for what a visitor asked.

    Raises:
        _Refusal: it cannot be drawn now, or not at all.
    """
    if desk.closed:
        raise _Refusal(refused(desk, asked, "closed"))
    if not desk.takes(asked.visitor):
        raise _Refusal(refused(desk, asked, "yours"))
    if len(asked.prompt) > LONGEST:
        desk.journal.count("refused")
        raise _Refusal(refused(desk, asked, "long", most=LONGEST))
    try:
        prompt = desk.offer.styled(asked.prompt, asked.style)
        if desk.settings.keep_prompts:
            desk.journal.prompt(asked.prompt, style=asked.style, language=asked.language)
        return desk.engine.submit(Request(prompts=(prompt,), arms=desk.arms(), seed=asked.seed, previews=_PREVIEWS))
    except Exception as error:
        raise _Refusal(_refusal(desk, asked, error)) from error


def refused(desk: Desk, asked: Asked, why: str, **values: object) -> Event:
    """An event that says no: why, and what the visitor reads."""
    message = fill(words(desk.language_of(asked.language))[f"refused_{why}"], **values)
    return {"state": "refused", "why": why, "message": message, **values}


def _refusal(desk: Desk, asked: Asked, error: Exception) -> Event:
    """What an error means to a visitor; the staff find it counted, and a bug in the log."""
    match error:
        case BusyError():
            desk.journal.count("busy")
            return refused(desk, asked, "busy", seconds=max(1, round(error.retry_after_s)), place=desk.engine.stats().waiting + 1)
        case BlockedError():
            desk.journal.count("blocked", error.category)
            return refused(desk, asked, "blocked")
        case PromptError() | RequestError():
            desk.journal.count("refused")
            return refused(desk, asked, "seed" if isinstance(error, RequestError) else "prompt")
        case ClosedError():
            return refused(desk, asked, "starting" if desk.engine.state in ("new", "starting") else "stopped")
        case CancelledError():
            desk.journal.count("cancelled")
            return refused(desk, asked, "closed" if desk.closed else "cancelled")
        case LateError():
            desk.journal.count("failed")
            return refused(desk, asked, "late")
        case _:
            desk.journal.count("failed")
            # The words of a visitor stay out of the log: only what went wrong is told.
            _log.error("A picture failed: %s", type(error).__name__, exc_info=None if isinstance(error, KimchiError) else error)
            return refused(desk, asked, "failed")


async def _with_beats(updates: AsyncIterator[_Update], every_s: float) -> AsyncGenerator[_Update | None]:
    """The updates, with None whenever none came for so long."""
    waiting = asyncio.ensure_future(anext(updates))
    try:
        while True:
            await asyncio.wait({waiting}, timeout=every_s)
            if not waiting.done():
                yield None
                continue
            try:
                update = waiting.result()
            except StopAsyncIteration:
                return
            waiting = asyncio.ensure_future(anext(updates))
            yield update
    finally:
        waiting.cancel()
        with suppress(BaseException):
            await waiting


def _told(desk: Desk, update: Waiting | Preview | Drawn | None) -> Event:
    if isinstance(update, Waiting):
        seconds = desk.engine.stats().seconds_per_picture
        return {"state": "waiting", "place": update.place, "seconds": round(update.place * seconds) if seconds else None}
    if isinstance(update, Preview):
        return {"state": "preview", "arm": update.arm, "step": update.step, "steps": update.steps, "image": pictures.preview_url(update.image)}
    if isinstance(update, Drawn):
        image = update.images[0]
        return {"state": "drawn", "arm": update.arm, "image": pictures.shown_url(image.image), "prompt_en": update.prompt_en, "cut": image.cut}
    return {"state": "beat"}


async def _done(desk: Desk, asked: Asked, drawn: "dict[str, GeneratedImage]") -> Event:
    own = drawn[KIMCHI]
    png = await asyncio.to_thread(marked_png, own.image, own.provenance, desk.language_of(asked.language))
    if desk.closed:  # the kill switch came while the last step was drawn
        return refused(desk, asked, "closed")
    name = desk.keepsakes.add(png)
    desk.gallery.add(own.image)
    desk.journal.count("drawn")
    shown = {arm: pictures.shown_url(image.image) for arm, image in drawn.items()}
    return {"state": "done", "name": name, "seed": cast(int, own.provenance["seed"]), "model": own.provenance["model"], "pictures": shown}
