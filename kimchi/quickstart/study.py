"""A study of the quickstart's own pictures, sealed: people judge what the recogniser has scored, after one command that serves it."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from kimchi import __version__
from kimchi.data.files import write_json
from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.data.sample_world.captions import captions
from kimchi.errors import StudyError
from kimchi.eval.study.extra import INSTALL, absent
from kimchi.recipes import StudyRecipe, load_recipe, recipe_hash

from . import arms, suite
from .ledger import Ledger
from .suite import ENGLISH, GENERAL

CONDITIONS = {"base": "base", "swap": "swap", "trained": "kimchi", "shipped": "mini-ko", ENGLISH: "base-english"}
"""Arm => what the study calls it."""
DOMAINS = {"culture": ("base", "swap", "trained", "shipped"), "general": (ENGLISH, "swap", "trained", "shipped")}
"""Domain of the instrument => the arms compared in it. Given general Korean the base draws nothing; given English it is the ceiling."""
PER_DISH = 2
"""Prompts of each dish, at most."""
GENERAL_EVERY = 4
"""Of the general things, one in so many."""
STUDY, PICTURES, SUMMARY = "study", "study-arms", "study.json"
"""Below the quickstart's folder."""
_INSTRUMENT = "eval/mini_2026.yaml"
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The study in numbers, as the report tells it."""

    prompts: int
    screens: int
    """That one rater sees, checks included."""
    minutes: int
    places: int
    """How many people can take part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How people can be asked about the pictures, or what that still needs."""

    command: str
    """kimchi, as this Python has it: also where it is on no PATH."""
    folder: str
    summary: Summary | None = None
    install: str = ""
    """The command that brings the extra `eval`, where it is missing."""
    refused: str = ""
    """Why these pictures make no study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One prompt of the study."""

    id: str
    domain: str
    prompt: arms.Prompt
    en: str


def ask_people(ledger: Ledger, prompts: Sequence[arms.Prompt], drawn: Mapping[str, Any], told: Report, say: Callable[[str], None]) -> Asking:
    """Make the study, or what is left of it. Without the extra `eval` there is none, and the report says what to install.

    Args:
        ledger: of the quickstart's folder.
        prompts: all that were drawn.
        drawn: arm => hashes of its pictures.
        told: hears how far it is.
        say: hears where an answered study was set aside.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = ledger.folder
    asking = Asking(command=_command(), folder=quote(str(folder / STUDY)))
    if absent():
        return replace(asking, install=INSTALL)
    inputs = {"instrument": recipe_hash(load_recipe(_INSTRUMENT, kind="study")), "arms": dict(drawn), "kimchi": __version__}
    try:
        with ledger.stage(STUDY, inputs, folder / STUDY / "lock.json", folder / SUMMARY) as todo:
            if todo:
                _make(folder, prompts, told, say)
    except StudyError as error:
        # Two arms that drew one picture, say. That is no reason to lose the report.
        return replace(asking, refused=str(error))
    return replace(asking, summary=Summary(**json.loads((folder / SUMMARY).read_text(encoding="utf-8"))))


def choose(prompts: Sequence[arms.Prompt]) -> list[Shown]:
    """Of each dish the first rich captions that differ, of the general things every fourth. None is picked."""
    chosen, seen = list[Shown](), dict[str, list[str]]()
    for one in (p for p in prompts if p.form == "rich"):
        texts = seen.setdefault(one.slug, [])
        if one.text not in texts and len({*texts}) < PER_DISH:
            # The n-th caption of a dish tells of its n-th drawing, as make_prompts has it.
            twin = captions(picture(CONCEPTS[one.slug], arms.FIRST_SEED + len(texts)))
            chosen.append(Shown(id=f"{one.slug}_{len({*texts}) + 1}", domain="culture", prompt=one, en=twin.en))
        texts.append(one.text)
    general = [p for p in prompts if p.form == GENERAL][::GENERAL_EVERY]
    return chosen + [Shown(id=p.slug, domain="general", prompt=p, en=p.english) for p in general]


def instrument(chosen: Sequence[Shown]) -> StudyRecipe:
    """The shipped instrument, with the prompts that were drawn."""
    given = load_recipe(_INSTRUMENT, kind="study").model_dump(mode="json")
    given["prompts"] = [
        # A dish is a topic of its own: under another dish's text no picture of it can fit, which is what a check stands on.
        {"id": one.id, "domain": one.domain, "topic": one.prompt.slug, "noun": CONCEPTS[one.prompt.slug].ko, "rich": one.prompt.text, "en": one.en}
        for one in chosen
    ]
    for domain, compared in DOMAINS.items():
        given["domains"][domain]["conditions"] = sorted(CONDITIONS[arm] for arm in compared)
    return StudyRecipe.model_validate(given)


def _make(folder: Path, prompts: Sequence[arms.Prompt], told: Report, say: Callable[[str], None]) -> None:
    # Here: without the extra `eval` these cannot be imported.
    from kimchi.eval.study.lock import lock
    from kimchi.eval.study.new import new

    chosen = choose(prompts)
    recipe = instrument(chosen)
    _clear(folder / STUDY, say)
    _write_arms(folder / "arms", folder / PICTURES, prompts, chosen)
    made = new(recipe, folder / PICTURES, folder / STUDY, report=lambda stage, done, total: told("preparing the study", done, total))
    lock(folder / STUDY, now=time.time_ns() // 1_000_000)
    checks = recipe.assignment.repeats + recipe.assignment.gold + recipe.assignment.traps
    screens = sum(recipe.per_rater(name) * len(compared) for name, compared in DOMAINS.items()) + checks
    minutes = max(1, round(screens * recipe.seconds_a_picture / 60))
    write_json(folder / SUMMARY, asdict(Summary(prompts=made.prompts, screens=screens, minutes=minutes, places=made.slots)))


def _clear(study: Path, say: Callable[[str], None]) -> None:
    """Make room for a study; one that somebody has begun to answer is set aside."""
    from kimchi.eval.study.folder import StudyFolder

    if not study.exists():
        return
    try:
        with StudyFolder(study).store(read_only=True) as store:
            untouched = not store.progress().raters
    except StudyError:
        untouched = False  # purged, say: its analysis may still be there
    if untouched:
        shutil.rmtree(study)
        return
    aside = next(one for n in range(1, 1000) if not (one := study.with_name(f"{STUDY}.{n}")).exists())
    study.rename(aside)
    say(f"People have answered about earlier pictures; their study is kept as {aside}.")


def _write_arms(sheets: Path, place: Path, prompts: Sequence[arms.Prompt], chosen: Sequence[Shown]) -> None:
    """A folder a condition, a file a prompt: what `kimchi study new` reads."""
    shutil.rmtree(place, ignore_errors=True)
    for arm, condition in CONDITIONS.items():
        forms = {form: [p.seed for p in prompts if p.form == form] for form in ("rich", GENERAL) if form in suite.ARMS[arm]}
        drawn = {seed: image for form, seeds in forms.items() for seed, image in zip(seeds, arms.read(sheets, arm, form), strict=True)}
        (place / condition).mkdir(parents=True)
        for one in chosen:
            if arm in DOMAINS[one.domain]:
                drawn[one.prompt.seed].save(place / condition / f"{one.id}.png")


def _command() -> str:
    """How this kimchi is called: by its name where the PATH has it, and by its place where not."""
    beside = Path(sys.executable).with_name("kimchi")
    found = shutil.which("kimchi")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "kimchi"
    here = beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside
    return quote(str(here)) if beside.is_file() else f"{quote(sys.executable)} -m kimchi"
