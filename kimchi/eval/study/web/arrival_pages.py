"""How a rater comes in: start, consent, personal code, and going on another day."""

from typing import Any

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kimchi.eval.study.codes import grouped, tidy
from kimchi.eval.study.store import Refused, Session, Why, places, refills

from .attempts import TooMany
from .desk import CODE, LANGUAGE, SEAT, Desk, desk_of, set_cookie
from .forms import go_to, read_form, route, say
from .texts import texts


async def show_start(request: Request) -> Response:
    """GET /: what awaits the rater, in the language they choose."""
    desk = desk_of(request)
    session = await desk.session(request)
    going = session is not None and session.state == "claimed" and session.consent_at is not None
    response = desk.page(request, "start.html", seated=going, size=desk.served.size, shows_text=desk.served.shows_any_text)
    asked = request.query_params.get("lang")
    if asked in desk.served.languages:
        set_cookie(response, LANGUAGE, asked)
    return response


async def show_consent(request: Request) -> Response:
    """GET /consent: the text, whose hash is stored with the answer."""
    return _consent(request)


async def take_consent(request: Request) -> Response:
    """POST /consent: a place is claimed only now; nothing was stored before."""
    desk, form = desk_of(request), await read_form(request)
    said, language = texts(desk.language(request)), desk.language(request)
    session = await desk.session(request)
    if session is not None and session.state == "claimed" and session.consent_at is not None:
        return go_to("/rate")  # the button was pressed twice
    if form.get("version") != desk.served.consent_hash(language):
        return _consent(request, problem=said["consent_changed"], status=409)
    if form.get("agree") != "1":
        return _consent(request, problem=said["consent_needed"], status=400)
    try:
        claimed = await desk.claims.once(form.get("once", ""), lambda: _claim(desk, request, form))
    except Refused as refusal:
        return _consent(request, problem=desk.why(refusal.why, language), status=desk.status(refusal.why))
    except TooMany:
        return _consent(request, problem=said["error_429"], status=429)
    response = go_to("/rate" if desk.kiosk else "/code")
    set_cookie(response, SEAT, claimed.id)
    set_cookie(response, CODE, claimed.code)
    return response


async def _claim(desk: Desk, request: Request, form: dict[str, str]) -> Session:
    language, now = desk.language(request), desk.now()
    text, device, release = desk.served.consent_hash(language), desk.device(request), form.get("release") == "1"
    invite = form.get("invite", "") if desk.served.by_invitation else None

    def work(connection: Connection) -> Session:
        # One transaction: a place is never taken by somebody who has not agreed.
        session = _place(connection, now, invite, language)
        places.consent(connection, session_id=session.id, version_hash=text, device_class=device, release=release, language=language, now=now)
        return session

    if invite is None:
        return await desk.writer.write(work)
    async with desk.attempts.one(invite):
        return await desk.writer.write(work)


def _place(connection: Connection, now: int, invite: str | None, language: str) -> Session:
    try:
        return places.claim(connection, now=now, invited_by=invite, language=language)
    except Refused as refusal:
        if refusal.why is not Why.FULL or not refills.refill(connection):
            raise
    return places.claim(connection, now=now, invited_by=invite, language=language)


def _consent(request: Request, *, problem: str = "", status: int = 200) -> Response:
    desk = desk_of(request)
    language = desk.language(request)
    values: dict[str, Any] = {
        "consent": desk.served.consent(language),
        "privacy": desk.served.privacy(language),
        "consent_hash": desk.served.consent_hash(language),
        "once": desk.claims.ticket(),
    }
    return desk.page(request, "consent.html", status=status, problem=problem, by_invitation=desk.served.by_invitation, **values)


async def show_refused(request: Request) -> Response:
    """GET /refused: thanks to who does not take part."""
    return say(request, "refused")


async def show_code(request: Request) -> Response:
    """GET /code: the personal code, which this browser alone still knows."""
    desk = desk_of(request)
    await desk.seated(request)
    code = request.cookies.get(CODE, "")
    return desk.page(request, "code.html", code=grouped(code)) if code else go_to("/rate")


async def resume(request: Request) -> Response:
    """POST /resume: go on by the personal code."""
    desk, form = desk_of(request), await read_form(request)
    code, language = form.get("code", ""), desk.language(request)
    try:
        async with desk.attempts.one(code):
            session = await run_in_threadpool(desk.store.resume, code, now=desk.now())
    except (Refused, TooMany) as error:
        problem = desk.why(error.why, language) if isinstance(error, Refused) else texts(language)["error_429"]
        status = desk.status(error.why) if isinstance(error, Refused) else 429
        return desk.page(request, "start.html", status=status, problem=problem, seated=False, size=desk.served.size, shows_text=desk.served.shows_any_text)
    desk.windows.forget(session.slot)
    response = go_to("/thanks" if session.state == "done" else "/rate")
    set_cookie(response, SEAT, session.id)
    set_cookie(response, CODE, tidy(code) or "")
    return response


ROUTES = [
    *route("/", show_start),
    *route("/consent", show_consent, take_consent),
    *route("/refused", show_refused),
    *route("/code", show_code),
    *route("/resume", None, resume),
]
