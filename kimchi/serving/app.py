"""The application: its routes, what stands around them, and what becomes of every error."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kimchi import __version__
from kimchi.errors import KimchiError

from . import about, images
from .door import Door
from .refusals import Refusal, language_of
from .service import Service, service_of
from .settings import Settings
from .threads import off_loop
from .watch import Watch

if TYPE_CHECKING:
    from kimchi.generation.engine import Engine

_CLOSE_S = 1.0
"""How long the step under way is waited for at the end, seconds."""
_EXPOSED = ("X-Request-Id", "X-Kimchi-Model-Hash", "Retry-After")
_DESCRIPTION = "Pictures from Korean prompts, for OpenAI's image clients. 한국어 프롬프트를 그대로 알아듣습니다."


def create_app(engine: "Engine", settings: Settings) -> FastAPI:
    """The server of an engine as an ASGI application. Its lifespan starts the engine, and closes it.

    Args:
        engine: loaded or not; whoever has started it already may do so.
        settings: what is not about drawing.

    Raises:
        ServeError: the file of keys cannot be read.
    """
    service = Service(engine, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        if engine.state == "new":
            engine.start()
        yield
        # Loading cannot be interrupted, and is not waited for.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await off_loop(engine.close)

    app = FastAPI(
        title="KIMCHI", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None, lifespan=lifespan, middleware=_around(service),
        exception_handlers={Refusal: _refused, RequestValidationError: _invalid, HTTPException: _http, KimchiError: _unforeseen},
        # Pages of ours say `/docs`, and no address is answered by sending the client elsewhere.
        redirect_slashes=False, telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )  # fmt: skip
    app.state.service = service
    keyed = [Depends(HTTPBearer(auto_error=False, scheme_name="key", description="Where the server asks for keys."))]
    app.include_router(images.router, dependencies=keyed)
    app.include_router(about.router)
    app.openapi = lambda: _openapi(app, settings)
    return app


def _around(service: Service) -> list[Middleware]:
    cors = Middleware(
        CORSMiddleware, allow_origins=service.settings.cors, allow_methods=("GET", "POST"), allow_headers=("Authorization", "Content-Type"),
        expose_headers=_EXPOSED,
    )  # fmt: skip
    # Watch outermost, so that what CORS or the door answers is counted and bears the same headers.
    return [Middleware(Watch, service=service), *([cors] if service.settings.cors else []), Middleware(Door, service=service)]


def _openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in made["paths"].values():
            for operation in path.values():
                # FastAPI writes 422 for what is 400 here, as with OpenAI.
                operation["responses"].pop("422", None)
                if "security" in operation:
                    # Where no key is asked for, none is needed; and that may change while the server runs.
                    operation["security"].append({})
        _limit(made["components"]["schemas"], settings)
        app.openapi_schema = made
    return app.openapi_schema


def _limit(schemas: dict[str, Any], settings: Settings) -> None:
    """Write this server's own limits into the description."""
    limits = {"n": ("maximum", settings.max_n), "steps": ("maximum", settings.max_steps), "num_inference_steps": ("maximum", settings.max_steps)}
    limits |= {name: ("maxLength", settings.prompt_chars) for name in ("prompt", "negative_prompt")}
    for body in ("GenerationRequest", "CompareRequest"):
        for name, (key, value) in limits.items():
            field = schemas[body]["properties"].get(name, {})
            for one in (field, *field.get("anyOf", ())):
                if key in one:
                    one[key] = value
    for gone in ("HTTPValidationError", "ValidationError"):
        schemas.pop(gone, None)


def _said(request: Request, refusal: Refusal) -> Response:
    service = service_of(request)
    service.metrics.refused(refusal.code)
    values = service.values() | {"request": request.state.request}
    return JSONResponse(refusal.body(language_of(request.headers), values), refusal.status, refusal.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _said(request, error)


async def _unforeseen(request: Request, error: Exception) -> Response:
    assert isinstance(error, KimchiError)
    return _said(request, service_of(request).refusal(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _said(request, Refusal("method_not_allowed", allow=(error.headers or {}).get("Allow", "GET")))
    return _said(request, Refusal({404: "not_found", 413: "body_too_large"}.get(error.status_code, "invalid_json"), limit=_body(request)))


def _body(request: Request) -> int:
    return service_of(request).settings.body_bytes


async def _invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong with a body, in our words: pydantic's would repeat what was sent."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = [part for part in first["loc"] if isinstance(part, str)]
    if where[:1] == ["path"]:
        return _said(request, Refusal("not_found"))
    if len(where) < 2:
        return _said(request, Refusal("invalid_json"))
    code = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}.get(first["type"], "invalid_value")
    return _said(request, Refusal(code, _param(where[1])))


def _param(name: str) -> str:
    """A field's name as it may be said again: what a client invents is cut, and stripped of what no field is made of."""
    shown = "".join(c for c in name[:64] if c.isalnum() or c in "_-.")
    return {"num_inference_steps": "steps", "guidance_scale": "guidance"}.get(shown, shown)
