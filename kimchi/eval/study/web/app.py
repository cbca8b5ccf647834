"""The application: its routes, and what becomes of every error. A rater is told in their language; nothing tells of files or models."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kimchi.errors import OutputError
from kimchi.eval.study.store import Refused

from . import arrival_pages, calls, operator_pages, pages, pictures
from .desk import Desk, desk_of
from .guards import SafeHeaders
from .texts import texts

_BODY_BYTES = 64 * 1024
"""Largest request, bytes: the longest comment takes 12 thousand."""
_TEND_S = 600
"""Between two looks for abandoned places, seconds."""
_log = logging.getLogger(__name__)


def utc_ms() -> int:
    """The time now, UTC milliseconds."""
    return time.time_ns() // 1_000_000


def make_app(folder: Path, clock: Callable[[], int] = utc_ms, *, kiosk: bool = False, token: str = "") -> Starlette:
    """The server of a study as an ASGI application.

    Args:
        folder: of a locked study.
        clock: UTC milliseconds; the only clock there is for what is stored.
        kiosk: a booth: no code is typed, and each rater is forgotten by the browser.
        token: what the operator's page asks for; empty, there is no such page.

    Raises:
        StudyError: the study is not locked, or was changed since.
    """
    desk = Desk(folder, clock, kiosk=kiosk, token=token)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        tending = asyncio.create_task(_tend(desk))
        yield
        tending.cancel()
        desk.close()

    app = Starlette(
        routes=[*arrival_pages.ROUTES, *pages.ROUTES, *calls.ROUTES, *pictures.ROUTES, *operator_pages.ROUTES],
        middleware=[Middleware(SafeHeaders)],
        exception_handlers={HTTPException: _refused_http, Refused: _refused, OutputError: _disk, Exception: _bug},
        lifespan=lifespan,
        max_body_size=_BODY_BYTES,
    )
    app.state.desk = desk
    return app


async def _tend(desk: Desk) -> None:
    """Pass abandoned places on, now and then; a full disk is no reason to stop."""
    while True:
        with suppress(OutputError):
            await run_in_threadpool(desk.store.expire, now=desk.now(), after_ms=desk.served.abandoned_ms)
        await asyncio.sleep(_TEND_S)


async def _refused_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    desk = desk_of(request)
    return _told(request, error.status_code, desk.error(error.status_code, desk.language(request)))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    desk = desk_of(request)
    return _told(request, desk.status(error.why), desk.why(error.why, desk.language(request)))


async def _disk(request: Request, error: Exception) -> Response:
    _log.error("%s", error)
    return _told(request, 507, desk_of(request).error(507, desk_of(request).language(request)))


async def _bug(request: Request, error: Exception) -> Response:
    return _told(request, 500, desk_of(request).error(500, desk_of(request).language(request)))


def _told(request: Request, status: int, message: str) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"message": message}, status_code=status)
    desk = desk_of(request)
    return desk.page(request, "said.html", status=status, title=texts(desk.language(request))["error_title"], lead=message)
