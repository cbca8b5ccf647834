"""What a study is made from, and what it became: the instrument (an eval/*.yaml of kind study) and the protocol (resolved, in the study's folder)."""

import hashlib
import json
from typing import Literal

from kimchi.errors import RecipeError
from kimchi.recipes import load_recipe, recipe_hash
from kimchi.recipes.strict import Strict
from kimchi.recipes.study import WORDINGS, Assignment, Consent, Criterion, Domain, Prompt, Quality, Registered, Scale, StudyRecipe

__all__ = [
    "WORDINGS", "Assignment", "Consent", "Criterion", "Domain", "Instrument", "Prompt", "Protocol", "Quality", "Registered", "Scale", "load_instrument",
]  # fmt: skip

Instrument = StudyRecipe


class Protocol(Strict):
    """An instrument with everything decided: what lock seals. It names conditions, and never which picture is whose."""

    kind: Literal["protocol"] = "protocol"
    instrument: StudyRecipe
    """Every default written out, prompts included."""
    instrument_hash: str
    """First 16 hex digits of its SHA-256."""
    conditions: dict[str, tuple[str, ...]]
    """Domain => the conditions compared in it, by name."""
    size_px: int
    """Side of every picture shown."""
    consent: dict[str, str]
    """Language => the text that raters agree to, Markdown, its blanks filled."""
    privacy: dict[str, str]
    """Language => the privacy notice, likewise."""
    version: str
    """Of kimchi."""

    @property
    def every_condition(self) -> tuple[str, ...]:
        """All conditions, by name."""
        return tuple(sorted({one for names in self.conditions.values() for one in names}))

    @property
    def main_slots(self) -> int:
        """Places that must be filled."""
        return self.instrument.assignment.raters

    def consent_hash(self, language: str) -> str:
        """First 16 hex digits of the SHA-256 of what a rater of a language agrees to: both texts."""
        return hashlib.sha256(f"{self.consent[language]}\0{self.privacy[language]}".encode()).hexdigest()[:16]

    def analysis_hash(self) -> str:
        """SHA-256 of all that decides how the answers are analysed."""
        parts = {"analysis": self.instrument.analysis, "quality": self.instrument.quality}
        plain = {name: part.model_dump(mode="json") for name, part in parts.items()} | {"seed": self.instrument.seed, "conditions": self.conditions}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def load_instrument(name: str, overrides: tuple[str, ...] = ()) -> StudyRecipe:
    """Read an instrument, apply key=value overrides, and take over another's prompts where it names one.

    Args:
        name: a path, or the name of a shipped one: culture_2025.
        overrides: "key=value" with dots for sections.

    Raises:
        RecipeError: unreadable, or a key that is missing, unknown or wrong.
    """
    found = load_recipe(name, overrides, kind="study")
    if not found.prompts_of:
        return found
    source = load_recipe(found.prompts_of, kind="study")
    if source.prompts_of or source.language != found.language:
        raise RecipeError(f"{name}: prompts_of {found.prompts_of!r} must be an instrument in {found.language} with prompts of its own. Name another.")
    taken = tuple(prompt for prompt in source.prompts if prompt.domain in found.domains)
    return StudyRecipe.model_validate({**found.model_dump(mode="json"), "prompts_of": "", "prompts": [one.model_dump(mode="json") for one in taken]})


def instrument_hash(instrument: StudyRecipe) -> str:
    """First 16 hex digits of the SHA-256 of an instrument, prompts included."""
    return recipe_hash(instrument)
