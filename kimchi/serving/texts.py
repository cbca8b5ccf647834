"""What the server says to people, in Korean or English."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

LANGUAGES = ("en", "ko")
"""The first is what a client gets that names none: programs seldom do."""


@cache
def texts(language: str) -> Mapping[str, str]:
    """Key => text; both files have the same keys."""
    return json.loads((resources.files("kimchi.serving") / "texts" / f"{language}.json").read_text(encoding="utf-8"))


def fill(text: str, values: Mapping[str, object]) -> str:
    """Put values in the braces of a text, once: what a value holds in braces stays as it is."""
    parts = text.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        filled.append(f"{values[name]}{rest}" if brace and name in values else "{" + part)
    return "".join(filled)


def choose(accepted: str) -> str:
    """The language of an answer: of those we speak, what Accept-Language weighs most; the first of equals."""
    best, weight = LANGUAGES[0], 0.0
    for part in accepted[:1000].split(","):
        tag, _, quality = part.partition(";")
        language = tag.strip()[:2].lower()
        if language in LANGUAGES and _weight(quality) > weight:
            best, weight = language, _weight(quality)
    return best


def _weight(quality: str) -> float:
    try:
        return float(quality.partition("=")[2] or 1)
    except ValueError:
        return 0.0
