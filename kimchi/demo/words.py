"""What the pages say: a table of texts a language, and none of it anywhere else."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

_FOLDER = resources.files("kimchi.demo") / "texts"
ENGLISH = "en"
"""The second language of every booth."""


@cache
def words(language: str) -> Mapping[str, str]:
    """Key => text; every file of texts/ has the same keys. A language without a file gets the English one."""
    file = _FOLDER / f"{language}.json"
    return json.loads((file if file.is_file() else _FOLDER / f"{ENGLISH}.json").read_text(encoding="utf-8"))


def languages(culture: str) -> tuple[str, ...]:
    """The two languages of a booth, the culture's own first; English alone where there are no texts in that one."""
    return (culture, ENGLISH) if culture != ENGLISH and (_FOLDER / f"{culture}.json").is_file() else (ENGLISH,)


def fill(text: str, **values: object) -> str:
    """Put values into the braces of a text."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
