"""What a client or a machine asks about the server: models, health, numbers, and the page that explains it all."""

import time
from importlib import resources
from typing import Any, Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from .answers import Health, ModelList, ServedModel
from .images import REFUSALS
from .refusals import Refusal, closed, language_of
from .service import Service, service_of
from .texts import LANGUAGES

router = APIRouter()
_BORN = int(time.time())
_NOT_YET: dict[int | str, dict[str, Any]] = {503: {**REFUSALS[503], "description": "Being loaded, about to stop, or broken."}}
_STATIC = resources.files("kimchi.serving") / "static"
_KINDS = {"docs.js": "text/javascript", "docs.css": "text/css"}


@router.get("/v1/models", tags=["models"], response_model=ModelList, responses={401: REFUSALS[401]}, summary="The model that is served")
async def list_models(request: Request) -> ModelList:
    """One server serves one model."""
    return ModelList(data=[_model(service_of(request))])


@router.get(
    "/v1/models/{model}", tags=["models"], response_model=ServedModel, responses={status: REFUSALS[status] for status in (401, 404)}, summary="One model"
)
async def show_model(model: str, request: Request) -> ServedModel:
    """The same, by name."""
    if model != service_of(request).settings.model_id:
        raise Refusal("model_not_found", "model")
    return _model(service_of(request))


def _model(service: Service) -> ServedModel:
    told = {key: value for key, value in service.identity.items() if key != "model"}
    if told:
        told |= {"max_n": service.settings.max_n, "max_steps": service.settings.max_steps, "max_size_px": service.max_size_px}
    return ServedModel(id=service.settings.model_id, created=_BORN, kimchi=told)


@router.get("/health", tags=["health"], response_model=Health, responses=_NOT_YET, summary="Whether pictures can be asked for")
async def health(request: Request) -> Response:
    """200 once the model is warm, while it draws as well; 503 before, and while the server stops."""
    state = service_of(request).engine.state
    if state == "ready":
        return JSONResponse({"status": state})
    refusal = closed(state)
    body = {"status": state, **refusal.body(language_of(request.headers), service_of(request).values())}
    return JSONResponse(body, refusal.status, refusal.headers)


@router.get("/v1/health/ready", tags=["health"], response_model=Health, responses=_NOT_YET, summary="The same, where NIM's probes look for it")
async def ready(request: Request) -> Response:
    """As /health."""
    return await health(request)


@router.get("/v1/health/live", tags=["health"], response_model=Health, responses=_NOT_YET, summary="Whether the process is worth keeping")
async def live(request: Request) -> Response:
    """200 unless the engine has broken, which only a restart mends."""
    return await health(request) if service_of(request).engine.state == "failed" else JSONResponse({"status": "live"})


@router.get(
    "/metrics", tags=["health"], summary="Numbers for Prometheus",
    response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def show_metrics(request: Request) -> Response:
    """Requests, pictures, queue, times, the engine's state, the model's hash. No prompt, key or address."""
    # Not through media_type, which would add a second charset.
    return Response(service_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/", include_in_schema=False)
@router.get("/docs", include_in_schema=False)
async def show_docs(request: Request, lang: Literal["ko", "en"] | None = None) -> HTMLResponse:
    """The page, which draws itself from /openapi.json: nothing of it comes from elsewhere."""
    asked = request.headers.get("accept-language", "")
    language = lang or (language_of(request.headers) if asked else LANGUAGES[0])
    return HTMLResponse((_STATIC / f"docs.{language}.html").read_text(encoding="utf-8").replace("{root}", request.scope.get("root_path", "").rstrip("/")))


@router.get("/docs/{name}", include_in_schema=False)
async def show_docs_part(name: str) -> Response:
    """Its script and style sheet."""
    if name not in _KINDS:
        raise Refusal("not_found")
    return Response((_STATIC / name).read_bytes(), media_type=_KINDS[name], headers={"Cache-Control": "max-age=300"})
