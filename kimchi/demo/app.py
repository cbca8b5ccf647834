"""The booth as a web application: mounted into another one, or served by itself."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from kimchi.errors import OutputError, RequestError

from .desk import Desk
from .offline import be_quiet, tidy
from .routes import ROUTES
from .settings import Settings
from .staff_routes import STAFF_ROUTES

if TYPE_CHECKING:
    from fastapi import FastAPI

    from kimchi.generation.engine import Engine
    from kimchi.generation.safety import Guard

_TIDY_S = 300
_log = logging.getLogger(__name__)


def mount(app: "FastAPI", engine: "Engine", settings: Settings, path: str = "/demo", guard: "Guard | None" = None) -> Desk:
    """Put a booth into an application; its engine is started and stopped by whoever made it.

    Args:
        app: must not have been started yet.
        engine: draws; may still be starting.
        path: where the booth lies; "/" for the root.
        guard: the engine's own, so that the staff page can change its words; without it, that page says so.

    Returns:
        Its desk, for tests and for the application's own pages.

    Raises:
        OutputError: the booth's folder cannot be written.
        RecipeError, DataError: no such culture, or a damaged one.
    """
    place = be_quiet(settings.folder)
    # Only now: Gradio reads the environment once.
    import gradio as gr

    from .doors import Doors
    from .page import STATIC, head, make_blocks, theme

    base = "" if path == "/" else path.rstrip("/")
    desk = Desk(engine, settings, guard)
    small = Starlette(
        routes=[*ROUTES, *STAFF_ROUTES, Mount("/static", _Static(directory=str(STATIC)))],
        middleware=[Middleware(Doors)],
        exception_handlers={HTTPException: _refused, OutputError: _disk},
    )
    small.state.desk = desk
    app.mount(f"{base}/booth", small)

    def build() -> None:
        gr.mount_gradio_app(
            app, make_blocks(desk, base), path=path, footer_links=[], run_history=False, enable_monitoring=False, show_error=False, ssr_mode=False,
            pwa=False, mcp_server=False, max_file_size=1, theme=theme(), head=head(base, desk.hall),
        )  # fmt: skip

    _in_a_loop(build)
    cast(Any, app.routes[-1]).app.add_middleware(Doors)
    _keep_tidy(app, desk, place)
    return desk


class _Static(StaticFiles):
    """Files that a browser asks about every time: after an update of KIMCHI no page is half old."""

    def file_response(self, *place: Any, **more: Any) -> Response:
        """As Starlette's, with a word on caching."""
        answer = super().file_response(*place, **more)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _in_a_loop(build: Callable[[], None]) -> None:
    """Gradio makes an event loop for every lock where none is running, and closes none of them."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def within() -> None:
            build()

        return asyncio.run(within())
    build()


def _keep_tidy(app: "FastAPI", desk: Desk, place: Any) -> None:
    """While the application runs: empty folders go, and counts are written down; at its end, once more."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(running: Any) -> AsyncGenerator[Any]:
        async def tend() -> None:
            while True:
                await asyncio.sleep(_TIDY_S)
                await asyncio.to_thread(tidy, place)
                with contextlib.suppress(OutputError):
                    await asyncio.to_thread(desk.journal.keep)

        async with inner(running) as state:
            tending = asyncio.create_task(tend())
            yield state
            tending.cancel()
            with contextlib.suppress(OutputError):
                desk.journal.keep()

    app.router.lifespan_context = lifespan


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def _disk(request: Request, error: Exception) -> Response:
    _log.error("%s", error)
    return PlainTextResponse("the disk is full", 507)


def serve(
    engine: "Engine", settings: Settings, host: str = "127.0.0.1", port: int = 7860, say: Callable[[str], None] = print, guard: "Guard | None" = None
) -> None:
    """Serve a booth of its own until SIGTERM or Ctrl-C; pictures that were promised are finished first.

    Args:
        engine: started here unless it is; it loads while the page is already up and says so.
        host: 127.0.0.1 for this machine alone, 0.0.0.0 for the network.
        port: 1 to 65535; 0 takes a free one and says which.
        say: told where it is.
        guard: the engine's own.

    Raises:
        RequestError: the port is taken. OutputError, RecipeError, DataError: as `mount`.
    """
    listening = listen(host, port)
    from fastapi import FastAPI

    from .server import run

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount(app, engine, settings, "/", guard)
    engine.start()
    here = f"http://127.0.0.1:{listening.getsockname()[1]}"
    say(f"Booth: {here}/")
    if settings.pin:
        say(f"Staff: {here}/booth/staff")
    if settings.lan_url:
        say(f"--lan: phones in this network reach it at {settings.lan_url}/. The connection is not encrypted.")
    try:
        run(app, engine, listening)
    finally:
        engine.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound.

    Raises:
        RequestError: the port cannot be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # Heard from now on: a browser that comes while we get ready waits, and is not refused.
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise RequestError(f"port {port}: cannot be used ({error}). Choose another: --port 7861, or 0 for any that is free.") from error
    return listening


def own_address() -> str:
    """This machine's address in its network; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]
