"""The same wish drawn three ways: by the untaught base, by the base from a translation, and by KIMCHI."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kimchi.errors import RequestError
from kimchi.generation import prompts

if TYPE_CHECKING:
    from kimchi.generation.generate import Kimchi
    from kimchi.generation.provenance import GeneratedImage
    from kimchi.models.translator import Translator

KIMCHI, BASE, TRANSLATED = "kimchi", "base", "translated"
ARMS = (BASE, TRANSLATED, KIMCHI)
"""In the order in which they tell the story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One prompt, one seed, three pictures."""

    base: "GeneratedImage"
    """What the untaught base makes of the prompt as it is."""
    translated: "GeneratedImage"
    """What the base makes of its English translation."""
    kimchi: "GeneratedImage"
    prompt_en: str
    """The translation."""


class Arms:
    """A painter, its base, and a translator; the last two are loaded when they are first needed, and kept."""

    def __init__(self, painter: "Kimchi", *, base: str = "", translator: str = "", few_step: str = "") -> None:
        """Take a painter in hand; nothing is loaded yet.

        Args:
            base: what it was taught on; empty for what its card says.
            translator: a chat model for kimchi.models.translator; empty for the miniature's own, with a miniature.
            few_step: the few-step LoRA that the painter carries: the base must not need six times as long.
        """
        self.kimchi = painter
        self._names = {BASE: base or painter.model.base, TRANSLATED: translator or ("mini" if painter.model.miniature else "")}
        self._few_step = few_step
        self._base: Kimchi | None = None
        self._translator: Translator | None = None

    def check(self, arm: str) -> None:
        """Refuse an arm that does not exist, or for which a name is missing.

        Raises:
            RequestError: what is missing, and how to give it.
        """
        if arm not in ARMS:
            raise RequestError(f"arm {arm!r}: must be one of {', '.join(ARMS)}. Change it, or leave it out.")
        name = self.kimchi.model.name
        if arm != KIMCHI and not self._names[BASE]:
            raise RequestError(f"{name}: nothing says which base it was taught on, so there is none to compare with. Name it with --base.")
        if arm == TRANSLATED and not self._names[TRANSLATED]:
            raise RequestError(f"{name}: no translator was named, and a translated base needs one. Name a chat model with --translator.")

    def possible(self) -> list[str]:
        """The arms that `check` lets pass."""
        return [arm for arm in ARMS if arm == KIMCHI or (self._names[BASE] and (arm == BASE or self._names[TRANSLATED]))]

    def painter(self, arm: str) -> "Kimchi":
        """Who draws an arm."""
        self.check(arm)
        if arm == KIMCHI:
            return self.kimchi
        if self._base is None:
            self._base = self._load_base()
        return self._base

    def translated(self, typed: Sequence[str]) -> list[str]:
        """Prompts as typed => what they wish for, in English."""
        self.check(TRANSLATED)
        if self._translator is None:
            from kimchi.models.translator import Translator

            self._translator = Translator.load(self._names[TRANSLATED], device=self.kimchi.device)
        return self._translator.translate([prompts.as_drawn(text) for text in typed])

    def _load_base(self) -> "Kimchi":
        from kimchi.generation.generate import Kimchi
        from kimchi.models.load import load_base

        taught, model = self.kimchi.model, load_base(self._names[BASE])
        if self._few_step:
            from kimchi.models import few_step

            few_step.merge(model, self._few_step)
        if model.hashes.get("vae") == taught.hashes.get("vae") is not None:
            # The same weights: held once.
            model.vae = taught.vae
        return Kimchi(model, self.kimchi.device, lambda _: None, self.kimchi.precision)


def compare(arms: Arms, prompt: str, draw: Callable[["Kimchi", str], "GeneratedImage"]) -> Comparison:
    """One prompt by all three; `draw` gives each the same seed and settings."""
    (english,) = arms.translated([prompt])
    return Comparison(
        base=draw(arms.painter(BASE), prompt), translated=draw(arms.painter(TRANSLATED), english), kimchi=draw(arms.kimchi, prompt), prompt_en=english
    )
