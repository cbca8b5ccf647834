"""Visual question answering: is the thing in the picture, and which country does it look like? Asked of a LLaVA-class judge, answered in words.

Yes-or-no questions about what a prompt names: Hu et al. 2023 (TIFA, ICCV); one question a picture: Lin et al. 2024 (VQAScore, ECCV), there by
the probability of "Yes", which servers do not tell. Judges lean towards "yes": compare conditions, and do not read one share alone.
"""

from kimchi.data.korean import fill_particles
from kimchi.errors import RecipeError
from kimchi.recipes.score import Metric as Section
from kimchi.records import MadeBy

from . import Asked, Found, Scene, Shown, Value
from ._judge import Judge, choice, turned, yes_or_no
from ._matrix import by_condition
from ._summaries import shares

THING = {
    "ko": "이 그림에 {thing}{이/가} 있습니까? '예' 또는 '아니요' 가운데 하나로만 답하십시오.",
    "en": "Is there {thing} in this picture? Answer with one word: yes or no.",
}
COUNTRY = {
    "ko": "이 그림은 어느 나라의 모습으로 보입니까? 다음 가운데 하나로만 답하십시오: {choices}.",
    "en": "Which country does this picture look like? Answer with one of these only: {choices}.",
}
ELSEWHERE = {"ko": "그 밖의 나라", "en": "another country"}


class Metric:
    """`ask: [thing, country]`, as the recipe says."""

    def __init__(self, section: Section) -> None:
        self.section, self.judge = section, Judge(section)

    @property
    def made_by(self) -> MadeBy:
        """The judge."""
        return self.judge.made_by

    def check(self, scene: Scene) -> None:
        """Refuse countries of which the right one is none, and prompts that name nothing to ask about."""
        of, language = self.section, self.section.language
        wanted = {self._country(prompt) for prompt in scene.prompts} - {""}
        if "country" in of.ask and (strange := sorted(wanted - set(of.countries))):
            raise RecipeError(
                f"metrics.{of.name}: {', '.join(strange)} is the right answer of some prompts and not among countries ({', '.join(of.countries)}). Add it."
            )
        if of.ask == ("thing",) and not any(prompt.thing(language) for prompt in scene.prompts):
            raise RecipeError(f"metrics.{of.name}: no prompt says which thing must be seen. Give the prompts a thing_{language}, or ask only for the country.")

    def measure(self, scene: Scene) -> Found:
        """A share of right answers a condition, and what country each was taken for."""
        things = self._things(scene) if "thing" in self.section.ask else []
        countries = self._countries(scene) if "country" in self.section.ask else []
        asked = {prompt.id: self._country(prompt) for prompt in scene.prompts}
        return Found(
            values=(*things, *countries),
            summaries=shares(scene, [*things, *countries]),
            matrices=by_condition((value.condition, asked[value.prompt], value.answer) for value in countries),
            notes=("A judge's answers are counted as they are; those that are neither yes nor no, or name no country of the list, are `unclear`.",),
            details={"language": self.section.language, "questions": {ask: _WORDS[ask][self.section.language] for ask in self.section.ask}},
        )

    def _things(self, scene: Scene) -> list[Value]:
        language = self.section.language
        shown = [one for one in scene.pictures if one.prompt.thing(language)]
        questions = [fill_particles(THING[language].replace("{thing}", one.prompt.thing(language))) for one in shown]
        said = self.judge.answers(scene, list(zip(shown, questions, strict=True)))
        return [self._value("thing", one, yes_or_no(text), text) for one, text in zip(shown, said, strict=True)]

    def _countries(self, scene: Scene) -> list[Value]:
        language = self.section.language
        choices = (*self.section.countries, ELSEWHERE[language])
        shown = [one for one in scene.pictures if self._country(one.prompt)]
        questions = [COUNTRY[language].replace("{choices}", ", ".join(turned(choices, one.prompt.id))) for one in shown]
        said = [choice(text, choices) for text in self.judge.answers(scene, list(zip(shown, questions, strict=True)))]
        return [self._value("country", one, text == self._country(one.prompt) if text else None, text) for one, text in zip(shown, said, strict=True)]

    def _country(self, prompt: Asked) -> str:
        return prompt.country or (self.section.country if prompt.cultural else "")

    def _value(self, ask: str, shown: Shown, right: bool | None, text: str) -> Value:
        return Value(
            metric=f"{self.section.name}.{ask}", condition=shown.condition, prompt=shown.prompt.id,
            value=None if right is None else float(right), answer=text,
        )  # fmt: skip


_WORDS = {"thing": THING, "country": COUNTRY}
