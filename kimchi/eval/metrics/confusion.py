"""The confusion matrix of look-alikes: a judge chooses between the thing that was asked for, what it is mistaken for, and neither."""

from kimchi.errors import RecipeError
from kimchi.recipes.score import Metric as Section
from kimchi.records import MadeBy

from . import Asked, Found, Scene, Value
from ._judge import Judge, choice, turned
from ._matrix import by_condition
from ._summaries import shares

QUESTION = {
    "ko": "이 그림에 있는 것은 무엇입니까? 다음 가운데 하나로만 답하십시오: {choices}.",
    "en": "What is in this picture? Answer with one of these only: {choices}.",
}
NEITHER = {"ko": "이 가운데 없음", "en": "none of these"}


class Metric:
    """Of prompts that name a thing and its look-alikes."""

    def __init__(self, section: Section) -> None:
        self.section, self.judge = section, Judge(section)

    @property
    def made_by(self) -> MadeBy:
        """The judge."""
        return self.judge.made_by

    def check(self, scene: Scene) -> None:
        """Refuse prompts of which none has a look-alike."""
        language = self.section.language
        if not any(_can(prompt, language) for prompt in scene.prompts):
            raise RecipeError(
                f"metrics.{self.section.name}: no prompt names a thing and its look-alikes. Give the prompts thing_{language} and look_alikes_{language}, "
                "or leave this metric out."
            )

    def measure(self, scene: Scene) -> Found:
        """Shares seen as the thing, and as one of its look-alikes instead; the matrix says as which."""
        language, name = self.section.language, self.section.name
        shown = [one for one in scene.pictures if _can(one.prompt, language)]
        choices = {one.prompt.id: (one.prompt.thing(language), *one.prompt.look_alikes(language), NEITHER[language]) for one in shown}
        questions = [QUESTION[language].replace("{choices}", ", ".join(turned(choices[one.prompt.id], one.prompt.id))) for one in shown]
        said = self.judge.answers(scene, list(zip(shown, questions, strict=True)))
        seen = [choice(text, choices[one.prompt.id]) for one, text in zip(shown, said, strict=True)]
        right, mistaken = list[Value](), list[Value]()
        for one, word in zip(shown, seen, strict=True):
            place = {"condition": one.condition, "prompt": one.prompt.id, "answer": word}
            right.append(Value(metric=f"{name}.right", value=float(word == one.prompt.thing(language)) if word else None, **place))
            mistaken.append(Value(metric=f"{name}.look_alike", value=float(word in one.prompt.look_alikes(language)) if word else None, **place))
        return Found(
            values=(*right, *mistaken),
            summaries=(*shares(scene, right), *shares(scene, mistaken, higher_is_better=False)),
            matrices=by_condition((one.condition, one.prompt.thing(language), word) for one, word in zip(shown, seen, strict=True)),
            details={"language": language, "question": QUESTION[language]},
        )


def _can(prompt: Asked, language: str) -> bool:
    return bool(prompt.thing(language) and prompt.look_alikes(language))
