"""`kimchi plan` for everything that trains: what a run will read, need and cost, before it is started. Loads no weights.

`check` refuses what cannot work, `choose` settles what a recipe leaves to the machine; the trainer calls both.
parts: configurations    checks: refusals    words, pictures: sources    shape: counting on the meta device    memory, speed: what follows
"""

from typing import TYPE_CHECKING

from kimchi.recipes import AlignRecipe, LoraRecipe, MiniPartRecipe

from .checks import check, problems, refuse_anywhere
from .found import LoraPlan, TrainingPlan
from .memory import Choice, choose
from .show import describe

if TYPE_CHECKING:
    from kimchi.training.loop import Report

__all__ = ["Choice", "LoraPlan", "TrainingPlan", "check", "choose", "describe", "plan", "problems"]


def plan(recipe: LoraRecipe | AlignRecipe | MiniPartRecipe, *, measure: bool = False, report: "Report | None" = None) -> LoraPlan | TrainingPlan:
    """What a training recipe's run will read, need and cost.

    Args:
        measure: for kind lora, train a network of this shape here for a few steps, random weights.
        report: told how far reading the pictures' headers is.

    Raises:
        RecipeError, ModelError, DataError: a recipe that cannot work on any machine.
    """
    if isinstance(recipe, LoraRecipe):
        # What cannot work is refused before torch is there: importing it takes longer than all the checks.
        refuse_anywhere(recipe)
        from .lora import plan_lora

        return plan_lora(recipe, measure=measure, report=report)
    if isinstance(recipe, AlignRecipe):
        latents = None if recipe.latents.source == "teacher" else recipe.latents.count
        return _stages("align", [(recipe.a0.steps, recipe.a0.batch), (recipe.a1.steps, recipe.a1.batch)], latents)
    return _stages(recipe.kind, [(recipe.steps, recipe.batch)], None)


def _stages(kind: str, stages: list[tuple[int, int]], pictures: int | None) -> TrainingPlan:
    return TrainingPlan(
        kind=kind, steps=sum(steps for steps, _ in stages), batch=max(batch for _, batch in stages),
        samples=sum(steps * batch for steps, batch in stages), pictures=pictures,
        notes=("time and memory are foreseen for LoRA recipes alone; the recipe's header says what it cost when it was last run.",),
    )  # fmt: skip
