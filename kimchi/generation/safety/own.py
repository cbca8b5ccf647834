"""What an operator blocks or allows while the booth runs: one small file, written whole, read again when another process changed it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from kimchi.data.files import write_text
from kimchi.errors import DataError, PromptError

from .folding import fold
from .lists import OWN
from .matching import Word

FILE = "blocklist.yaml"
"""Its name in the folder that is given."""
_HEADER = """\
# What this booth blocks beside the lists that ship with KIMCHI, and what of those it allows. Written by the staff page; edit it if you like,
# it is read again at the next prompt.
"""
_LONGEST = 60
_LONG_HANGUL, _LONG_LATIN = 3, 5
"""From so many letters on, an added word is found within longer words as well: a short one would block half the dictionary."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one operator chose, in the order it was added."""

    blocked: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class OwnList:
    """The operator's file. Safe to use from several threads; a file that is damaged keeps what was read before."""

    def __init__(self, folder: Path | None) -> None:
        """Read the folder's list, if there is one.

        Args:
            folder: where it is kept; None keeps it in memory.

        Raises:
            DataError: the file is there and damaged.
        """
        self._path = folder / FILE if folder else None
        self._lock = Lock()
        self._seen: object = None
        self._chosen = Chosen()
        self._refresh()

    def chosen(self) -> Chosen:
        """What holds now."""
        with self._lock:
            with suppress(DataError):  # somebody is editing it: what held, holds
                self._refresh()
            return self._chosen

    def block(self, text: str) -> Chosen:
        """Add a word; blocks again what was allowed.

        Raises:
            PromptError: nothing in it to look for.
            OutputError: it could not be written down; it does not hold.
        """
        text = _tidy(text)
        return self._change(lambda now: Chosen((*_without(now.blocked, text), text), _without(now.allowed, text)))

    def allow(self, text: str) -> Chosen:
        """Take a word off: one that was added is gone, one of the shipped lists is allowed, and so is a longer word or phrase that holds one.

        Raises:
            PromptError: nothing in it to look for.
            OutputError: it could not be written down; it does not hold.
        """
        text = _tidy(text)
        return self._change(lambda now: Chosen(_without(now.blocked, text), _allowed(now, text)))

    def reset(self, text: str) -> Chosen:
        """Forget what was chosen about a word.

        Raises:
            OutputError: it could not be written down.
        """
        return self._change(lambda now: Chosen(_without(now.blocked, text), _without(now.allowed, text)))

    def _change(self, how: Callable[[Chosen], Chosen]) -> Chosen:
        with self._lock:
            self._refresh()
            chosen = how(self._chosen)
            if self._path:
                body = {"blocked": list(chosen.blocked), "allowed": list(chosen.allowed)}
                write_text(self._path, _HEADER + yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=1000))
                self._seen = _stamp(self._path)
            self._chosen = chosen
            return chosen

    def _refresh(self) -> None:
        if self._path is None or (stamp := _stamp(self._path)) == self._seen:
            return
        self._chosen = _read(self._path) if stamp else Chosen()
        self._seen = stamp


def words_of(chosen: Chosen) -> list[Word]:
    """What was chosen, as the finder takes it."""
    blocked = [Word(text, "inside" if _is_long(text) else "whole", OWN) for text in chosen.blocked]
    return [*blocked, *(Word(text, "allowed", "") for text in chosen.allowed)]


def _is_long(text: str) -> bool:
    letters = [sign for sign in fold(text) if sign != " "]
    return len(letters) >= (_LONG_LATIN if all("a" <= sign <= "z" for sign in letters) else _LONG_HANGUL)


def _allowed(now: Chosen, text: str) -> tuple[str, ...]:
    added = any(fold(one) == fold(text) for one in now.blocked)
    return _without(now.allowed, text) if added else (*_without(now.allowed, text), text)


def _without(texts: Iterable[str], text: str) -> tuple[str, ...]:
    return tuple(one for one in texts if fold(one) != fold(text))


def _tidy(text: str) -> str:
    tidy = " ".join(text.split())[:_LONGEST]
    if sum(sign.isalpha() for sign in fold(tidy)) < 2:
        raise PromptError("A word of the blocklist needs at least two letters. Write the word, or a phrase of a few words.")
    return tidy


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def _read(path: Path) -> Chosen:
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
        lists = [data.get(key) or [] for key in ("blocked", "allowed")]
        return Chosen(*(tuple(_tidy(one) for one in each) for each in lists))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError, PromptError) as error:
        raise DataError(f"{path}: cannot be read ({error}). It holds two lists of words, `blocked` and `allowed`; mend it, or remove it.") from error
