"""Connections: how long a request may take to arrive, how long a client may refuse to read, and how many there may be.

The HTTP server beneath has no such limits: a connection that sends a byte a minute, or takes a picture and never reads it, would be held for ever.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .refusals import raw
from .settings import Settings

_HEAD_BYTES = 64 * 1024
"""Longest request line and headers together, bytes."""
_GRACE_S = 2.0
"""What the application has beyond the wire's own limit, to say 408 in the client's language."""


class Wire(HttpToolsProtocol):
    """One connection."""

    settings: Settings

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As the server makes it."""
        super().__init__(*arguments, **named)
        self._arriving: TimerHandle | None = None
        self._unread: TimerHandle | None = None
        self._head_bytes: int | None = 0
        """Of the head that is arriving; None when it has arrived."""

    # The connection.

    def connection_made(self, transport: BaseTransport) -> None:  # type: ignore[override]
        """Take it, or say that there are too many."""
        super().connection_made(cast(Transport, transport))
        if len(self.connections) > self.settings.connections:
            return self._hang_up("too_many_connections")
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._forget()
        self._unread = _stop(self._unread)
        super().connection_lost(exc)

    # What the client sends.

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._hang_up("bad_request")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._head_bytes = 0
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._forget()
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Not HTTP."""
        self._hang_up("bad_request")

    # What the client reads.

    def pause_writing(self) -> None:
        """The client is slow to read."""
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(self.settings.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._unread = _stop(self._unread)

    # The clock.

    def _expect(self) -> None:
        self._forget()
        self._arriving = self.loop.call_later(self.settings.arrive_s + _GRACE_S, self._late)

    def _forget(self) -> None:
        self._arriving = _stop(self._arriving)

    def _late(self) -> None:
        if self._head_bytes:
            return self._hang_up("body_too_slow")
        # Nothing was sent at all, or the answer is out and the rest of the body still trickles in.
        self.transport.abort()

    def _hang_up(self, code: str) -> None:
        self._forget()
        if self.transport.is_closing():
            return
        self.transport.write(raw(code, limit=f"{self.settings.arrive_s:g}"))
        self.transport.close()


def _stop(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def wire(settings: Settings) -> type[Wire]:
    """Connections with the limits of these settings."""
    return type("Wire", (Wire,), {"settings": settings})
