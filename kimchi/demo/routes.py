"""The booth's own small answers beside Gradio: state, suggestions, gallery, ratings, and pictures to take home."""

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .desk import Desk
from .doors import too_large
from .keepsakes import qr_svg
from .pages import take_page

Answer = Callable[[Request], Awaitable[Response]]
_PRIVATE = {"Cache-Control": "no-store"}


def desk_of(request: Request) -> Desk:
    """The booth that a request came to."""
    return cast(Desk, request.app.state.desk)


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a page of ours sent.

    Raises:
        HTTPException: 403 from another site's page, 413 too large, 400 anything else.
    """
    if foreign(request.headers):
        raise HTTPException(403)
    if too_large(request.headers):
        raise HTTPException(413)
    try:
        found: Any = await request.json()
    except ValueError as error:
        raise HTTPException(400) from error
    if not isinstance(found, dict):
        raise HTTPException(400)
    return cast(dict[str, Any], found)


def foreign(headers: Headers) -> bool:
    """Whether a request that writes comes from a page of another site (Fetch Metadata; Origin for older browsers)."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


async def state(request: Request) -> Response:
    """GET state: what every page asks every few seconds."""
    return JSONResponse(desk_of(request).state(), headers=_PRIVATE)


async def offer(request: Request) -> Response:
    """GET offer: suggestions and styles."""
    return JSONResponse(desk_of(request).offer.as_page(), headers=_PRIVATE)


async def gallery(request: Request) -> Response:
    """GET gallery: the numbers of the pictures that hang, newest first."""
    desk = desk_of(request)
    version = desk.gallery.version
    return JSONResponse({"version": version, "pictures": desk.gallery.numbers()}, headers=_PRIVATE)


async def hung(request: Request) -> Response:
    """GET gallery/NUMBER: one of them."""
    content = desk_of(request).gallery.get(request.path_params["number"])
    if content is None:
        raise HTTPException(404)
    # Numbers begin anew when the server does, so a browser may keep a picture only for as long as the page.
    return Response(content, media_type="image/webp", headers=_PRIVATE)


async def rate(request: Request) -> Response:
    """POST rate: one tap on "how is this picture?"; on the disk before it is acknowledged."""
    desk, told = desk_of(request), await body_of(request)
    value, name = told.get("value"), told.get("name")
    # True is 1 in Python, and no rating.
    if type(value) is not int or value not in (1, 2, 3) or not isinstance(name, str):
        raise HTTPException(400)
    seed, language = told.get("seed"), desk.language_of(str(told.get("language", "")))
    about = {"seed": seed if isinstance(seed, int) else None, "language": language, **{key: desk.engine.identity[key] for key in ("model", "model_hash")}}
    return JSONResponse({"kept": await run_in_threadpool(desk.rate, name, value, about)}, headers=_PRIVATE)


async def leave(request: Request) -> Response:
    """POST leave: the page goes away, or its visitor does; what is drawn for them stops."""
    told = await body_of(request)
    desk_of(request).leave(str(told.get("visitor", "")))
    return JSONResponse({}, headers=_PRIVATE)


async def qr(request: Request) -> Response:
    """GET take/NAME/qr: the code that a phone reads, where phones reach this booth."""
    desk, name = desk_of(request), request.path_params["name"]
    if not desk.settings.lan_url or desk.keepsakes.get(name) is None:
        raise HTTPException(404)
    svg = qr_svg(f"{desk.settings.lan_url}/booth/take/{name}")
    return JSONResponse({"svg": svg}, headers=_PRIVATE)


async def take(request: Request) -> Response:
    """GET take/NAME: a phone's page with the picture."""
    desk, name = desk_of(request), request.path_params["name"]
    there = desk.keepsakes.get(name) is not None and not desk.closed
    language = request.query_params.get("lang") or _first(request.headers.get("accept-language", ""), desk)
    return HTMLResponse(take_page(desk, name if there else "", desk.language_of(language)), 200 if there else 404, headers=_PRIVATE)


def _first(accepted: str, desk: Desk) -> str:
    wanted = [part.split(";")[0].strip()[:2].lower() for part in accepted.split(",")]
    return next((tag for tag in wanted if tag in desk.languages), desk.language)


async def taken(request: Request) -> Response:
    """GET take/NAME.png: the file that leaves, labelled as made by AI."""
    desk = desk_of(request)
    png = None if desk.closed else desk.keepsakes.get(request.path_params["name"])
    if png is None:
        raise HTTPException(404)
    desk.journal.count("taken")
    # The name is ours alone: nothing a visitor typed reaches a file's name.
    return Response(png, media_type="image/png", headers={**_PRIVATE, "Content-Disposition": 'inline; filename="kimchi.png"'})


ROUTES = [
    Route("/state", state),
    Route("/offer", offer),
    Route("/gallery", gallery),
    Route("/gallery/{number:int}", hung),
    Route("/rate", rate, methods=["POST"]),
    Route("/leave", leave, methods=["POST"]),
    Route("/take/{name}/qr", qr),
    Route("/take/{name}.png", taken),
    Route("/take/{name}", take),
]
