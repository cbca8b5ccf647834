"""Pictures by condition and prompt => what every metric of a recipe says of them. Run again, it goes on: what was measured is kept."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kimchi
from kimchi.data.files import write_json, write_text
from kimchi.errors import EndpointError, ModelError
from kimchi.eval.metrics import Found, Metric, Report, Scene, Summary, metric
from kimchi.recipes import recipe_hash
from kimchi.recipes.score import Metric as Section
from kimchi.recipes.score import ScoreRecipe
from kimchi.records import MadeBy

from .answers import Answers, key_of
from .arms import Arms, find_arms
from .prompts import read_prompts
from .tables import to_csv

ANSWERS, SCORES, RESULTS = "answers.sqlite", "scores.csv", "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What became of one metric."""

    name: str
    part: str
    skipped: str = ""
    """Why there are no numbers; empty where there are."""
    made_by: MadeBy | None = None
    found: Found | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOutcome:
    """What `kimchi score` did."""

    folder: Path
    pictures: int
    conditions: tuple[str, ...]
    missing: tuple[str, ...]
    """condition/prompt without a picture, where the recipe allows that."""
    summaries: tuple[Summary, ...]
    skipped: dict[str, str]
    """Metric -> why it gave no numbers."""
    notes: dict[str, tuple[str, ...]]
    seconds: float


def score(recipe: ScoreRecipe, report: Report = lambda stage, done, total: None) -> ScoreOutcome:
    """Measure, and write scores.csv, then results.json.

    Raises:
        RecipeError: a metric that cannot be right: unknown, without what it needs, or judging its own work. Nothing is loaded before.
        DataError: prompts or pictures that cannot be used, all in one list.
        ModelError: no metric at all could be measured.
        OutputError: the folder cannot be written.
    """
    began, folder = time.monotonic(), Path(recipe.out or f"runs/{recipe.name}").expanduser()
    prompts = read_prompts(recipe.prompts)
    with Answers(folder / ANSWERS) as answers:
        images = Path(recipe.images).expanduser()
        arms = find_arms(images, prompts, answers, report, incomplete=recipe.incomplete)
        scene = Scene(
            pictures=arms.pictures, answers=answers, folder=images, prompts=prompts, trained_with=recipe.trained_with,
            least_prompts=recipe.least_prompts, draws=recipe.draws, seed=recipe.seed, report=report,
        )  # fmt: skip
        parts = [(section, metric(section)) for section in recipe.metrics]
        for _, part in parts:
            part.check(scene)
        measured = [_measured(section, part, scene) for section, part in parts]
    write_text(folder / SCORES, to_csv(value for one in measured if one.found for value in one.found.values))
    write_json(folder / RESULTS, _results(recipe, scene, arms, measured))
    if all(one.skipped for one in measured):
        raise ModelError(f"{folder / RESULTS}: no metric could be measured ({measured[0].name}: {measured[0].skipped.rstrip('.')}). The file says why of each.")
    return _outcome(folder, scene, arms, measured, time.monotonic() - began)


def _measured(section: Section, part: Metric, scene: Scene) -> Measured:
    # A metric without its weights is skipped, never replaced by another: the table must not say one name and hold another's numbers.
    try:
        found = part.measure(scene)
        return Measured(name=section.name, part=section.part, made_by=dataclasses.replace(part.made_by, version=kimchi.__version__), found=found)
    except (ModelError, EndpointError) as error:
        return Measured(name=section.name, part=section.part, skipped=str(error))


def _results(recipe: ScoreRecipe, scene: Scene, arms: Arms, measured: list[Measured]) -> dict[str, Any]:
    """The same pictures and settings give the same bytes: nothing here tells the time."""
    return {
        "kind": "score",
        "name": recipe.name,
        "recipe_hash": recipe_hash(recipe),
        "kimchi": kimchi.__version__,
        "prompts": {"file": recipe.prompts, "hash": key_of([dataclasses.asdict(prompt) for prompt in scene.prompts]), "count": len(scene.prompts)},
        "conditions": {condition: len(scene.of(condition)) for condition in scene.conditions},
        "missing": list(arms.missing),
        "metrics": [_told(one) for one in measured],
    }


def _told(one: Measured) -> dict[str, Any]:
    head: dict[str, Any] = {"metric": one.name, "part": one.part, "status": "skipped" if one.skipped else "measured"}
    if one.found is None or one.made_by is None:
        return head | {"why": one.skipped}
    of = one.found
    return head | {
        "model": one.made_by.model,
        "model_hash": one.made_by.model_hash,
        "summaries": [dataclasses.asdict(summary) for summary in of.summaries],
        "confusion": of.matrices,
        "notes": list(of.notes),
        "details": of.details,
    }


def _outcome(folder: Path, scene: Scene, arms: Arms, measured: list[Measured], seconds: float) -> ScoreOutcome:
    return ScoreOutcome(
        folder=folder,
        pictures=len(scene.pictures),
        conditions=scene.conditions,
        missing=arms.missing,
        summaries=tuple(summary for one in measured if one.found for summary in one.found.summaries),
        skipped={one.name: one.skipped for one in measured if one.skipped},
        notes={one.name: one.found.notes for one in measured if one.found and one.found.notes},
        seconds=round(seconds, 2),
    )
