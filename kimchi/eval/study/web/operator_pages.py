"""What the operator sees: whether the server is well, and how far everyone is. The second only on this machine, with the token printed at the start."""

import hmac
import shutil
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kimchi.errors import KimchiError
from kimchi.eval.study.store import Progress

from .desk import Desk, desk_of

_LOOPBACK = ("127.0.0.1", "::1")
_ROOM_BYTES = 100 * 2**20
"""Less room than this on the disk is no health."""


async def show_health(request: Request) -> Response:
    """GET /health: 200 while answers can be stored, 503 when not."""
    well = await run_in_threadpool(_well, desk_of(request))
    return JSONResponse({"well": well}, status_code=200 if well else 503)


def _well(desk: Desk) -> bool:
    try:
        return desk.store.protocol_hash() is not None and shutil.disk_usage(desk.served.folder).free > _ROOM_BYTES
    except (KimchiError, OSError):
        return False


async def show_status(request: Request) -> Response:
    """GET /operator?token=...: everyone's progress. Anybody else is told that there is no such page."""
    desk = desk_of(request)
    given = request.query_params.get("token", "").encode()
    here = request.client is not None and request.client.host in _LOOPBACK
    # Both are looked at before answering: the time it takes says nothing about the token.
    if not (hmac.compare_digest(given, desk.token.encode()) & here & bool(desk.token)):
        raise HTTPException(404)
    progress = await run_in_threadpool(desk.store.progress)
    return desk.page(request, "operator.html", target=desk.served.protocol.main_slots, **_status(progress, desk.now()))


def _status(progress: Progress, now: int) -> Mapping[str, Any]:
    states = ("claimed", "done", "expired", "withdrawn", "free")
    numbers = [(state, progress.slots.get(state, 0)) for state in states]
    numbers += [("answers", progress.ratings), ("comments", progress.comments), ("rejected", progress.rejected)]
    raters = [{"one": one, "ago": _ago(one.last_at, now)} for one in progress.raters]
    return {"numbers": numbers, "raters": raters, "done": progress.slots.get("done", 0)}


def _ago(at: int | None, now: int) -> str:
    minutes = (now - at) // 60_000 if at is not None else 0
    return "" if at is None else f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"


ROUTES = [Route("/health", show_health), Route("/operator", show_status)]
