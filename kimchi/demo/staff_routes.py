"""The staff page: behind a PIN, the queue, the switches, the blocklist and today's counts."""

import time
from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kimchi.errors import KimchiError

from .desk import Desk
from .pages import staff_page
from .routes import body_of, desk_of
from .staff import temperatures

_COOKIE = "kimchi_booth_staff"
_STARTED = time.monotonic()
_PRIVATE = {"Cache-Control": "no-store"}


async def show(request: Request) -> Response:
    """GET staff: the door, or the desk."""
    desk = desk_of(request)
    if not desk.door.there:
        raise HTTPException(404)
    language = desk.language_of(request.query_params.get("lang", ""))
    inside = desk.door.knows(request.cookies.get(_COOKIE, ""))
    return HTMLResponse(staff_page(desk, language, inside=inside), headers=_PRIVATE)


async def enter(request: Request) -> Response:
    """POST staff/enter: try a PIN."""
    desk, told = desk_of(request), await body_of(request)
    pause = desk.door.pause_s()
    session = "" if pause else desk.door.enter(str(told.get("pin", ""))[:64])
    if not session:
        pause = desk.door.pause_s()
        return JSONResponse({"inside": False, "pause_s": round(pause + 0.5) if pause else 0}, 429 if pause else 403, headers=_PRIVATE)
    answer = JSONResponse({"inside": True}, headers=_PRIVATE)
    answer.set_cookie(_COOKIE, session, httponly=True, samesite="strict", secure=desk.settings.secure, path=request.scope["root_path"] or "/")
    return answer


async def leave(request: Request) -> Response:
    """POST staff/leave: end the session."""
    desk = await _inside(request)
    await body_of(request)
    desk.door.leave(request.cookies.get(_COOKIE, ""))
    answer = JSONResponse({}, headers=_PRIVATE)
    answer.delete_cookie(_COOKIE, path=request.scope["root_path"] or "/")
    return answer


async def status(request: Request) -> Response:
    """GET staff/status: everything that the desk shows."""
    desk = await _inside(request)
    return JSONResponse(await run_in_threadpool(_status, desk, _language(request, desk)), headers=_PRIVATE)


async def switch(request: Request) -> Response:
    """POST staff/switch: {"do": close | open | clear | hall | block | allow | forget | down, "what": ...}; the new status comes back."""
    desk = await _inside(request)
    told = await body_of(request)
    try:
        await run_in_threadpool(_do, desk, str(told.get("do", "")), str(told.get("what", ""))[:100])
    except KimchiError as error:
        # To the staff as it is: a word with nothing in it, or a disk that is full.
        return PlainTextResponse(str(error), 400, headers=_PRIVATE)
    return JSONResponse(await run_in_threadpool(_status, desk, _language(request, desk)), headers=_PRIVATE)


def _language(request: Request, desk: Desk) -> str:
    return desk.language_of(request.query_params.get("lang", ""))


async def _inside(request: Request) -> Desk:
    desk = desk_of(request)
    if not desk.door.knows(request.cookies.get(_COOKIE, "")):
        raise HTTPException(403)
    return desk


def _do(desk: Desk, do: str, what: str) -> None:
    match do:
        case "close":
            desk.close()
        case "open":
            desk.open()
        case "clear":
            desk.clear_queue()
        case "hall":
            desk.set_hall(what)
        case "block":
            desk.block(what)
        case "allow":
            desk.allow(what)
        case "forget":
            desk.forget(what)
        case "down" if what.isdecimal():
            desk.gallery.remove(int(what))
        case _:
            raise HTTPException(400)


def _status(desk: Desk, language: str) -> dict[str, Any]:
    import resource

    error = desk.engine.error
    return {
        **desk.state(),
        "stats": asdict(desk.engine.stats()),
        "identity": desk.engine.identity if desk.ready else {},
        "error": f"{type(error).__name__}: {error}" if error else "",
        "counts": desk.journal.counts(),
        "temperatures": temperatures(),
        "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "minutes": round((time.monotonic() - _STARTED) / 60),
        "pictures": desk.gallery.numbers(),
        **desk.safety(language),
    }


STAFF_ROUTES = [
    Route("/staff", show),
    Route("/staff/enter", enter, methods=["POST"]),
    Route("/staff/leave", leave, methods=["POST"]),
    Route("/staff/status", status),
    Route("/staff/switch", switch, methods=["POST"]),
]
