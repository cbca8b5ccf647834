"""What all requests share: the study, its database, the clock, and the small memories of a running server."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from kimchi import __version__
from kimchi.errors import OutputError
from kimchi.eval.study.store import MAX_COMMENT, Refused, Session, Store, Why
from kimchi.eval.study.store.engine import Database

from .attempts import Attempts, Pace
from .claims import Claims
from .served import Served
from .texts import choose, fill, texts
from .windows import Windows
from .writer import Writer

SEAT, CODE, LANGUAGE = "seat", "code", "lang"
"""Cookies: the session, the personal code (so that the last page can show it again), the language."""
_COOKIE_S = 90 * 24 * 60 * 60
_REJECTIONS = 50
"""Refused answers a session may leave in the record: a broken page must not fill the disk with them."""
_STATUS = {
    Why.NOT_LOCKED: 503, Why.FULL: 503, Why.UNKNOWN_CODE: 403, Why.SPENT_INVITE: 403, Why.WITHDRAWN: 409, Why.EXPIRED: 409, Why.DONE: 409,
    Why.NO_SESSION: 401, Why.NO_CONSENT: 401, Why.TOO_LONG: 413,
}  # fmt: skip


class Desk:
    """The state of a running server. All that must outlive it lies in the database."""

    def __init__(self, folder: Path, clock: Callable[[], int], *, kiosk: bool = False, token: str = "") -> None:
        """Open a locked study.

        Args:
            folder: of the study.
            clock: UTC milliseconds.
            kiosk: a booth: nobody types a code, and each rater is forgotten by the browser.
            token: what the operator's page asks for; empty, there is no such page.

        Raises:
            StudyError: not locked, or changed since.
        """
        self.served = Served(folder)
        self.now, self.kiosk, self.token = clock, kiosk, token
        database = Database(self.served.database)
        self.store, self.writer = Store(database), Writer(database)
        self.attempts, self.pace, self.claims, self.windows = Attempts(), Pace(), Claims(), Windows()
        self._rejected: dict[str, int] = {}
        self._pages = Environment(loader=PackageLoader("kimchi.eval.study.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._pages.filters["fill"] = fill

    def close(self) -> None:
        """Finish what is under way and give the database back."""
        self.writer.close()
        self.store.close()

    # Who is asking.

    async def session(self, request: Request) -> Session | None:
        """The session of the browser's cookie, if it is one."""
        seat = request.cookies.get(SEAT, "")
        if not re.fullmatch("[0-9a-f]{32}", seat):
            return None
        try:
            return await run_in_threadpool(self.store.session, seat)
        except Refused:
            return None

    async def seated(self, request: Request, *, done: bool = False) -> Session:
        """The session of a rater who has agreed and may answer; with `done`, or has finished.

        Raises:
            HTTPException: 401, nobody is known by this cookie.
            Refused: the place is closed.
        """
        session = await self.session(request)
        if session is None or session.consent_at is None:
            raise HTTPException(401)
        if session.state != "claimed" and not (done and session.state == "done"):
            raise Refused(Why(session.state), "the place is closed")
        return session

    def device(self, request: Request) -> str:
        """All that is kept of the device; the description that the browser sends is not."""
        said = request.headers.get("user-agent", "")
        if self.kiosk:
            return "kiosk"
        if "iPad" in said or "Tablet" in said or ("Android" in said and "Mobi" not in said):
            return "tablet"
        return "phone" if "Mobi" in said else "laptop"

    # What they read.

    def language(self, request: Request) -> str:
        """Of a page before there is a session."""
        asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE)
        return choose(asked, request.headers.get("accept-language", ""), self.served.languages)

    def language_of(self, session: Session) -> str:
        """What a rater chose at consent: later pages keep to it, whatever the browser says."""
        return session.language if session.language in self.served.languages else self.served.languages[0]

    def page(self, request: Request, template: str, *, status: int = 200, language: str = "", **values: Any) -> HTMLResponse:
        """A template as an answer."""
        lang = language or self.language(request)
        offered = [{"tag": tag, "name": texts(tag)["language"]} for tag in self.served.languages]
        shared = {
            "lang": lang, "t": texts(lang), "study": self.served.title(lang), "kiosk": self.kiosk, "languages": offered, "version": __version__,
            "problem": "",
        }  # fmt: skip
        return HTMLResponse(self._pages.get_template(template).render(shared | values), status_code=status)

    def why(self, why: Why, language: str) -> str:
        """A refusal in the rater's words."""
        said = texts(language)
        return said.get(f"why_{why.value}") or self.error(self.status(why), language)

    def error(self, status: int, language: str) -> str:
        """An error in the rater's words."""
        said = texts(language)
        return fill(said.get(f"error_{status}", said["error_500" if status >= 500 else "error_400"]), n=f"{MAX_COMMENT:,}")

    def status(self, why: Why) -> int:
        """The HTTP status of a refusal."""
        return _STATUS.get(why, 422)

    async def note_rejected(self, seat: str, why: Why) -> None:
        """Leave a trace of an answer that was turned away, for the operator to see."""
        self._rejected[seat] = self._rejected.get(seat, 0) + 1
        if self._rejected[seat] > _REJECTIONS:
            return
        # An invented session, a closed place or a full disk leaves none.
        with suppress(Refused, OutputError):
            await run_in_threadpool(self.store.event, seat, "rejected", now=self.now(), detail={"why": why.value})


def desk_of(request: Request) -> Desk:
    """The desk of the application that a request came to."""
    return request.app.state.desk


def set_cookie(response: Response, name: str, value: str) -> None:
    """A cookie that no script reads and no other site sends. Not `secure`: a booth's network has no certificate."""
    response.set_cookie(name, value, max_age=_COOKIE_S, httponly=True, samesite="strict")
