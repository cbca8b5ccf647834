"""The miniature's own judge: is each picture the concept of the sample world that its prompt asked for? kimchi/eval/score.py counts."""

from functools import cached_property

from kimchi.data.files import hash_files
from kimchi.data.sample_world import CONCEPTS
from kimchi.errors import RecipeError
from kimchi.eval.score import NONE
from kimchi.eval.scoring.answers import key_of
from kimchi.models.places import weights_folder
from kimchi.recipes.score import Metric as Section
from kimchi.records import MadeBy

from . import Asked, Found, Scene, Shown, Value
from ._matrix import by_condition
from ._summaries import shares

_BATCH = 64


class Metric:
    """Of prompts whose `concept`, or `thing_ko`, the sample world has."""

    def __init__(self, section: Section) -> None:
        self.section, self._folder = section, weights_folder() / "recogniser"

    @cached_property
    def made_by(self) -> MadeBy:
        """The shipped recogniser, by the hash of its files."""
        files = [self._folder / name for name in ("config.json", "model.safetensors")]
        digest = hash_files(files) if all(file.is_file() for file in files) else ""
        return MadeBy(part="metric:recogniser", model="mini-recogniser", model_hash=digest)

    def check(self, scene: Scene) -> None:
        """Refuse prompts of which the sample world has none."""
        unknown = sorted({prompt.concept for prompt in scene.prompts if prompt.concept and prompt.concept not in CONCEPTS})
        if unknown:
            raise RecipeError(f"metrics.{self.section.name}: {', '.join(unknown)} is no concept of the sample world. It has {', '.join(CONCEPTS)}.")
        if not any(concept_of(prompt) for prompt in scene.prompts):
            raise RecipeError(
                f"metrics.{self.section.name}: no prompt names a thing of the sample world, and the recogniser knows nothing else. "
                "Leave this metric out, or give the prompts a `concept`."
            )

    def measure(self, scene: Scene) -> Found:
        """Shares recognised, and taken for the look-alike; the confusion matrix by slug."""
        shown = [one for one in scene.pictures if concept_of(one.prompt)]
        pairs = list(zip(shown, self._see(scene, shown), strict=True))
        name, right, mistaken = self.section.name, list[Value](), list[Value]()
        for one, seen in pairs:
            asked, place = CONCEPTS[concept_of(one.prompt)], {"condition": one.condition, "prompt": one.prompt.id, "answer": seen}
            right.append(Value(metric=f"{name}.right", value=float(seen == asked.slug), **place))
            if asked.look_alike:
                mistaken.append(Value(metric=f"{name}.look_alike", value=float(seen == asked.look_alike), **place))
        passed = sum(not concept_of(prompt) for prompt in scene.prompts)
        return Found(
            values=(*right, *mistaken),
            summaries=(*shares(scene, right), *shares(scene, mistaken, higher_is_better=False)),
            matrices=by_condition((one.condition, concept_of(one.prompt), seen) for one, seen in pairs),
            notes=(
                "The recogniser judges pictures of the miniature suite, and no others.",
                *([f"{passed} prompts name nothing of the sample world and were passed over."] if passed else []),
            ),
        )

    def _see(self, scene: Scene, shown: list[Shown]) -> list[str]:
        keys = [key_of("recogniser", self.made_by.model_hash, one.sha256) for one in shown]
        left = [(key, one) for key, one in dict(zip(keys, shown, strict=True)).items() if scene.answers.get(key) is None]
        if left:
            from kimchi.models.recogniser import Recogniser

            judge = Recogniser.load(self._folder)
            for start in range(0, len(left), _BATCH):
                part = left[start : start + _BATCH]
                for (key, _), sight in zip(part, judge.see([one.image() for _, one in part]), strict=True):
                    scene.answers.put(key, sight.concept)
                scene.report(self.section.name, start + len(part), len(left))
        return [scene.answers.get(key) or NONE for key in keys]


def concept_of(prompt: Asked) -> str:
    """A slug of the sample world: the prompt's own, or that of its thing; empty for none."""
    return prompt.concept or next((slug for slug, concept in CONCEPTS.items() if prompt.thing_ko == concept.ko), "")
