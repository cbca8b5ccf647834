"""The pages after consent: rating, exit question, thanks; and withdrawing."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kimchi.eval.study.codes import grouped
from kimchi.eval.study.store import Refused, Session, Why

from .attempts import TooMany
from .desk import CODE, LANGUAGE, SEAT, desk_of
from .forms import go_to, read_form, route, say
from .texts import texts

_TEXT_CHARS = 900
"""Longest free text of the exit question, characters: two of them fit one event even when every sign is escaped."""
_GUESSES = ("yes", "some", "no", "none")


async def show_rate(request: Request) -> Response:
    """GET /rate: the rating page; its script asks for the screens."""
    desk = desk_of(request)
    session = await desk.session(request)
    if session is None or session.consent_at is None:
        return go_to("/")
    if session.state == "done":
        return go_to("/thanks")
    if session.state != "claimed":
        raise Refused(Why(session.state), "the place is closed")
    # At a booth nobody is shown the code before: whoever leaves early finds it there.
    code = grouped(request.cookies.get(CODE, "")) if desk.kiosk else ""
    return desk.page(request, "rate.html", language=desk.language_of(session), code=code)


async def show_exit(request: Request) -> Response:
    """GET /exit: the last question, once every screen is answered."""
    desk = desk_of(request)
    session = await desk.seated(request)
    trials = await run_in_threadpool(desk.store.trials, session.slot)
    if not all(trial.complete for trial in trials if trial.kind != "practice"):
        return go_to("/rate")
    return _exit(request, session)


def _exit(request: Request, session: Session, *, problem: str = "", given: dict[str, str] | None = None) -> Response:
    desk, blank = desk_of(request), dict.fromkeys(("guess", "how", "words"), "")
    values: dict[str, Any] = {"given": blank | (given or {}), "text_chars": _TEXT_CHARS, "problem": problem}
    return desk.page(request, "exit.html", status=400 if problem else 200, language=desk.language_of(session), **values)


async def take_exit(request: Request) -> Response:
    """POST /exit: the guess and last words; the rater is done."""
    desk, form = desk_of(request), await read_form(request)
    session = await desk.seated(request, done=True)
    if session.state == "done":
        return go_to("/thanks")
    said = texts(desk.language_of(session))
    detail = {name: form.get(name, "").strip() for name in ("guess", "how", "words")}
    if detail["guess"] not in _GUESSES:
        return _exit(request, session, problem=said["exit_needed"], given=detail)
    if max(len(detail["how"]), len(detail["words"])) > _TEXT_CHARS:
        return _exit(request, session, problem=said["comment_long"].replace("{n}", str(_TEXT_CHARS)), given=detail)
    await run_in_threadpool(desk.store.event, session.id, "exit", now=desk.now(), detail=detail)
    await run_in_threadpool(desk.store.finish, session.id, now=desk.now())
    return go_to("/thanks")


async def show_thanks(request: Request) -> Response:
    """GET /thanks: the end, with the code that still withdraws."""
    desk = desk_of(request)
    session = await desk.session(request)
    if session is None or session.state != "done":
        return go_to("/")
    code = request.cookies.get(CODE, "")
    return desk.page(request, "thanks.html", code=grouped(code) if code else "", until=desk.served.until, language=desk.language_of(session))


async def leave(request: Request) -> Response:
    """POST /leave: the rater goes; a booth forgets them, their own device does not."""
    desk = desk_of(request)
    await read_form(request)
    response = go_to("/")
    if desk.kiosk:
        for name in (SEAT, CODE, LANGUAGE):
            response.delete_cookie(name)
    return response


async def show_withdraw(request: Request) -> Response:
    """GET /withdraw: asks for the code."""
    return desk_of(request).page(request, "withdraw.html", problem="")


async def withdraw(request: Request) -> Response:
    """POST /withdraw: every answer of the code's rater is erased."""
    desk, form = desk_of(request), await read_form(request)
    code, language = form.get("code", ""), desk.language(request)
    if form.get("sure") != "1":
        return desk.page(request, "withdraw.html", status=400, problem=texts(language)["withdraw_needed"])
    try:
        async with desk.attempts.one(code):
            await run_in_threadpool(desk.store.withdraw, code, now=desk.now())
    except Refused as refusal:
        return desk.page(request, "withdraw.html", status=desk.status(refusal.why), problem=desk.why(refusal.why, language))
    except TooMany:
        return desk.page(request, "withdraw.html", status=429, problem=texts(language)["error_429"])
    response = say(request, "withdrawn")
    for name in (SEAT, CODE):
        response.delete_cookie(name)
    return response


ROUTES = [
    *route("/rate", show_rate),
    *route("/exit", show_exit, take_exit),
    *route("/thanks", show_thanks),
    *route("/leave", None, leave),
    *route("/withdraw", show_withdraw, withdraw),
]
