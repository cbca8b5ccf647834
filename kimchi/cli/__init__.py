"""The `kimchi` command: parse, call, print. What a command does lives in the module it imports when it is called.

Exit status: 0 done, 1 a KimchiError printed as one paragraph, 2 wrong usage, 130 interrupted. A traceback means a bug.
"""

import logging
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kimchi
from kimchi.errors import KimchiError

from .demo import demo
from .export import export
from .score import score
from .serve import app as serve_app
from .show import Bars, check_folder, finish, free_name, say
from .study import app as study_app

if TYPE_CHECKING:
    from kimchi.recipes import Planned, Recipe

# Plain help: drawing it with rich costs a third of the time that `kimchi --help` may take.
app = typer.Typer(name="kimchi", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
recipes_app = typer.Typer(no_args_is_help=True, help="List the shipped recipes, or copy one to edit.", rich_markup_mode=None)
app.add_typer(recipes_app, name="recipes")
app.add_typer(study_app, name="study")
app.add_typer(serve_app, name="serve")
# Quoted: each argument is a prompt of its own, and three words would be three pictures.
EXAMPLE = "kimchi generate '한국의 라면을 그려줘'"


def _loud(on: bool) -> None:
    if on:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(relativeCreated)7d ms %(name)s: %(message)s")
        logging.getLogger("kimchi").setLevel(logging.DEBUG)


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped recipe.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe: steps=300, lora.rank=8. Repeatable.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check the recipe, print it with every default written out, and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON: the outcome.")]
VerboseOption = Annotated[bool, typer.Option("-v", callback=_loud, help="Say more on stderr.")]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    # Before torch is imported: how often its threads turn round in place while they wait for each other. By default so often that beside two busy
    # programs a training step took five times as long; a tenth of this, and it took an eighth longer there and up to a half longer alone.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        app(arguments, prog_name="kimchi")
    except KimchiError as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _version(on: bool) -> None:
    if on:
        print(f"kimchi {kimchi.__version__}")
        raise typer.Exit


@app.callback()
def root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False) -> None:
    """KIMCHI teaches Stable Diffusion Korean: captions, training, pictures, evaluation.

    Start with `kimchi quickstart`: the whole chain in miniature, offline, on a laptop.
    """


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to write; rerun with the same folder to go on.")] = Path("runs/quickstart"),
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The whole chain in miniature: offline, CPU, minutes.

    Writes a small delivery, captions it, trains a LoRA, draws, scores, and reports. Interrupted, the same command goes on.

    \b
    kimchi quickstart
    """
    from kimchi.quickstart import ARMS
    from kimchi.quickstart import quickstart as run

    with Bars() as bars:
        outcome = run(folder, report=bars.report, say=say)
    say("Recognised in the pictures, with 95 % intervals:")
    for arm, forms in outcome.scores.items():
        if arm in ARMS:
            say(f"  {arm:<8} " + "   ".join(f"{form} {one['share']:4.0%} ({one['low']:.0%} to {one['high']:.0%})" for form, one in forms.items()))
    finish(outcome, [str(outcome.report)], f"open {outcome.report} in a browser, then: {EXAMPLE}", as_json=as_json)


@app.command()
def prepare(recipe: RecipeArgument, set_: SetOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Pictures of a delivery => Korean captions.

    \b
    kimchi prepare mini_food --set source=~/Downloads/kfood.zip
    """
    from kimchi.recipes import load_recipe

    plan = load_recipe(recipe, tuple(set_ or ()), kind="prepare")
    if dry_run:
        return _print_recipe(plan, f"kimchi prepare {recipe}", as_json)
    from kimchi.pipelines.run import prepare as run

    with Bars() as bars:
        outcome = run(plan, progress=bars.report)
    lines = [str(outcome.folder / "captions.jsonl")]
    say(f"{outcome.kept} captioned, {outcome.dropped} dropped (captions.dropped.jsonl says why), {outcome.seconds:.0f} s.")
    if outcome.unanswered:
        say(f"{outcome.unanswered} of these got no answer from a model. Run the same command again: only they are asked.")
    say(f"Look through them: open {outcome.folder / 'review.html'} in a browser.")
    finish(outcome, lines, "kimchi train RECIPE, with these captions as a source", as_json=as_json)


