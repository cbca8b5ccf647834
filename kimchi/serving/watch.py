"""Around everything: headers on every answer, a number for each request, counting, one line of log, and an end for bugs."""

import asyncio
import logging
import secrets
import time
from http import HTTPMethod

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import Refusal, language_of
from .service import Service

_log = logging.getLogger("kimchi.serving.access")
_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_METHODS = frozenset(HTTPMethod)
BOOTH = "/demo"
"""Where the booth is mounted; its pages bring a policy of their own."""


def in_booth(path: str) -> bool:
    """Whether an address belongs to the booth."""
    return path == BOOTH or path.startswith(BOOTH + "/")


class Watch:
    """ASGI middleware, the outermost of ours."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """Wrap an application."""
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and say so."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        one = _One(scope, send, self._service)
        self._service.metrics.open.inc()
        try:
            await self._app(scope, receive, one.send)
        except asyncio.CancelledError:
            # The server has waited for long enough. Raised further, it would be logged as a bug, with a trace.
            _log.warning("%s cut off: the server stops", one.number)
        except Exception as error:
            await one.bug(error)
        finally:
            self._service.metrics.open.dec()
            one.note()


class _One:
    """One request on its way."""

    def __init__(self, scope: Scope, send: Send, service: Service) -> None:
        self._scope, self._send, self._service = scope, send, service
        self._began, self._status = time.monotonic(), 0
        self.number = secrets.token_hex(8)
        scope.setdefault("state", {})["request"] = self.number

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._add(MutableHeaders(scope=message))
        await self._send(message)

    def _add(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.number
        if self._service.model_hash:
            headers["X-Kimchi-Model-Hash"] = self._service.model_hash
        for name, value in _HEADERS.items():
            if not in_booth(self._scope["path"]):
                headers.setdefault(name, value)

    async def bug(self, error: Exception) -> None:
        """Tell the client nothing but a number, under which the log has the rest."""
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_globals.get('__name__')}:{where.tb_lineno}" if where else "?"
        # Not the message: it may quote a prompt, a key or a folder. -v prints the whole trace.
        _log.error("%s %s in %s", self.number, type(error).__name__, place)
        _log.debug("%s", self.number, exc_info=error)
        if not self._status:
            refusal = Refusal("server_error", request=self.number)
            self._service.metrics.refused(refusal.code)
            answer = JSONResponse(refusal.body(language_of(Headers(scope=self._scope)), self._service.values()), refusal.status)
            await answer(self._scope, _nothing, self.send)

    def note(self) -> None:
        """One line: what was asked of which route, and what came of it. No address, key or prompt."""
        seconds = time.monotonic() - self._began
        method = self._scope["method"] if self._scope["method"] in _METHODS else "OTHER"
        route = _route(self._scope)
        # 499: the client left before there was an answer.
        status = self._status or 499
        self._service.metrics.answered(method, route, status, seconds)
        _log.info("%s %s %s %d %.0f ms", self.number, method, route, status, 1000 * seconds)


def _route(scope: Scope) -> str:
    if in_booth(scope["path"]):
        return BOOTH
    return getattr(scope.get("route"), "path", "") or "-"


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
