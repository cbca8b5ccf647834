"""CLIPScore by a multilingual open_clip encoder that no model here was trained with: how near a picture lies to the words of its prompt.

w max(cos(c, v), 0) with w = 2.5: Hessel et al. 2021 (CLIPScore, EMNLP), section 3. Its values depend on the encoder: they compare conditions
under one encoder, and never encoders. Of an English encoder Korean prompts are noise (open_clip's own table, Crossmodal-3600: 0.001 for
ViT-L-14, 0.4 to 0.6 for the multilingual ones).
"""

from functools import cached_property
from typing import TYPE_CHECKING

from kimchi.errors import RecipeError
from kimchi.eval.scoring.answers import key_of
from kimchi.recipes.score import Metric as Section
from kimchi.records import MadeBy

from . import Found, Scene, Shown, Value
from ._summaries import means

if TYPE_CHECKING:
    from ._towers import Place, Towers

WEIGHT = 2.5
MULTILINGUAL = ("xlm-roberta", "nllb", "i18n", "SigLIP2", "mt5")
"""Parts of the names of open_clip's models that read Korean."""


class Metric:
    """One encoder, one language."""

    def __init__(self, section: Section) -> None:
        self.section = section

    @cached_property
    def _place(self) -> "Place":
        # open_clip brings torch: only where a score is really asked for.
        from ._towers import find_towers

        return find_towers(self.section.model, self.section.revision, self.section.allow_pickle)

    @property
    def made_by(self) -> MadeBy:
        """The encoder, with the hub's commit, and its weights' hash."""
        return MadeBy(part="metric:clip_score", model=self._place.name, model_hash=self._place.hash)

    def check(self, scene: Scene) -> None:
        """Refuse an encoder that is none, reads no Korean, or was trained with; prompts without the wording compared."""
        of = self.section
        if not of.model:
            raise RecipeError(f"metrics.{of.name}: names no `model`. Write MODEL@WEIGHTS as open_clip lists them, or a folder.")
        model, at, _ = of.model.partition("@")
        if of.language == "ko" and at and not any(part in model for part in MULTILINGUAL):
            raise RecipeError(
                f"metrics.{of.name}: {model} reads no Korean, and its scores of Korean prompts would be noise. Set language: en, or name another."
            )
        if not any(prompt.text(of.language) for prompt in scene.prompts):
            raise RecipeError(f"metrics.{of.name}: no prompt has a text_{of.language}. Add it, or compare another language.")
        from ._independence import check_independent

        check_independent(scene, of.model, of.name)

    def measure(self, scene: Scene) -> Found:
        """A score a picture, and means."""
        from ._independence import check_independent, kinship

        check_independent(scene, self.section.model, self.section.name, self._place.weights)
        language = self.section.language
        shown = [one for one in scene.pictures if one.prompt.text(language)]
        values = [self._value(one, cosine) for one, cosine in zip(shown, self._cosines(scene, shown), strict=True)]
        return Found(
            values=tuple(values),
            summaries=means(scene, values),
            notes=(*kinship(self.section.model), *self._cut(scene)),
            details={"language": language, "weight": WEIGHT, "formula": "2.5 max(cos, 0), Hessel et al. 2021"},
        )

    def _value(self, shown: Shown, cosine: float) -> Value:
        return Value(metric=self.section.name, condition=shown.condition, prompt=shown.prompt.id, value=WEIGHT * max(cosine, 0.0))

    def _cosines(self, scene: Scene, shown: list[Shown]) -> list[float]:
        keys = [key_of("cosine", self._place.hash, self.section.language, one.prompt.text(self.section.language), one.sha256) for one in shown]
        left = [(key, one) for key, one in dict(zip(keys, shown, strict=True)).items() if scene.answers.get(key) is None]
        for start in range(0, len(left), self.section.batch):
            part = left[start : start + self.section.batch]
            texts_BD = self._towers.texts([one.prompt.text(self.section.language) for _, one in part])
            pictures_BD = self._towers.pictures([one.image() for _, one in part])
            for (key, _), cosine in zip(part, (texts_BD * pictures_BD).sum(1).tolist(), strict=True):
                scene.answers.put(key, cosine)
            scene.report(self.section.name, start + len(part), len(left))
        return [float(scene.answers.get(key)) for key in keys]

    @cached_property
    def _towers(self) -> "Towers":
        from ._towers import Towers

        return Towers(self._place, self.section.language, self.section.device)

    def _cut(self, scene: Scene) -> list[str]:
        key = key_of("cut", self._place.hash, [prompt.text(self.section.language) for prompt in scene.prompts])
        count = scene.answers.get(key)
        if count is None:
            scene.answers.put(key, count := sum(self._towers.cut(prompt.text(self.section.language)) for prompt in scene.prompts))
        return [f"{count} prompts are longer than the encoder reads; their ends were not compared."] if count else []
