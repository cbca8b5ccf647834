"""What the rating page asks for and sends, as JSON: its screens, one answer at a time, words, and which window may answer."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kimchi.eval.study.store import Refused
from kimchi.eval.study.store.taps import Tap, rate, remark

from .desk import Desk, desk_of
from .guards import foreign
from .screens import plan

_Name = Annotated[str, Field(max_length=64)]
# A counter beyond 64 bits would reach SQLite and fail there.
_Number = Annotated[int, Field(ge=-(2**53), le=2**53)]


class _Body(BaseModel):
    # Strict: "3" and 3.0 are no answers. What a later page adds is let pass, since an old page may talk to a newer server and the other way round.
    model_config = ConfigDict(strict=True, extra="ignore")


class _Answer(_Body):
    seat: _Name
    """The session: what was queued for one rater is never stored for the next one at the same booth."""
    trial: _Number
    criterion: _Name
    value: _Number
    rev: _Number
    rt_ms: float | None = None
    shown_ms: float | None = None
    client_uuid: _Name


class _Words(_Body):
    seat: _Name
    trial: _Number
    text: str
    client_uuid: _Name


class _Window(_Body):
    tab: _Name
    take: bool = False
    leave: bool = False


_B = TypeVar("_B", bound=_Body)


async def _read(request: Request, body: type[_B]) -> _B:
    if foreign(request.headers):
        raise HTTPException(403)
    try:
        return body.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(400) from error


async def show_plan(request: Request) -> JSONResponse:
    """GET /api/plan: the screens of the rater whose cookie it is, with the answers that stand."""
    desk = desk_of(request)
    session = await desk.seated(request)
    trials = await run_in_threadpool(desk.store.trials, session.slot)
    return JSONResponse(plan(desk, session, trials))


async def take_answer(request: Request) -> JSONResponse:
    """POST /api/tap: one answer, on the disk before it is acknowledged; sent twice, it is one."""
    desk, sent = desk_of(request), await _read(request, _Answer)
    tap = Tap(
        trial=sent.trial, criterion=sent.criterion, value=sent.value, rev=sent.rev,
        rt_ms=_whole(sent.rt_ms), shown_ms=_whole(sent.shown_ms), client_uuid=sent.client_uuid,
    )  # fmt: skip
    receipt = await _write(desk, sent.seat, lambda connection: rate(connection, sent.seat, tap, desk.now()))
    return JSONResponse({"rev": receipt.rev, "again": receipt.again})


async def take_words(request: Request) -> JSONResponse:
    """POST /api/comment: a rater's words about a picture."""
    desk, sent = desk_of(request), await _read(request, _Words)
    new = await _write(
        desk, sent.seat,
        lambda connection: remark(connection, sent.seat, trial_id=sent.trial, text=sent.text, client_uuid=sent.client_uuid, now=desk.now()),
    )  # fmt: skip
    return JSONResponse({"again": not new})


async def ask_window(request: Request) -> JSONResponse:
    """POST /api/tab: whether this window may answer; the one that was there first may, and another only looks."""
    desk, sent = desk_of(request), await _read(request, _Window)
    session = await desk.session(request)
    if session is None:
        raise HTTPException(401)
    if sent.leave:
        desk.windows.leave(session.slot, sent.tab)
        return JSONResponse({"here": False})
    # A session that ended without the place being done goes on elsewhere, by the personal code.
    moved = session.ended_at is not None and session.state == "claimed"
    return JSONResponse({"here": not moved and desk.windows.ask(session.slot, sent.tab, take=sent.take)})


async def _write(desk: Desk, seat: str, work: Callable[[Connection], Any]) -> Any:
    if not desk.pace.allows(seat):
        raise HTTPException(429)
    try:
        return await desk.writer.write(work)
    except Refused as refusal:
        await desk.note_rejected(seat, refusal.why)
        raise


def _whole(ms: float | None) -> int | None:
    """Browsers count in fractions; what is no time (nan, 1e300) is none."""
    return round(ms) if ms is not None and 0 <= ms < 1e12 else None


ROUTES = [
    Route("/api/plan", show_plan),
    Route("/api/tap", take_answer, methods=["POST"]),
    Route("/api/comment", take_words, methods=["POST"]),
    Route("/api/tab", ask_window, methods=["POST"]),
]
