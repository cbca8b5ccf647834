"""`kimchi score`: automatic metrics beside human scores."""

from typing import Annotated

import typer

from .show import Bars, finish, say


def score(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped recipe.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe: images=arms. Repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe, print it with every default written out, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON: the outcome.")] = False,
) -> None:
    """Pictures => scores by machine.

    Pictures lie as the study has them: arms/CONDITION/PROMPT_ID.png.
    Interrupted, the same command goes on.

    \b
    kimchi score score_mini --set images=arms
    """
    from kimchi.recipes import load_recipe, recipe_hash, to_yaml

    plan = load_recipe(recipe, tuple(set_ or ()), kind="score")
    if dry_run:
        told = {"recipe": plan.model_dump(mode="json"), "recipe_hash": recipe_hash(plan)}
        return finish(told, [to_yaml(plan).rstrip()], f"kimchi score {recipe}", as_json=as_json)
    from kimchi.eval.scoring.run import score as run
    from kimchi.eval.scoring.tables import show

    with Bars() as bars:
        outcome = run(plan, report=bars.report)
    for name, notes in outcome.notes.items():
        for note in notes:
            say(f"{name}: {note}")
    for name, why in outcome.skipped.items():
        say(f"SKIPPED {name}: {why}")
    if outcome.missing:
        say(f"{len(outcome.missing)} pictures are missing and were not scored: {', '.join(outcome.missing[:20])}.")
    finish(outcome, show(outcome.summaries), f"read {outcome.folder / 'results.json'}; `kimchi study analyse` sets scores beside people's", as_json=as_json)
