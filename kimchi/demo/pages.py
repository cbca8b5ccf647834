"""Markup out of templates; every value is escaped."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from kimchi import __version__

from .desk import Desk
from .words import words

_HUNG = 9
"""Pictures that the first page shows of the gallery."""


@cache
def _environment() -> Environment:
    loader = PackageLoader("kimchi.demo", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def visit_markup(desk: Desk, base: str) -> str:
    """The visitor's page, for one gr.HTML.

    Args:
        base: path under which the booth lies, "" for the root.
    """
    settings = desk.settings
    visible = {key: value for key, value in settings_of(desk).items()}
    setup = {
        "base": base,
        "language": desk.language,
        "languages": desk.languages,
        "words": {tag: _visitors(words(tag)) for tag in desk.languages},
        "idle_s": settings.idle_s,
        "kiosk": settings.kiosk,
        "hung": _HUNG,
    }
    return _environment().get_template("visit.html").render(setup=setup, said=words(desk.language), languages=desk.languages, hall=desk.hall, **visible)


def settings_of(desk: Desk) -> dict[str, Any]:
    """What templates ask of the settings."""
    settings = desk.settings
    return {"kiosk": settings.kiosk, "lan": bool(settings.lan_url), "keep_prompts": settings.keep_prompts}


def _visitors(said: Any) -> dict[str, str]:
    return {key: text for key, text in said.items() if not key.startswith("staff_")}


def take_page(desk: Desk, name: str, language: str) -> str:
    """A phone's page with one picture; without a name, that it is gone."""
    return _environment().get_template("take.html").render(name=name, said=words(language), language=language, hall=desk.hall, version=__version__)


def staff_page(desk: Desk, language: str, **values: Any) -> str:
    """The staff's page: the door, or the desk."""
    others = [tag for tag in desk.languages if tag != language]
    said = words(language)
    return (
        _environment()
        .get_template("staff.html")
        .render(said=said, language=language, other=others[0] if others else "", hall=desk.hall, version=__version__, **values)
    )
