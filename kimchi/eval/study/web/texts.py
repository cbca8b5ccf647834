"""What the pages say, in the rater's language."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

_FOLDER = resources.files("kimchi.eval.study.web") / "texts"


@cache
def texts(language: str) -> Mapping[str, str]:
    """Key => text; every file of texts/ has the same keys. A culture whose language has no file yet gets the English one."""
    file = _FOLDER / f"{language}.json"
    return json.loads((file if file.is_file() else _FOLDER / "en.json").read_text(encoding="utf-8"))


def fill(text: str, **values: object) -> str:
    """Put values in the braces of a text; anything else in braces stays, since texts of a protocol may hold some."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def choose(asked: str | None, accepted: str, offered: tuple[str, ...]) -> str:
    """The language of a page: what the rater chose, or the first of Accept-Language that is offered, or the study's own."""
    wanted = [asked or "", *(part.split(";")[0].strip()[:2].lower() for part in accepted.split(","))]
    return next((tag for tag in wanted if tag in offered), offered[0])
