"""Waiting for the engine while watching the client: whoever leaves, leaves the queue as well."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from PIL import Image
from starlette.requests import Request as HttpRequest

from kimchi.errors import KimchiError
from kimchi.generation import provenance
from kimchi.generation.engine import Drawn, Preview, Ticket
from kimchi.generation.provenance import GeneratedImage

from .answers import ComparedPicture, CompareResponse, ImagesResponse, Made, Picture
from .door import Gone
from .draft import Draft
from .service import Service

_QUIET_S = 10.0
"""A stream says something at least so often, seconds: proxies hang up on silence."""


async def while_there(request: HttpRequest, ticket: Ticket, work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` returns, unless the client leaves before.

    However this ends, the ticket is over then: done, or cancelled.

    Raises:
        Gone: the client left.
    """
    leaving, working = asyncio.create_task(_left(request)), asyncio.create_task(work)
    try:
        await asyncio.wait((leaving, working), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        ticket.cancel()
        for task in (leaving, working):
            task.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)


async def _left(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def finished(ticket: Ticket, service: Service) -> list[Drawn]:
    """Every arm, drawn.

    Raises:
        Refusal: the engine gave up.
    """
    try:
        return [update async for update in ticket.aupdates() if isinstance(update, Drawn)]
    except KimchiError as error:
        raise service.refusal(error) from error


async def events(ticket: Ticket, draft: Draft, service: Service, began: float) -> AsyncIterator[bytes]:
    """Server-sent events of one streamed picture, as OpenAI's client reads them. Between them comments, so that nobody takes silence for the end.

    Raises:
        Refusal: the engine gave up.
    """
    told, updates = 0, aiter(ticket.aupdates())
    waiting: asyncio.Future[Any] = asyncio.ensure_future(anext(updates, None))
    try:
        while True:
            done, _ = await asyncio.wait((waiting,), timeout=_QUIET_S)
            if not done:
                yield b": still here\n\n"
                continue
            update = waiting.result()
            if update is None:
                return
            waiting = asyncio.ensure_future(anext(updates, None))
            if isinstance(update, Preview) and told < draft.request.previews:
                yield await asyncio.to_thread(_partial, update, told)
                told += 1
            elif isinstance(update, Drawn):
                yield await asyncio.to_thread(_completed, update, service, began)
                service.metrics.delivered(update.arm)
    except KimchiError as error:
        raise service.refusal(error) from error
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError, KimchiError):
            await waiting


def event(kind: str, body: str) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {body}\n\n".encode()


def _partial(preview: Preview, index: int) -> bytes:
    buffer = io.BytesIO()
    preview.image.save(buffer, "PNG")
    return _image_event("image_generation.partial_image", buffer.getvalue(), preview.image, partial_image_index=index)


def _completed(drawn: Drawn, service: Service, began: float) -> bytes:
    (one,) = drawn.images
    record = one.provenance
    # KIMCHI counts no tokens; OpenAI's client looks for the numbers.
    nothing = {"text_tokens": 0, "image_tokens": 0}
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": nothing}
    told = {**_made(one, service, began).model_dump(), "revised_prompt": record["prompt"], "cut": record["cut"]}
    return _image_event("image_generation.completed", _png(one, service), one.image, usage=usage, kimchi=told)


def _image_event(kind: str, png: bytes, image: Image.Image, **more: Any) -> bytes:
    shared = {"type": kind, "b64_json": base64.b64encode(png).decode(), "created_at": int(time.time()), "size": f"{image.width}x{image.height}"}
    return event(kind, json.dumps({**shared, "quality": "auto", "background": "opaque", "output_format": "png", **more}, ensure_ascii=False))


def answer(drawn: list[Drawn], service: Service, began: float, keep: Callable[[bytes], str] | None) -> bytes:
    """The JSON of POST /v1/images/generations.

    Args:
        drawn: of one arm.
        began: when the request came, as time.monotonic tells.
        keep: puts a PNG where an address finds it, and returns that; None for base64.
    """
    (only,) = drawn
    first = only.images[0]
    data = [_picture(image, service, keep) for image in only.images]
    response = ImagesResponse(created=int(time.time()), size=_size(first), kimchi=_made(first, service, began), data=data)
    return response.model_dump_json(exclude_none=True).encode()


def comparison(drawn: list[Drawn], service: Service, began: float, keep: Callable[[bytes], str] | None) -> bytes:
    """The JSON of POST /v1/images/compare; arguments as above."""
    data = [ComparedPicture.model_validate({**_picture(image, service, keep).model_dump(), "arm": one.arm}) for one in drawn for image in one.images]
    first = drawn[0].images[0]
    english = next((one.prompts_en[0] for one in drawn if one.prompts_en), "")
    response = CompareResponse(created=int(time.time()), size=_size(first), kimchi=_made(first, service, began), data=data, prompt_en=english)
    return response.model_dump_json(exclude_none=True).encode()


def _picture(image: GeneratedImage, service: Service, keep: Callable[[bytes], str] | None) -> Picture:
    png, record = _png(image, service), image.provenance
    place = {"url": keep(png)} if keep else {"b64_json": base64.b64encode(png).decode()}
    return Picture.model_validate({**place, "revised_prompt": record["prompt"], "seed": record["seed"], "cut": record["cut"]})


def _png(image: GeneratedImage, service: Service) -> bytes:
    """With its record, in which the model bears its public name: a folder of this machine is nobody's business. Its hashes stay, and they name it."""
    record, name = image.provenance, service.settings.model_id
    return provenance.png_bytes(image.image, {**record, "model": name, "made_by": {**record["made_by"], "model": name}})


def _size(image: GeneratedImage) -> str:
    return f"{image.image.width}x{image.image.height}"


def _made(image: GeneratedImage, service: Service, began: float) -> Made:
    record, told = image.provenance, service.engine.identity
    return Made(
        model=service.settings.model_id,
        model_hash=str(told["model_hash"]),
        miniature=bool(told["miniature"]),
        few_step=bool(told["few_step"]),
        seed=record["seed"],
        steps=record["steps"],
        guidance=record["guidance"],
        size_px=record["size_px"],
        negative_prompt=record["negative"],
        seconds=round(time.monotonic() - began, 3),
    )
