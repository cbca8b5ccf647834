"""The desk of one booth: what visitors and staff ask of it, over the one engine."""

import secrets
from collections import Counter
from typing import Any

from kimchi.data.cultures import load_culture
from kimchi.errors import OutputError
from kimchi.generation.engine import BASE, KIMCHI, TRANSLATED, Engine, Ticket
from kimchi.generation.safety import Guard

from .chips import Offer
from .gallery import Gallery
from .journal import Journal
from .keepsakes import Keepsakes
from .settings import Settings
from .staff import Door
from .words import ENGLISH, languages

ARMS = (KIMCHI, BASE, TRANSLATED)
"""In the order they are drawn: KIMCHI first, since that is what the visitor waits for."""


class Desk:
    """Everything a booth holds while it runs."""

    def __init__(self, engine: Engine, settings: Settings, guard: Guard | None = None) -> None:
        """Set the booth up; the engine may still be starting.

        Args:
            guard: the one that the engine asks, so that the staff can change its words.

        Raises:
            OutputError: the booth's folder cannot be written.
            RecipeError, DataError: no such culture, or a damaged one.
        """
        self.engine, self.settings, self.guard = engine, settings, guard
        culture = load_culture(settings.culture)
        self.languages = languages(culture.tag)
        self.language = settings.language if settings.language in self.languages else self.languages[0]
        self._offers = {miniature: Offer(culture, miniature=miniature) for miniature in (False, True)}
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(settings.folder)
        self.gallery = Gallery(settings.gallery)
        self.keepsakes = Keepsakes(settings.keepsakes, settings.keepsake_s)
        self.door = Door(settings.pin)
        self.boot = secrets.token_hex(4)
        """Another one after every start: a page that sees it change knows that the server was away."""
        self._jobs: dict[str, Ticket] = {}
        self._rated: Counter[str] = Counter()

    @property
    def hall(self) -> str:
        """bright or dark."""
        return self.journal.hall or self.settings.hall

    @property
    def closed(self) -> bool:
        """Whether the staff closed the booth."""
        return self.journal.closed

    @property
    def ready(self) -> bool:
        """Whether a picture can be asked for."""
        return self.engine.state == "ready"

    @property
    def miniature(self) -> bool:
        """Whether the miniature draws. Until the model is known, only what the miniature can draw is offered, which every model can."""
        return bool(self.engine.identity.get("miniature", True)) if self.ready else True

    @property
    def offer(self) -> Offer:
        """Suggestions and styles for the model that draws."""
        return self._offers[self.miniature]

    def arms(self) -> tuple[str, ...]:
        """What a visitor is shown: KIMCHI, and beside it what the engine can draw of the base."""
        able: list[str] = self.engine.identity.get("arms", [KIMCHI]) if self.ready else [KIMCHI]
        return tuple(arm for arm in ARMS if arm in able and (arm == KIMCHI or self.settings.compare))

    # ---- one picture at a time for every visitor

    def takes(self, visitor: str) -> bool:
        """Whether a visitor may ask for a picture now: twenty taps on the button are one."""
        return visitor not in self._jobs

    def begin(self, visitor: str, ticket: Ticket) -> None:
        """A visitor's picture is under way."""
        self._jobs[visitor] = ticket

    def end(self, visitor: str, ticket: Ticket) -> None:
        """It is over, or nobody waits for it any more."""
        if self._jobs.get(visitor) is ticket:
            del self._jobs[visitor]
        ticket.cancel()

    def leave(self, visitor: str) -> None:
        """The visitor goes: what is drawn for them is stopped."""
        ticket = self._jobs.get(visitor)
        if ticket is not None:
            ticket.cancel()

    def clear_queue(self) -> int:
        """Stop everything that is drawn or waits; how many there were."""
        tickets = list(self._jobs.values())
        for ticket in tickets:
            ticket.cancel()
        return len(tickets)

    # ---- the staff's switches

    def close(self) -> None:
        """The kill switch: nothing is drawn any more, nothing hangs or can be fetched, and that lasts over a restart.

        Raises:
            OutputError: it holds now, but could not be written down for the next start.
        """
        self.journal.closed = True
        self.clear_queue()
        for number in self.gallery.numbers():
            self.gallery.remove(number)
        self.keepsakes.clear()
        self.journal.keep()

    def open(self) -> None:
        """Let visitors in again.

        Raises:
            OutputError: it could not be written down.
        """
        self.journal.closed = False
        self.journal.keep()

    def set_hall(self, hall: str) -> None:
        """Turn the page bright or dark.

        Raises:
            OutputError: it could not be written down.
        """
        self.journal.hall = hall if hall in ("bright", "dark") else ""
        self.journal.keep()

    def safety(self, language: str) -> dict[str, Any]:
        """What stands between visitors and the device, for the staff: their own words, what the guard lacks, and why prompts were refused today."""
        if self.guard is None:
            return {"blocklist": False, "blocked": [], "allowed": [], "checker": False, "reasons": {}}
        chosen = self.guard.own.chosen()
        named = {key: category.name.get(language) or category.name.get(ENGLISH, key) for key, category in self.guard.categories.items()}
        reasons = {named.get(key, key): number for key, number in self.journal.reasons().items()}
        return {"blocklist": True, "blocked": list(chosen.blocked), "allowed": list(chosen.allowed), "checker": not self.guard.missing, "reasons": reasons}

    def block(self, word: str) -> None:
        """Refuse prompts with a word from now on.

        Raises:
            PromptError: nothing in it to look for. OutputError: it could not be written down.
        """
        if self.guard is not None:
            self.guard.own.block(word)

    def allow(self, word: str) -> None:
        """Draw prompts with a word again, also where the shipped lists refuse it.

        Raises:
            PromptError: nothing in it to look for. OutputError: it could not be written down.
        """
        if self.guard is not None:
            self.guard.own.allow(word)

    def forget(self, word: str) -> None:
        """Take back what was chosen about a word.

        Raises:
            OutputError: it could not be written down.
        """
        if self.guard is not None:
            self.guard.own.reset(word)

    # ---- what pages ask

    def state(self) -> dict[str, Any]:
        """What every page asks every few seconds."""
        stats = self.engine.stats()
        return {
            "boot": self.boot,
            "open": not self.closed,
            "engine": self.engine.state,
            "waiting": stats.waiting,
            "seconds": round(stats.seconds_per_picture, 2),
            "hall": self.hall,
            "gallery": self.gallery.version,
            "miniature": self.miniature,
            "arms": self.arms(),
        }

    def rate(self, name: str, value: int, about: dict[str, Any]) -> bool:
        """Keep one tap on "how is this picture?"; the first for each picture counts.

        Args:
            name: of the picture's keepsake.
            value: 1 to 3.

        Returns:
            Whether it was kept.

        Raises:
            OutputError: it could not be brought to the disk.
        """
        if self._rated[name] or self.keepsakes.get(name) is None:
            return False
        self._rated[name] += 1
        try:
            self.journal.rate(value, **about)
        except OutputError:
            del self._rated[name]
            raise
        while len(self._rated) > 4 * self.settings.keepsakes:
            del self._rated[next(iter(self._rated))]
        return True

    def language_of(self, asked: str) -> str:
        """One of the booth's two languages."""
        return asked if asked in self.languages else self.language if not asked else ENGLISH
