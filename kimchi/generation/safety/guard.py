"""The guard of a place where strangers ask for pictures: prompts are read before anything is drawn, pictures looked at before they are shown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from kimchi.data.culture_text import script_of
from kimchi.errors import BlockedError
from kimchi.generation.prompts import LONGEST_CHARACTERS

from .folding import fold
from .lists import SHIPPED, Blocklist, Category, read_categories, read_lists
from .matching import Finder, Match, Word
from .own import Chosen, OwnList, words_of

if TYPE_CHECKING:
    from PIL import Image

    from .pictures import Checker

_HEARD = 2_000
"""Letters that are read. No encoder hears so many: 77 tokens of its longest words are shorter, and what it does not hear is not drawn."""
_TOLD = (
    "This prompt asks for something that is not drawn here, because the screen is public. Ask for something else, for example a dish, a place or "
    "something you like to wear."
)
_NO_CHECKER = (
    "Finished pictures are not looked at: {model} has no safety checker in safetensors. The blocklist and the kill switch are what there is. "
    "Give the folder of one (a diffusers folder's safety_checker/) if the model can draw people."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a prompt is refused: for the staff, never for the visitor's page."""

    word: str
    """As the list writes it."""
    category: str
    """A key of the categories."""


class Guard:
    """Reads prompts and looks at pictures. One guard may be used from several threads."""

    def __init__(
        self, lists: Sequence[Blocklist], categories: dict[str, Category], own: OwnList, checker: "Checker | None" = None, missing: tuple[str, ...] = ()
    ) -> None:
        """Put it together; `load` reads the parts."""
        self.categories = categories
        self.own = own
        self.missing = missing
        """What this guard cannot do, a paragraph each, for the operator."""
        self._lists, self._checker = tuple(lists), checker
        self._lock = Lock()
        self._known = Chosen()
        self._finders = self._made(self._known)

    @classmethod
    def load(
        cls, *, model: str = "", lists: str | Path | None = None, own: str | Path | None = None, checker: str | Path | None = None, device: str = "cpu",
        looks: bool = True,
    ) -> "Guard":  # fmt: skip
        """Read everything a guard needs.

        Args:
            model: what is drawn with: a run or diffusers folder may hold a safety checker, of its own or of the base it names.
            lists: a folder of blocklists; None takes those of the package.
            own: a folder for the operator's own words; None keeps them in memory.
            checker: the folder of a safety checker, where the model has none.
            device: where the checker runs.
            looks: False where pictures are looked at by somebody else, with the checker of `checker_folder`: it is found here, and not loaded.

        Raises:
            DataError: a damaged list.
            ModelError: damaged weights, or `checker` holds none.
        """
        folder = Path(lists).expanduser() if lists else SHIPPED
        looked, missing = _checker(model, checker, device, looks)
        return cls(read_lists(folder), read_categories(folder), OwnList(Path(own).expanduser() if own else None), looked, missing)

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Refuse a request one of whose prompts holds something that is blocked.

        Raises:
            BlockedError: its message names no word; its `category` is for the staff.
        """
        for prompt in prompts:
            if found := self.find(prompt):
                raise BlockedError(_TOLD, found[0].category)

    def check_images(self, images: "Sequence[Image.Image]") -> list[bool]:
        """Which pictures must not be shown; none where there is no checker, which `missing` says."""
        return self._checker.flags(images) if self._checker else [False] * len(images)

    def find(self, prompt: str) -> list[Finding]:
        """What in a prompt is blocked; empty when it may be drawn."""
        text = fold(prompt[:LONGEST_CHARACTERS])[:_HEARD]
        matches = [match for finder in self._current() for match in finder.find(text)]
        return list(dict.fromkeys(Finding(match.word.text, match.word.category) for match in _refused(matches)))

    def _current(self) -> tuple[Finder, ...]:
        chosen = self.own.chosen()
        with self._lock:
            if chosen != self._known:
                self._known, self._finders = chosen, self._made(chosen)
            return self._finders

    def _made(self, chosen: Chosen) -> tuple[Finder, ...]:
        own = [(word, _script(word)) for word in words_of(chosen)]
        free = {fold(text) for text in chosen.allowed}
        made: list[Finder] = []
        for listed in self._lists:
            shipped = (word for word in listed.words() if word.kind == "allowed" or fold(word.text) not in free)
            made.append(Finder([*shipped, *(word for word, script in own if script in listed.scripts)], listed.scripts, listed.endings))
        covered = {script for listed in self._lists for script in listed.scripts}
        for script in sorted({script for _, script in own} - covered):
            made.append(Finder([word for word, its in own if its == script], [script]))
        return tuple(made)


def _refused(matches: list[Match]) -> list[Match]:
    """Without words that are harmless alone and stand alone."""
    there = {(match.word.category, match.word.group) for match in matches}
    return [match for match in matches if match.word.group == 0 or {(match.word.category, 1), (match.word.category, 2)} <= there]


def _script(word: Word) -> str:
    return next((script_of(sign) for sign in fold(word.text) if sign.isalpha()), "")


def checker_folder(model: str, given: str | Path | None = None) -> Path | None:
    """Where the safety checker of a model is: the folder given, its own, or its base's; None where there is none.

    Raises:
        ModelError: none in the folder given.
    """
    folder = Path(given).expanduser() if given else _folder_of(model)
    if folder is None:
        return None
    from .pictures import own_folder

    return own_folder(folder)


def _checker(model: str, given: str | Path | None, device: str, looks: bool) -> "tuple[Checker | None, tuple[str, ...]]":
    folder = checker_folder(model, given)
    if folder is None:
        return None, (_NO_CHECKER.format(model=model or "this model"),)
    if not looks:
        return None, ()
    from .pictures import Checker

    return Checker.load(folder, device), ()


def _folder_of(model: str) -> Path | None:
    """Where a model keeps a safety checker: its own folder, or that of the base its card names."""
    place = Path(model).expanduser() if model else None
    if place is None or not place.is_dir():
        return None
    if any((place / "safety_checker").glob("model*.safetensors")):
        return place
    try:
        return _folder_of(str(json.loads((place / "card.json").read_text(encoding="utf-8"))["base"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
