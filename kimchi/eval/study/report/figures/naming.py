"""What figures and tables call things, in the language of the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .drawing import Anchor, Mark, Shape, Text, diamond, dot, line

Language = Literal["ko", "en"]
NARROW = 480
"""Below this width, in px, labels stand above what they name, not beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names for people; an id that has none stands for itself."""

    language: Language
    models: Mapping[str, str]
    criteria: Mapping[str, str]
    prompts: Mapping[str, str]
    focus: str
    photograph: str | None
    answers: Mapping[str, tuple[str, ...]]
    """Criterion => what its answers are called, lowest first."""

    def model(self, id: str) -> str:
        """A condition's name."""
        return self.models.get(id, id)

    def criterion(self, id: str) -> str:
        """A criterion's short name."""
        return self.criteria.get(id, id)

    def prompt(self, id: str) -> str:
        """A prompt's words."""
        return self.prompts.get(id, id)

    def say(self, korean: str, english: str) -> str:
        """The one of two texts that this report is in."""
        return korean if self.language == "ko" else english

    def role(self, model: str) -> str:
        """How a model's marks look: focus, photo or nothing."""
        return "focus" if model == self.focus else "photo" if model == self.photograph else ""


def label(names: Names, model: str, x: float, y: float, size: float = 13, anchor: Anchor = "start") -> Text:
    """A model's name; the one that the study is about stands out."""
    return Text(x=x, y=y, words=names.model(model), size=size, anchor=anchor, look="of-focus" if names.role(model) == "focus" else "")


def whisker(role: str, x: float, low: float | None, high: float | None, y: float, across: "Axis", said: str) -> tuple[Mark, ...]:
    """A value with its interval: a red dot for the focus, a hollow diamond for the photograph, a black dot for the others."""
    prefix = f"{role}-" if role else ""
    span = (line(across(low), y, across(high), y, f"{prefix}span"),) if low is not None and high is not None else ()
    mark = diamond(across(x), y, 6.5, "photo-dot", said) if role == "photo" else dot(across(x), y, 5.5 if role else 4.5, f"{prefix}dot", said)
    return (*span, mark)


@dataclass(frozen=True, slots=True)
class Axis:
    """Values low to high => places first to last; what lies outside is kept at the edge."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """Where a value stands."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ruled(self, ticks: list[float], top: float, bottom: float, written: str = "{:g}") -> list[Mark]:
        """Vertical rules with numbers under them."""
        rules: list[Mark] = [line(self(t), top, self(t), bottom, "rail") for t in ticks]
        words = [written.format(t).replace("-", "−") for t in ticks]
        return rules + [Text(x=self(t), y=bottom + 16, words=w, size=11.5, anchor="middle", look="soft") for t, w in zip(ticks, words, strict=True)]


def keys(entries: list[tuple[str, str]], x: float, y: float, room: float) -> tuple[list[Mark], float]:
    """A legend of coloured squares, in as many lines as it needs; and where it ends."""
    from ..glyphs import width

    made: list[Mark] = []
    at = x
    for look, words in entries:
        wide = 18 + width(words, 12) + 14
        if at > x and at + wide - 14 > x + room:
            at, y = x, y + 20
        made += [Shape(tag="rect", at=(("x", at), ("y", y - 10), ("width", 12.0), ("height", 12.0), ("rx", 2.0)), look=look)]
        made += [Text(x=at + 18, y=y, words=words, size=12, look="soft")]
        at += wide
    return made, y + 10
