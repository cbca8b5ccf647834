"""What the server may know of a study: its protocol, its database, its blinded pictures. Not the vault."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kimchi.eval.study.folder import StudyFolder
from kimchi.eval.study.lock import check_lock
from kimchi.eval.study.purge import due
from kimchi.eval.study.schema import Criterion, Protocol
from kimchi.eval.study.store import UNABLE

from .markdown import Section, sections

BREAK_EVERY = 25
"""Screens between two offers of a rest: about five minutes."""


class Served:
    """A locked study, in the words its raters read."""

    def __init__(self, folder: Path) -> None:
        """Read it.

        Raises:
            StudyError: not locked, or changed since.
        """
        self._folder = StudyFolder(folder)
        self.protocol: Protocol = check_lock(folder)
        self._instrument = self.protocol.instrument
        own = self._instrument.language
        self.languages = (own, *(tag for tag in self._instrument.languages if tag != own))
        self.by_invitation = self._instrument.assignment.invitation

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self._folder.path

    @property
    def database(self) -> Path:
        """What is collected."""
        return self._folder.database

    def picture(self, stimulus: str) -> Path:
        """The file of a blinded picture."""
        return self._folder.picture(stimulus)

    @property
    def size(self) -> dict[str, int]:
        """What a rater is told before starting: screens, and minutes."""
        plan, domains = self._instrument.assignment, self._instrument.domains
        screens = sum(self._instrument.per_rater(name) * len(self.protocol.conditions[name]) for name in domains)
        screens += plan.repeats + plan.gold + plan.traps
        return {"screens": screens, "minutes": max(1, round(screens * self.seconds_a_screen / 60))}

    @property
    def seconds_a_screen(self) -> float:
        """From a pilot: what the time left is told by until the rater's own pace is known."""
        return self._instrument.seconds_a_picture

    @property
    def abandoned_ms(self) -> int:
        """How long a place may stand still, milliseconds."""
        return round(3_600_000 * self._instrument.assignment.abandoned_hours)

    @property
    def until(self) -> str:
        """The day until which a rater can withdraw: then the answers are destroyed."""
        end = due(self.folder)
        return "" if end is None else datetime.fromtimestamp(end / 1000, UTC).date().isoformat()

    def title(self, language: str) -> str:
        """What the study is called."""
        return self._instrument.title[language]

    def consent(self, language: str) -> tuple[Section, ...]:
        """What a rater agrees to."""
        return sections(self.protocol.consent[language])

    def privacy(self, language: str) -> tuple[Section, ...]:
        """The privacy notice, which belongs to it."""
        return sections(self.protocol.privacy[language])

    def consent_hash(self, language: str) -> str:
        """The version of that text: what is stored with the agreement."""
        return self.protocol.consent_hash(language)

    def criteria(self, language: str) -> dict[str, dict[str, Any]]:
        """Id => what the page shows for it."""
        return {one.id: self._criterion(one, language) for one in self._instrument.criteria}

    def _criterion(self, one: Criterion, language: str) -> dict[str, Any]:
        scale = self._instrument.scales[one.scale]
        points = [{"value": value, "text": text} for value, text in enumerate(scale.labels[language], start=1)]
        return {"text": one.text[language], "hint": one.hint.get(language, ""), "points": points, "unable": scale.unable[language], "ordered": scale.ordered}

    def shows_text(self, criteria: tuple[str, ...]) -> bool:
        """Whether the prompt is shown beside these questions: some would be answered by it."""
        return any(self._instrument.criterion(one).needs_text for one in criteria)

    @property
    def shows_any_text(self) -> bool:
        """Whether any question is asked of a picture and its prompt together."""
        return any(one.needs_text for one in self._instrument.criteria)

    def answer_text(self, criterion: str, value: int, language: str) -> str:
        """An answer as a number and in words: a phone shows the words of the first and the last alone."""
        scale = self._instrument.scales[self._instrument.criterion(criterion).scale]
        return scale.unable[language] if value == UNABLE else f"{value}\N{NO-BREAK SPACE}{scale.labels[language][value - 1]}"
