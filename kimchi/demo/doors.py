"""What stands between the network and the booth: headers that keep the page offline, and doors of Gradio's that a booth does not use."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio runs scripts and styles that stand in its page, and makes functions of text; nothing of any other machine is let in or told.
_POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:",
    "font-src 'self' data:", "connect-src 'self'", "worker-src 'self' blob:", "base-uri 'self'", "form-action 'self'", "object-src 'none'",
    "frame-ancestors 'self'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_OPEN = ("info", "startup-events", "call", "queue", "heartbeat", "app_id", "cancel", "reset")
"""Under gradio_api: what the page and gradio_client need. Uploads would fill the disk, and a proxy would go outside."""
_SHUT = ("monitoring", "login", "logout", "dev", "vibe-code", "file", "proxy", "upload", "stream", "custom_component")
BODY_BYTES = 64 * 1024
"""Largest request; a prompt takes one or two thousand."""


class Doors:
    """ASGI middleware around Gradio's own application."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap it."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through what a booth needs."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", "")).strip("/").split("/")
        if path[0] in _SHUT or (path[0] == "gradio_api" and (len(path) < 2 or path[1] not in _OPEN)):
            return await PlainTextResponse("not here", 404)(scope, receive, send)
        if scope["method"] == "POST" and too_large(Headers(scope=scope)):
            return await PlainTextResponse("too large", 413)(scope, receive, send)

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_safe)


def too_large(headers: Headers) -> bool:
    """Whether a body is larger than any of ours, or does not say how large it is."""
    length = headers.get("content-length", "")
    return not length.isdigit() or int(length) > BODY_BYTES
