"""What an analysis is given beside the answers, and what it comes to: all that results.json and the report hold."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kimchi.eval.statistics import Analysis, Inference, Plan
from kimchi.eval.statistics.cluster import Contrast
from kimchi.eval.statistics.descriptives import Score

from .audit import Audit
from .exclusions import Exclusions, Rules

Variant = Literal["all_raters", "first_half", "second_half", "first_picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A condition, criterion, domain or prompt."""

    id: str
    ko: str
    en: str
    domain: str = ""
    """Of a prompt."""
    text_ko: str = ""
    """Of a criterion: the sentence that raters judged."""
    text_en: str = ""
    reversed: bool = False
    """Of a criterion: agreeing is bad."""
    ordered: bool = True
    """Of a criterion: a higher answer means more; of the others only shares are told."""
    labels_ko: tuple[str, ...] = ()
    """Of a criterion: the answers 1, 2, 3 ..."""
    labels_en: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    """Of a domain: what is asked there."""
    models: tuple[str, ...] = ()
    """Of a domain: which conditions it compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was locked before anybody rated, as the report tells it."""

    name: str
    title_ko: str
    title_en: str
    protocol_hash: str
    locked_on: str
    """Date, UTC."""
    models: tuple[Named, ...]
    criteria: tuple[Named, ...]
    domains: tuple[Named, ...]
    prompts: tuple[Named, ...]
    plan: Plan
    rules: Rules
    languages: tuple[str, ...] = ("ko", "en")
    """What raters could read."""
    mode: str = "incomplete"
    ethics: str = ""
    """Decision of the ethics board, or why there is none."""
    sheet: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the protocol says for the reporting sheet: recruitment, payment, approval ...; an absent one is reported as not given."""

    def criterion(self, id: str) -> Named:
        """A criterion by its id."""
        return next(one for one in self.criteria if one.id == id)

    def prompts_of(self, domain: str) -> tuple[str, ...]:
        """The prompts of a domain."""
        return tuple(one.id for one in self.prompts if one.domain == domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The contrasts again, on other rows. On means only: the mixed model is fitted once."""

    variant: Variant
    raters: int
    n: int
    contrasts: tuple[Contrast, ...]
    """Of all criteria, of the inference that the report makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainResults:
    """Cultural prompts, or general ones: never mixed."""

    domain: str
    prompts: tuple[str, ...]
    criteria: tuple[str, ...]
    analysis: Analysis | None
    """Of the criteria with an ordered scale. None: nobody answered any, or there is one condition only."""
    choices: tuple[Score, ...]
    """Of what has no analysis: how often each answer was given."""
    inference: Inference
    """The widest that every criterion allows."""
    sensitivities: tuple[Sensitivity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResults:
    """All of it."""

    version: str
    about: About
    audit: Audit
    exclusions: Exclusions
    domains: tuple[DomainResults, ...]

    def as_json(self) -> str:
        """Sorted keys, seven significant digits, no time and no path: the same study gives the same bytes."""
        return json.dumps(_plain(asdict(self)), ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {str(key) if isinstance(key, str) else " / ".join(map(str, key)): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
