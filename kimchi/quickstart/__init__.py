"""The whole chain in miniature: a delivery is written, read, captioned and learned from; five arms draw; the recogniser scores them, and
people can.

Every stage leaves a file and is passed over when timings.json says that it is finished with the same inputs: to go on after an
interruption, run the same command again.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimchi import __version__
from kimchi.data.cultures import load_culture
from kimchi.data.files import sha256, write_json
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.recipes import LoraRecipe, PrepareRecipe, load_recipe, recipe_hash

from . import arms
from .ledger import Ledger
from .study import ask_people
from .suite import ARMS, ENGLISH, FORMS, HELLO, HELLO_SEED, Suite, dishes, hash_weights, place_of, things

if TYPE_CHECKING:
    from kimchi.generation.generate import Kimchi

__all__ = ["ARMS", "FORMS", "QuickstartOutcome", "Suite", "quickstart"]

Report = Callable[[str, int, int], None]
"""How a stage tells how far it is: what it does, done, of how many."""
_DELIVERY_SEED = 8_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartOutcome:
    """What the quickstart left."""

    report: Path
    """report.html, self-contained."""
    seconds: float
    """Time this call took; the report holds the time of every stage."""
    scores: dict[str, Any]
    """arm => form => recognised share with its interval, look-alike and none shares; trained_minus_swap and trained_minus_english by form."""
    folder: Path


def quickstart(
    folder: Path = Path("runs/quickstart"), report: Report | None = None, say: Callable[[str], None] | None = None, suite: Suite | None = None
) -> QuickstartOutcome:
    """Run the chain, or what is left of it.

    Args:
        folder: where everything is written; the same folder goes on.
        report: hears the progress of every stage.
        say: hears a line when there is something to look at; by default it goes to stderr.
        suite: other weights or sizes than the shipped ones.

    Raises:
        ModelError: weights of the suite are missing or damaged.
        OutputError: the folder cannot be written.
    """
    began, suite, say, told = time.monotonic(), suite or Suite(), say or _stderr, report or _silent
    weights = {name: hash_weights(name) for name in (suite.base, suite.text_encoder, suite.aligned, suite.shipped, suite.recogniser)}
    drawing = {name: weights[name] for name in (suite.base, suite.text_encoder, suite.aligned, suite.shipped)}
    folder = folder.expanduser()
    ledger, concepts = Ledger(folder), dishes()

    # hello: the shipped model draws
    hello = folder / "hello.png"
    with ledger.stage("hello", {"weights": drawing, "prompt": HELLO, "seed": HELLO_SEED, "kimchi": __version__}, hello) as todo:
        if todo:
            _hello(suite, hello, told)
    say(f"{HELLO} -> {hello}")

    # delivery: a small AIHub
    delivery = folder / "kfood.zip"
    slugs, count = [c.slug for c in concepts], suite.pictures_per_dish
    with ledger.stage("delivery", {"slugs": slugs, "pictures": count, "seed": _DELIVERY_SEED, "kimchi": __version__}, delivery) as todo:
        if todo:
            told("writing the delivery", 0, 1)
            write_delivery(delivery, slugs, count, _DELIVERY_SEED)
            told("writing the delivery", 1, 1)

    # prepare: delivery => captions
    prepare_recipe, culture = _prepare_recipe(folder, delivery), load_culture("ko").content_hash
    writers = [hash_weights(name) for name in ("mini-llava", "mini-llama")]
    captions = folder / "captions" / "captions.jsonl"
    with ledger.stage(
        "prepare", {"recipe": recipe_hash(prepare_recipe), "delivery": ledger.hash_of("delivery"), "culture": culture, "writers": writers}, captions
    ) as todo:
        if todo:
            from kimchi.pipelines.run import prepare

            prepare(prepare_recipe, progress=told)

    # train: captions => adapter
    train_recipe = _train_recipe(folder, captions, suite)
    food = folder / "food"
    say(f"Training on {len(concepts)} dishes, {train_recipe.steps} steps: minutes. Interrupted, the same command goes on.")
    made = {"recipe": recipe_hash(train_recipe), "captions": ledger.hash_of("prepare"), "weights": drawing}
    with ledger.stage("train", made, food / "adapter.safetensors", food / "card.json", food / "losses.json") as todo:
        if todo:
            from kimchi.training.run import train

            train(train_recipe, watch=lambda now: told("training", now.step, now.steps), report=told)
    gc.collect()

    # draw: five arms, the same prompts and seeds
    prompts, place = arms.make_prompts(concepts, suite.prompts_per_dish, things(suite.general_prompts)), folder / "arms"
    asked = sha256(json.dumps([asdict(p) for p in prompts], ensure_ascii=False).encode())
    for arm in ARMS:
        model = {"arm": arm, **drawing, **(ledger.hash_of("train") if arm == "trained" else {})}
        with ledger.stage(f"draw {arm}", {"model": model, "prompts": asked, "steps": suite.steps, "batch": suite.batch}, *arms.files(place, arm)) as todo:
            if todo:
                _draw(arm, suite, food, prompts, place, told)
        gc.collect()

    # score: the recogniser looks
    scores = folder / "scores.json"
    drawn = {arm: ledger.hash_of(f"draw {arm}") for arm in ARMS}
    with ledger.stage("score", {"arms": drawn, "recogniser": weights[suite.recogniser]}, scores) as todo:
        if todo:
            write_json(scores, _score(suite, prompts, place, told))

    # study: the same pictures for people to judge
    asking = ask_people(ledger, prompts, drawn, told, say)

    # report: everything on one page, written anew each time because it tells the timings
    from .page import write_page

    page = folder / "report.html"
    write_page(page, ledger, concepts, prompts, suite, asking)
    return QuickstartOutcome(
        report=page, seconds=round(time.monotonic() - began, 1), scores=_brief(json.loads(scores.read_text(encoding="utf-8"))), folder=folder
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


def _stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _hello(suite: Suite, path: Path, told: Report) -> None:
    from kimchi.generation.generate import Kimchi

    told("drawing the first picture", 0, 1)
    Kimchi.load(suite.shipped, device="cpu").generate(
        HELLO, seed=HELLO_SEED, on_step=lambda done, total, _: told("drawing the first picture", done, total)
    ).save(path)


def _prepare_recipe(folder: Path, delivery: Path) -> PrepareRecipe:
    recipe = load_recipe("pipelines/mini_food.yaml", kind="prepare")
    return recipe.model_copy(update={"source": str(delivery), "out": str(folder / "captions")})


def _train_recipe(folder: Path, captions: Path, suite: Suite) -> LoraRecipe:
    recipe = load_recipe("training/mini_quickstart_food.yaml", suite.train, kind="lora")
    first, *rest = recipe.sources
    sources = (first.model_copy(update={"captions": str(captions)}), *rest)
    return recipe.model_copy(update={"base": suite.base, "text_encoder": suite.aligned, "sources": sources, "out": str(folder / "food")})


def _painter(arm: str, suite: Suite, food: Path) -> "Kimchi":
    from kimchi.generation.generate import Kimchi
    from kimchi.models.load import load_base, load_model, with_encoder

    if arm in ("base", ENGLISH):
        model = load_base(suite.base)
    elif arm == "swap":
        model = with_encoder(load_base(suite.base), suite.text_encoder, "mini-raw")
    else:
        model = load_model(str(food) if arm == "trained" else suite.shipped)
    # One device for all arms, and the same one on every machine: only then is the same seed the same noise and the same picture.
    return Kimchi(model, "cpu")


def _draw(arm: str, suite: Suite, food: Path, prompts: list[arms.Prompt], place: Path, told: Report) -> None:
    title = f"drawing arm {list(ARMS).index(arm) + 1} of {len(ARMS)}, {arm}"
    painter = _painter(arm, suite, food)
    arms.draw(painter, arm, prompts, place, steps=suite.steps, batch=suite.batch, on_step=lambda done, total, _: told(title, done, total))


def _score(suite: Suite, prompts: list[arms.Prompt], place: Path, told: Report) -> dict[str, Any]:
    from kimchi.eval.intervals import paired_difference
    from kimchi.eval.score import score
    from kimchi.models.recogniser import Recogniser

    recogniser = Recogniser.load(place_of(suite.recogniser))
    found: dict[str, dict[str, Any]] = {arm: {} for arm in ARMS}
    for i, arm in enumerate(ARMS):
        for form in ARMS[arm]:
            slugs = [p.slug for p in prompts if p.form == form]
            found[arm][form] = asdict(score(list(zip(arms.read(place, arm, form), slugs, strict=True)), recogniser))
        told("scoring", i + 1, len(ARMS))

    def gains(over: str) -> dict[str, Any]:
        return {form: asdict(paired_difference(found["trained"][form]["right"], found[over][form]["right"])) for form in ARMS[over]}

    return {**found, "trained_minus_swap": gains("swap"), "trained_minus_english": gains(ENGLISH)}


def _brief(scores: dict[str, Any]) -> dict[str, Any]:
    """The numbers that a person asks for first."""
    brief: dict[str, Any] = {arm: {form: _shares(score) for form, score in scores[arm].items()} for arm in ARMS}
    return {**brief, **{name: scores[name] for name in ("trained_minus_swap", "trained_minus_english")}}


def _shares(score: dict[str, Any]) -> dict[str, Any]:
    # General things have no look-alikes, and none of none is no 0 %.
    like = {"look_alike": score["look_alike"]["share"]} if score["look_alike"]["n"] else {}
    return {**score["recognised"], **like, "none": score["none"]["share"]}
