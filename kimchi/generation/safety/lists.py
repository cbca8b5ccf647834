"""Blocklists on disk: one YAML file a language, and the categories they sort words into.

Listing the folder is the register: a file `ja.yaml` beside `ko.yaml` is read the next time, and needs no Python.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kimchi.errors import DataError

from .matching import Kind, Word

SHIPPED = Path(__file__).parent / "lists"
"""The lists of the package."""
OWN = "own"
"""The category of what an operator added."""
_CATEGORIES = "categories.yaml"
_Words = tuple[str, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Category(_Strict):
    """Why words are refused, in the words of the staff's page. Visitors never read it."""

    name: dict[str, str]
    """By language."""
    reason: dict[str, str]
    """One sentence, by language."""


class Listed(_Strict):
    """The words of one category."""

    inside: _Words = ()
    """Found within longer words too."""
    whole: _Words = ()
    """Only as words of their own, with the language's endings."""
    together: tuple[_Words, ...] = ()
    """Refused when a word of every row is in the prompt."""


class Blocklist(_Strict):
    """One language's file."""

    language: str
    """Language tag, BCP 47."""
    scripts: _Words = Field(min_length=1)
    """Scripts it is written in, as Unicode names them; letters of others are filling between its own."""
    endings: _Words = ()
    """What a word may take and remain itself."""
    allowed: _Words = ()
    """Harmless words and phrases that hold a refused one."""
    categories: dict[str, Listed]
    """By the keys of categories.yaml."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Categories stand at the top of the file, beside the keys above."""
        if not isinstance(data, dict):
            raise ValueError("a blocklist is a YAML mapping of keys to values")
        own = {key: data[key] for key in data if key in cls.model_fields and key != "categories"}
        return {**own, "categories": {key: data[key] for key in data if key not in own}}

    def words(self) -> Iterator[Word]:
        """Every entry, as the finder takes them."""
        yield from (Word(text, "allowed", "") for text in self.allowed)
        for category, listed in self.categories.items():
            yield from _words(listed.inside, "inside", category)
            yield from _words(listed.whole, "whole", category)
            for group, row in enumerate(listed.together, start=1):
                yield from _words(row, "whole", category, group)


def _words(texts: _Words, kind: Kind, category: str, group: int = 0) -> Iterator[Word]:
    return (Word(text, kind, category, group) for text in texts)


def read_lists(folder: Path) -> tuple[Blocklist, ...]:
    """The lists of a folder, by name.

    Raises:
        DataError: none there, not YAML, an unknown key, or a category that categories.yaml does not have.
    """
    files = sorted(path for path in folder.glob("*.yaml") if path.name != _CATEGORIES)
    if not files:
        raise DataError(f"{folder}: holds no blocklist. Give a folder with files such as ko.yaml, or leave it out for the lists of the package.")
    known = read_categories(folder)
    return tuple(_read(path, known) for path in files)


def read_categories(folder: Path) -> dict[str, Category]:
    """The categories of a folder; those of the package where it has none of its own."""
    path = folder / _CATEGORIES
    data = _yaml(path if path.is_file() else SHIPPED / _CATEGORIES)
    try:
        return {key: Category.model_validate(value) for key, value in data.items()}
    except (ValidationError, AttributeError) as error:
        raise DataError(f"{path}: {_told(error)} See {SHIPPED / _CATEGORIES} for the form.") from error


def _read(path: Path, known: dict[str, Category]) -> Blocklist:
    try:
        read = Blocklist.model_validate(_yaml(path))
    except ValidationError as error:
        raise DataError(f"{path}: {_told(error)} See {SHIPPED / 'ko.yaml'} for the form.") from error
    if unknown := set(read.categories) - set(known):
        raise DataError(f"{path}: {', '.join(sorted(unknown))} is no category of {_CATEGORIES}. Use one of {', '.join(known)}, or add it there.")
    return read


def _yaml(path: Path) -> Any:
    try:
        # NFC: an editor on macOS may save Hangul as loose jamo.
        return yaml.safe_load(unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML ({error}). See {SHIPPED / 'ko.yaml'} for the form.") from error


def _told(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{error}."
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
