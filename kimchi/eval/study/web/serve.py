"""`kimchi study serve`: one process, this machine alone unless told otherwise."""

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from kimchi.errors import StudyError

from .app import make_app


def serve(folder: Path, port: int = 8080, kiosk: bool = False, lan: bool = False, say: Callable[[str], None] = print) -> None:
    """Serve a locked study until interrupted.

    Args:
        folder: of the study.
        port: 1 to 65535; 0 takes a free one and says which.
        kiosk: for a booth: no code is typed, and each rater is forgotten by the browser.
        lan: answer to the whole network, not to this machine alone.
        say: told where it is and how the operator looks in.

    Raises:
        StudyError: the study is not locked, or was changed since; the port is taken.
    """
    token = secrets.token_urlsafe(24)
    app = make_app(folder, kiosk=kiosk, token=token)
    listening = _listen("0.0.0.0" if lan else "127.0.0.1", port)
    port = listening.getsockname()[1]
    for line in _greeting(port, lan, token):
        say(line)
    # No access log: it would keep addresses. No proxy headers: whoever sends them could pass for this machine.
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, timeout_keep_alive=30, timeout_graceful_shutdown=5
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C is how serving ends; everything under way was finished before
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # Whoever opens the address in the moment it is printed waits, and is not turned away.
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        raise StudyError(f"port {port}: cannot be used ({error}). Choose another: --port 8081, or 0 for any that is free.") from error
    return listening


def _greeting(port: int, lan: bool, token: str) -> list[str]:
    lines = [f"Raters: http://127.0.0.1:{port}/", f"You: http://127.0.0.1:{port}/operator?token={token}"]
    if lan:
        lines += [
            f"--lan: everyone in this network can take part, at http://{_own_address()}:{port}/.",
            "The connection is not encrypted: put a server with a certificate before it, or use a network of your own.",
        ]
    return lines


def _own_address() -> str:
    """This machine's address in its network; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]
