"""What pages share: reading a form, going on, saying one thing, and routes."""

from typing import Any
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .desk import desk_of
from .guards import foreign
from .texts import texts

_FIELDS = 12


def say(request: Request, name: str) -> Response:
    """A page with nothing but a title and a line: texts NAME_title and NAME_lead."""
    desk = desk_of(request)
    said = texts(desk.language(request))
    return desk.page(request, "said.html", title=said[f"{name}_title"], lead=said[f"{name}_lead"])


def go_to(address: str) -> Response:
    """Send the browser on, by GET."""
    return RedirectResponse(address, status_code=303)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent.

    Raises:
        HTTPException: 403 from another site, 400 not a form.
    """
    if foreign(request.headers):
        raise HTTPException(403)
    try:
        found = parse_qs((await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError as error:
        raise HTTPException(400) from error
    return {name: values[-1].replace("\0", "") for name, values in found.items()}


def route(path: str, show: Any, take: Any = None) -> list[Route]:
    """What answers GET and what answers POST."""
    return [Route(path, one, methods=[method]) for method, one in (("GET", show), ("POST", take)) if one is not None]
