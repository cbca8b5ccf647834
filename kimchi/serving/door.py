"""Who may come in, and with how much: origin and key before anything is read, then the body, within limits of size and time."""

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import Refusal, language_of
from .service import Caller, Service
from .watch import in_booth

_BOOTH_BYTES = 1024 * 1024
"""Largest request to the booth, whose forms carry more than ours."""
_OPEN = ("/v1/health/", "/v1/images/files/")
"""Under /v1/, and yet without a key: probes have none, and a picture's address is a secret of its own."""


class Gone(Exception):
    """The client left."""


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """Wrap an application."""
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or turn it away."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            headers = Headers(scope=scope)
            self._check_origin(scope, headers)
            scope["state"]["caller"] = self._caller(scope, headers)
            body = await self._read(scope, headers, receive)
        except Gone:
            return
        except Refusal as refusal:
            return await self._turn_away(refusal, scope, receive, send)
        await self._app(scope, _replay(body, receive), send)

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """A page of another site may not use a server on this machine through its visitor's browser (Fetch Metadata; Origin for older ones)."""
        origin = headers.get("origin")
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or self._allowed(origin):
            return
        site = headers.get("sec-fetch-site")
        # A proxy may write its own Host, so that Origin is compared only where the browser says nothing better.
        foreign = site not in ("same-origin", "none") if site else origin is not None and _host(origin) != headers.get("host", "").lower()
        if foreign:
            raise Refusal("foreign_origin")

    def _allowed(self, origin: str | None) -> bool:
        return "*" in self._service.settings.cors or origin in self._service.settings.cors

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        keys, settings = self._service.keys, self._service.settings
        address = Caller(f"address {_network(scope)}", settings.rate_per_minute)
        if not keys.required or not scope["path"].startswith("/v1/") or scope["path"].startswith(_OPEN) or scope["method"] == "OPTIONS":
            return address
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        found = keys.find(presented.strip()) if scheme.lower() == "bearer" and presented.strip() else None
        if found is not None:
            return Caller(f"key {found.name}", settings.rate_per_minute if found.rate_per_minute is None else found.rate_per_minute)
        if settings.behind_backendai:
            # The proxy has let the request through on a token of its own, which it passes on.
            return address
        raise Refusal("invalid_api_key" if presented.strip() else "missing_api_key")

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        limit = _BOOTH_BYTES if in_booth(scope["path"]) else self._service.settings.body_bytes
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said[:20]) > limit:
            raise Refusal("body_too_large", limit=limit)
        if not said and "transfer-encoding" not in headers:
            return b""
        try:
            async with asyncio.timeout(self._service.settings.arrive_s):
                return await _whole(receive, limit)
        except TimeoutError:
            raise Refusal("body_too_slow", limit=f"{self._service.settings.arrive_s:g}") from None

    async def _turn_away(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.metrics.refused(refusal.code)
        body = refusal.body(language_of(Headers(scope=scope)), self._service.values())
        await JSONResponse(body, refusal.status, refusal.headers)(scope, receive, send)


async def _whole(receive: Receive, limit: int) -> bytes:
    parts, size, more = [b""], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > limit:
            raise Refusal("body_too_large", limit=limit)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once; then whatever comes, which is the client's leaving."""
    told = False

    async def again() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        while True:
            message = await receive()
            # Of a request without a body the server still has to say that it is over.
            if message["type"] != "http.request":
                return message

    return again


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _network(scope: Scope) -> str:
    """What counts as one address: of IPv6 the /64 that one household has, or a limit could be walked around."""
    client = scope.get("client")
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    return str(address) if address.version == 4 else str(int(address) >> 64)
