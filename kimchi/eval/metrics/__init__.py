"""Automatic metrics, one file each: `class Metric`, made of the recipe's section, gives a number for pictures. Listing the folder is the register.

Files whose names begin with an underscore are what the metrics share. kimchi/eval/scoring/ runs them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from kimchi import parts
from kimchi.data.pictures import decode
from kimchi.eval.statistics.estimates import Estimate
from kimchi.records import MadeBy

if TYPE_CHECKING:
    from kimchi.eval.scoring.answers import Answers
    from kimchi.recipes.score import Metric as Section

Report = Callable[[str, int, int], None]
"""How far a stage is: what it does, done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt, and what metrics ask about its pictures. Only `id` and `text_ko` are needed; a metric passes over prompts that lack what it asks."""

    id: str
    """Names its pictures; NFC."""
    text_ko: str
    """What was to be drawn."""
    text_en: str = ""
    """Its meaning."""
    thing_ko: str = ""
    """The thing that must be in the picture, a noun: "라면"."""
    thing_en: str = ""
    look_alikes_ko: tuple[str, ...] = ()
    """What it is mistaken for: ("라멘", "쌀국수")."""
    look_alikes_en: tuple[str, ...] = ()
    country: str = ""
    """Which country it should look like, in the language the judge is asked in; empty for the recipe's own where `cultural`."""
    cultural: bool = True
    """False for prompts that belong to no culture: nobody is asked which country they look like."""
    conditions: tuple[str, ...] = ()
    """The conditions that drew it; empty for all there are."""
    concept: str = ""
    """Slug of the sample world, for the recogniser; empty to find it by `thing_ko`."""
    group: str = ""
    """Prompts that word one thing several ways share a group, and are drawn together where intervals are made; empty for a group of its own."""

    def text(self, language: str) -> str:
        """The wording in "ko" or "en"; empty where there is none."""
        return self.text_ko if language == "ko" else self.text_en

    def thing(self, language: str) -> str:
        """The thing in "ko" or "en"; empty where there is none."""
        return self.thing_ko if language == "ko" else self.thing_en

    def look_alikes(self, language: str) -> tuple[str, ...]:
        """What it is mistaken for, in "ko" or "en"."""
        return self.look_alikes_ko if language == "ko" else self.look_alikes_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture of one condition."""

    condition: str
    prompt: Asked
    path: Path
    sha256: str
    """Of the file, 64 hex digits: answers are kept under it."""

    def image(self) -> Image.Image:
        """RGB, uint8 [0, 255], upright.

        Raises:
            DataError: it cannot be decoded.
        """
        return decode(self.path.read_bytes(), str(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What there is to measure."""

    pictures: tuple[Shown, ...]
    """By condition, then in the order of the prompts."""
    answers: "Answers"
    """What was measured before."""
    folder: Path
    """The folder of conditions."""
    prompts: tuple[Asked, ...]
    trained_with: tuple[str, ...] = ()
    """Text encoders and run folders that the pictures' models were trained with, as the recipe says."""
    least_prompts: int = 10
    draws: int = 5000
    seed: int = 0
    report: Report = lambda stage, done, total: None

    @property
    def conditions(self) -> tuple[str, ...]:
        """In the order of their names."""
        return tuple(dict.fromkeys(picture.condition for picture in self.pictures))

    def of(self, condition: str) -> tuple[Shown, ...]:
        """The pictures of one condition."""
        return tuple(picture for picture in self.pictures if picture.condition == condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a metric says of one picture: one line of scores.csv."""

    metric: str
    condition: str
    prompt: str
    value: float | None
    """None where the judge's words were neither."""
    answer: str = ""
    """What a judge said or saw, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a metric says of one condition."""

    metric: str
    condition: str
    n: int
    """Pictures with a value."""
    estimate: Estimate
    higher_is_better: bool = True
    unclear: int = 0
    """Pictures to which the judge's words were neither; not among n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that a metric found."""

    values: tuple[Value, ...] = ()
    summaries: tuple[Summary, ...]
    matrices: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict[str, Mapping[str, Mapping[str, int]]])
    """Condition -> asked for -> seen as -> pictures."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know, a sentence each."""
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further settings and numbers, as JSON."""


class Metric(Protocol):
    """What every metric offers."""

    made_by: MadeBy
    """part, model with its version, model_hash."""

    def check(self, scene: Scene) -> None:
        """Refuse what can never be right, before anything is loaded.

        Raises:
            RecipeError: a key that is missing, or a judge that is no independent one.
        """
        ...

    def measure(self, scene: Scene) -> Found:
        """The numbers. Whatever is measured is kept in `scene.answers` at once.

        Raises:
            ModelError: weights that are not here: the metric is skipped, aloud.
            EndpointError: a server that is not there: likewise.
        """
        ...


def metric(section: "Section") -> Metric:
    """A metric by the name a recipe gives it.

    Raises:
        RecipeError: no such metric.
    """
    return parts.find("kimchi.eval.metrics", "Metric", section.part)(section)
