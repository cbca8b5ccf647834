"""Pictures: POST /v1/images/generations, POST /v1/images/compare, and the addresses of pictures."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kimchi.generation.engine import Ticket

from . import draft, drawing
from .answers import CompareResponse, ErrorResponse, ImagesResponse
from .asked import CompareRequest, GenerationRequest
from .door import Gone
from .refusals import Refusal, closed, language_of
from .service import Service, service_of

router = APIRouter(tags=["images"])
_NAME = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As it stands in the answer.")]
_STREAM = {"text/event-stream": {"schema": {"type": "string"}, "example": "event: image_generation.completed\ndata: {...}\n\n"}}
_HASH = {"X-Kimchi-Model-Hash": {"description": "Which weights drew it: 16 hex digits.", "schema": {"type": "string"}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": said}
    for status, said in (
        (400, "A field is missing, unknown or out of range, or the prompt is not drawn here."),
        (401, "A key is needed, or this one is not known."),
        (403, "A page of another site called."),
        (404, "No such model."),
        (408, "The request did not arrive in time."),
        (413, "The request is too large."),
        (429, "The queue is full, or the key has had its pictures; see Retry-After."),
        (500, "A bug."),
        (503, "The model is being loaded, or the server is about to stop; see Retry-After."),
        (504, "It took too long."),
    )
}


@router.post(
    "/v1/images/generations", response_model=ImagesResponse, summary="Draw pictures",
    responses={**REFUSALS, 200: {"content": _STREAM, "headers": _HASH, "description": "The pictures; with stream: true, events."}},
)  # fmt: skip
async def generate(body: GenerationRequest, request: Request) -> Response:
    """Prompt => pictures, in OpenAI's shape. A client that hangs up stops the drawing."""
    began, service = time.monotonic(), service_of(request)
    wanted = draft.generation(body, service)
    ticket = await service.submit(wanted.request, request.state.caller)
    if wanted.stream:
        return _Stream(request, ticket, wanted, service, began)
    return await _draw(request, ticket, wanted, began, drawing.answer)


@router.post(
    "/v1/images/compare", response_model=CompareResponse, summary="Draw the same prompt with and without what was taught",
    responses={**REFUSALS, 200: {"headers": _HASH}},
)  # fmt: skip
async def compare(body: CompareRequest, request: Request) -> Response:
    """One prompt and one seed: the untaught base, the base after translation, and this model."""
    began, service = time.monotonic(), service_of(request)
    if not service.identity:
        # What can be compared is known once the model is loaded.
        raise closed(service.engine.state)
    wanted = draft.comparison(body, service)
    ticket = await service.submit(wanted.request, request.state.caller)
    return await _draw(request, ticket, wanted, began, drawing.comparison)


@router.get(
    "/v1/images/files/{name}.png", summary="A picture given as an address",
    response_class=Response, responses={200: {"content": {"image/png": {}}}, 404: REFUSALS[404], 400: REFUSALS[400]},
)  # fmt: skip
async def show_file(name: _NAME, request: Request) -> Response:
    """The PNG of an answer with response_format: url. Whoever knows the address may see it; no key is asked for."""
    png = service_of(request).pictures.get(name)
    if png is None:
        raise Refusal("picture_gone", limit=round(service_of(request).settings.url_s / 60))
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600, immutable"})


async def _draw(request: Request, ticket: Ticket, wanted: draft.Draft, began: float, make: Callable[..., bytes]) -> Response:
    service = service_of(request)
    try:
        drawn = await drawing.while_there(request, ticket, drawing.finished(ticket, service))
    except Gone:
        return _Nothing()
    keep = _keeper(request, service) if wanted.as_url else None
    # PNG and base64 of ten pictures take long enough for a health check to notice.
    content = await asyncio.to_thread(make, drawn, service, began, keep)
    for one in drawn:
        service.metrics.delivered(one.arm, len(one.images))
    return Response(content, media_type="application/json")


def _keeper(request: Request, service: Service) -> Callable[[bytes], str]:
    root = (service.settings.public_url or str(request.base_url)).rstrip("/")
    return lambda png: f"{root}/v1/images/files/{service.pictures.add(png)}.png"


class _Nothing(Response):
    """To a client that has left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


class _Stream(Response):
    """Events as they come."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, ticket: Ticket, wanted: draft.Draft, service: Service, began: float) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request, self._ticket, self._wanted, self._service, self._began = request, ticket, wanted, service, began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await drawing.while_there(self._request, self._ticket, self._tell(send))
        except Gone:
            return

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for one in drawing.events(self._ticket, self._wanted, self._service, self._began):
                await send({"type": "http.response.body", "body": one, "more_body": True})
        except Refusal as refusal:
            # The status was sent long ago: OpenAI's client raises on an event that holds an error.
            self._service.metrics.refused(refusal.code)
            said = refusal.body(language_of(self._request.headers), self._service.values())
            await send({"type": "http.response.body", "body": drawing.event("error", json.dumps(said, ensure_ascii=False)), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