@app.command()
def plan(
    recipe: RecipeArgument,
    set_: SetOption = None,
    measure: Annotated[bool, typer.Option("--measure", help="Also run a little of it here, and tell how fast it was.")] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """What a run will read, need and cost.

    Reads directories, captions and configurations; loads no weights unless it is to measure.

    \b
    kimchi plan aihub_food --set source=~/Downloads/kfood.zip
    kimchi plan sd15_korean_clip_lora
    """
    from kimchi.recipes import load_recipe

    wanted = load_recipe(recipe, tuple(set_ or ()), kind=("prepare", "align", "lora", "mini"))
    with Bars() as bars:
        found, lines = _planned(wanted, measure, bars)
    command = wanted.kind if wanted.kind in ("prepare", "align") else "train"
    finish(found, lines, f"kimchi {command} {recipe}", as_json=as_json)


def _planned(recipe: "Planned", measure: bool, bars: Bars) -> tuple[object, list[str]]:
    if recipe.kind == "prepare":
        from kimchi.pipelines import plan as captioning

        found = captioning.plan(recipe, measure=measure)
        return found, captioning.describe(found)
    from kimchi.training import plan as training

    foreseen = training.plan(recipe, measure=measure, report=bars.report)
    return foreseen, training.describe(foreseen)


@app.command()
def train(recipe: RecipeArgument, set_: SetOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Captions => a LoRA adapter.

    Interrupted, the same command goes on where it stopped.

    \b
    kimchi train mini_food
    kimchi train mini_food --set steps=300 --set lora.rank=8
    """
    from kimchi.recipes import load_recipe

    plan = load_recipe(recipe, tuple(set_ or ()), kind=("lora", "mini"))
    if dry_run:
        return _print_recipe(plan, f"kimchi train {recipe}", as_json)
    if plan.kind == "lora":
        from kimchi.training.plan import check

        # Here too: importing the trainer takes longer than finding out that it cannot train.
        check(plan)
    from kimchi.training.run import train as run

    with Bars() as bars:
        outcome = run(plan, watch=bars.watch, report=bars.report)
    say(f"{outcome.steps} steps, loss {outcome.final_loss:.4f}, {outcome.seconds:.0f} s.")
    # A part of the miniature draws nothing by itself.
    following = "kimchi doctor" if plan.kind == "mini" else f"kimchi generate --model {outcome.folder} '한국의 라면을 그려줘'"
    finish(outcome, [str(outcome.folder)], following, as_json=as_json)


@app.command()
def align(
    recipe: RecipeArgument,
    measure: Annotated[bool, typer.Option("--measure", help="Only measure the alignment gap; train nothing.")] = False,
    pipeline: Annotated[Path | None, typer.Option("--pipeline", help="Also write base and encoder as a folder that stock diffusers opens.")] = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A Korean encoder => one that the UNet understands.

    Matches what the frozen UNet does with Korean to what it does with English. Interrupted, the same command goes on.

    \b
    kimchi align mini_align
    kimchi align mini_align --measure
    """
    from kimchi.recipes import load_recipe

    plan = load_recipe(recipe, tuple(set_ or ()), kind="align")
    from kimchi.training.align.fit import check

    check(plan)
    if dry_run:
        return _print_recipe(plan, f"kimchi align {recipe}", as_json)
    from kimchi.training.align import plot, run

    if measure:
        with Bars() as bars:
            gaps = run.measure_gaps(plan, report=bars.report)
        say(str(Path("runs") / plan.name / "gap.svg"))
        return finish(gaps, plot.gap_table(gaps), f"kimchi align {recipe}", as_json=as_json)
    with Bars() as bars:
        outcome = run.align(plan, watch=bars.watch, report=bars.report)
    if pipeline:
        from kimchi.models.load import load_base, with_encoder
        from kimchi.training.align.export import write_pipeline

        write_pipeline(with_encoder(load_base(plan.base), str(outcome.folder), plan.name), pipeline)
        say(f"{pipeline}: for StableDiffusionPipeline.from_pretrained")
    say(f"{outcome.steps} steps, {outcome.seconds:.0f} s. Alignment gap: {', '.join(f'{name} {gap:.3f}' for name, gap in outcome.gaps.items())}.")
    finish(outcome, [str(outcome.folder)], f"kimchi train RECIPE --set text_encoder={outcome.folder}", as_json=as_json)


def _print_recipe(plan: "Recipe", command: str, as_json: bool) -> None:
    from kimchi.recipes import recipe_hash, to_yaml

    text = to_yaml(plan)
    finish({"recipe": plan.model_dump(mode="json"), "recipe_hash": recipe_hash(plan)}, [text.rstrip()], command, as_json=as_json)


@app.command()
def generate(
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="What to draw, each in quotes, in Korean or English.")],
    model: Annotated[str, typer.Option(help="mini, mini-raw, mini-base, a run folder, a diffusers folder, a checkpoint file, or a hub id.")] = "mini",
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture; every further picture takes the next. Drawn by lot if absent.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the sampler's own number if absent.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly the prompt is followed; the sampler's own number if absent.")] = None,
    negative: Annotated[str, typer.Option(help="What should not be in the picture.")] = "",
    count: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the pictures. Nothing in it is overwritten.")] = Path("pictures"),
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Prompts => pictures.

    Each is a PNG with a JSON file beside it, from which it can be made again.

    \b
    kimchi generate "한국의 라면을 그려줘"
    kimchi generate "눈 오는 밤의 한옥" "a red dress" --count 4 --seed 7
    """
    check_folder(out)
    from kimchi.generation.prompts import as_drawn

    # Refused before weights load: a prompt that asks for nothing.
    for prompt in prompts:
        as_drawn(prompt)
    from kimchi import Kimchi

    began = time.monotonic()
    wanted = [prompt for prompt in prompts for _ in range(count)]
    first = secrets.randbelow(2**31) if seed is None else seed
    settings: dict[str, Any] = {key: value for key, value in {"steps": steps, "guidance": guidance}.items() if value is not None}
    painter = Kimchi.load(model, on_notice=say)
    saved: list[Path] = []
    with Bars() as bars:
        # A few at a time, each saved at once: an interrupted hour keeps its pictures.
        for start in range(0, len(wanted), 8):
            for image in painter.generate(wanted[start : start + 8], seed=first + start, negative=negative, **settings):
                saved.append(image.save(free_name(out, image.provenance["prompt"], image.provenance["seed"])))
            bars.report("drawing", len(saved), len(wanted))
    outcome = {"pictures": saved, "count": len(saved), "seed": first, "seconds": round(time.monotonic() - began, 2), "model": model}
    finish(outcome, [str(path) for path in saved], "kimchi recipes list, to teach it something new", as_json=as_json)


app.command()(demo)
app.command()(export)
app.command()(score)


@recipes_app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """The shipped recipes, and what each makes."""
    from kimchi.recipes import HOME, headline, list_recipes

    table = {name: headline(HOME / name) for name in list_recipes()}
    width = max(map(len, table), default=0)
    finish({"recipes": table}, [f"{name:<{width}}  {text}" for name, text in table.items()], "kimchi recipes copy NAME", as_json=as_json)


@recipes_app.command("copy")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    destination: Annotated[Path, typer.Argument(metavar="[DEST]", help="A file, or a folder; never overwritten.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Copy a shipped recipe, to edit.

    \b
    kimchi recipes copy mini_food my_food.yaml
    """
    from kimchi.recipes import copy_recipe, load_recipe

    target = copy_recipe(name, destination)
    command = {"prepare": "prepare", "align": "align", "score": "score", "study": "study new"}.get(load_recipe(str(target)).kind, "train")
    finish({"recipe": target}, [str(target)], f"edit it, then: kimchi {command} {target}", as_json=as_json)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """What this machine has, what it can run, and the next step."""
    from kimchi.doctor import describe, examine

    found = examine()
    finish(found, [describe(found)], found.next_step, as_json=as_json)
