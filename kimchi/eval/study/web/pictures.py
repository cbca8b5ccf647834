"""Pictures and the files of the pages. A picture's address is one rater's and one trial's; its headers and its length tell nothing of it."""

from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .desk import Desk, desk_of
from .padding import padded

_TYPES = {"study.css": "text/css; charset=utf-8", "study.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"}
_FILES = {name: (resources.files("kimchi.eval.study.web") / "static" / name).read_bytes() for name in _TYPES}


async def show_picture(request: Request) -> Response:
    """GET /picture/NAME: the picture of one trial, for the rater of that trial alone."""
    desk = desk_of(request)
    session = await desk.session(request)
    if session is None:
        raise HTTPException(404)
    content = await run_in_threadpool(_content, desk, request.path_params["name"], session.slot)
    # No ETag and no Last-Modified: both would be the same for all raters. Private and short, so that what was loaded ahead is not fetched again.
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=1800"})


def _content(desk: Desk, name: str, slot: int) -> bytes:
    serving = desk.store.serving(name)
    if serving is None or serving.slot != slot:
        raise HTTPException(404)  # another rater's picture is as unknown as none
    return padded(desk.served.picture(serving.stimulus).read_bytes(), serving.padded_bytes)


async def show_static(request: Request) -> Response:
    """GET /static/NAME: style sheet, script and mark."""
    name = request.path_params["name"]
    if name not in _FILES:
        raise HTTPException(404)
    return Response(_FILES[name], headers={"Content-Type": _TYPES[name], "Cache-Control": "public, max-age=3600"})


ROUTES = [Route("/picture/{name}", show_picture), Route("/static/{name}", show_static)]
