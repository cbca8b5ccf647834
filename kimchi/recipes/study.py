"""Instruments: what people are asked about which prompts, by what plan, and how the answers will be analysed."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .strict import Strict

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A name that is a file's name on every system."""
Texts = dict[str, str]
"""Language tag => text."""
WORDINGS = ("noun", "rich", "romanised", "en")


class Scale(Strict):
    """The answers to a criterion."""

    labels: dict[str, tuple[str, ...]]
    """Language => the labels of 1, 2, 3 ..., lowest first; at most five."""
    unable: Texts
    """Language => the label of 0, which is missing to the statistics."""
    ordered: bool = True
    """Whether a higher answer means more; false for a choice among countries."""

    @model_validator(mode="after")
    def _alike(self) -> "Scale":
        lengths = {len(labels) for labels in self.labels.values()}
        if len(lengths) != 1 or not lengths <= {2, 3, 4, 5}:
            raise ValueError(f"labels: {sorted(lengths)} answers; every language has the same two to five")
        if self.ordered and lengths != {5}:
            raise ValueError("labels: an ordered scale has five points, by which the analysis turns and compares answers; say `ordered: false`")
        return self

    @property
    def points(self) -> int:
        """How many answers there are beside `unable`."""
        return len(next(iter(self.labels.values())))


class Criterion(Strict):
    """One thing asked about a picture."""

    id: Id
    """Its name in tables."""
    name: Texts
    """Language => its name in reports: Text-Image Alignment."""
    text: Texts
    """Language => the sentence the rater answers."""
    hint: Texts = Field(default_factory=dict)
    """Language => a line below it."""
    scale: Id = "agreement"
    """A key of `scales`."""
    agreeing_is_good: bool = True
    """False where agreeing is bad ("errors are visible"): the analysis turns such answers, and what is stored stays as it was tapped."""
    needs_text: bool = True
    """Whether the prompt is shown with it; false where it would give the answer away."""


class Domain(Strict):
    """A kind of prompt, analysed by itself."""

    name: Texts
    """Language => its name in reports."""
    criteria: tuple[Id, ...] = Field(min_length=1)
    """What is asked about its pictures, in order."""
    per_rater: int = Field(ge=1)
    """Prompts of it that each rater sees; in mode complete all of them."""
    conditions: tuple[Id, ...] = ()
    """Which folders of pictures it compares; empty for all there are."""


class Prompt(Strict):
    """A text, in four wordings."""

    id: Id
    """Its pictures' file name."""
    domain: Id
    """A key of `domains`."""
    topic: str = ""
    """A finer kind, spread evenly over each rater's prompts: food, place, dress."""
    noun: str
    """The noun alone, in the instrument's language."""
    rich: str
    """A full description, in the instrument's language."""
    romanised: str = ""
    """The noun in Latin letters; empty where that means nothing."""
    en: str
    """English with a gloss."""
    look_alikes: tuple[str, ...] = ()
    """What models draw in its place."""


class Assignment(Strict):
    """Who sees what."""

    raters: int = Field(default=53, ge=1, le=2000)
    """Places that must be filled."""
    spare: float = Field(default=0.25, ge=0, le=2)
    """Further places, as a share of these."""
    repeats: int = Field(default=3, ge=0, le=20)
    """Pictures that each rater sees a second time."""
    gold: int = Field(default=2, ge=0, le=20)
    """Pictures under another prompt's text, which nobody who looks can find fitting."""
    traps: int = Field(default=1, ge=0, le=5)
    """Screens that ask for a certain answer."""
    gap: int = Field(default=10, ge=1)
    """Least screens between a picture and its repetition."""
    abandoned_hours: float = Field(default=72, gt=0)
    """A place without a tap for so long is passed on."""
    invitation: bool = False
    """Whether a place is claimed by an invitation's code only."""


class Quality(Strict):
    """Raters who are left out of the main analysis; the report shows it with and without them. A rule is turned off by null."""

    gold_tolerance: int | None = Field(default=2, ge=1, le=5)
    """Agreeing that a wrong text fits, by more than this value, fails the trial."""
    gold_failures: int = Field(default=2, ge=1)
    """So many failed gold trials leave a rater out."""
    gold_criterion: str = "alignment"
    """The criterion that a wrong text must lower; empty for any."""
    trap_failures: int | None = Field(default=1, ge=1)
    """So many answers other than the instructed one leave a rater out."""
    repeat_distance: float | None = Field(default=1.5, gt=0)
    """A mean distance above this between first and second answer leaves a rater out."""
    floor_ms: float | None = Field(default=1000, gt=0)
    """An answer quicker than this is too quick to have looked."""
    floor_share: float = Field(default=0.2, ge=0, le=1)
    """More of a rater's answers below the floor than this leave the rater out."""
    least_variance: float | None = Field(default=0.15, ge=0)
    """A variance of a rater's answers below this is a straight line."""


class Registered(Strict):
    """The analysis, as it is registered before anybody rates."""

    focus: Id = "kimchi"
    """The condition that the study is about; its differences from the others are the contrasts."""
    photograph: Id | None = "photo"
    """The condition that is a real photograph; null where there is none, and without effect where no folder has the name."""
    contrasts: tuple[tuple[Id, Id], ...] = ()
    """First less second; empty for the focus less each other condition."""
    margin: float = Field(default=0.3, gt=0, lt=4)
    """Points: two conditions that differ by less count as equivalent."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The chance of a false alarm."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Of the minimum detectable difference."""
    least_prompts: int = Field(default=10, ge=2)
    """With fewer, nothing is claimed about prompts like these."""
    least_raters: int = Field(default=5, ge=2)
    """With fewer, likewise."""
    draws: int = Field(default=5000, ge=100, le=100_000)
    """Of each bootstrap."""


class Consent(Strict):
    """What a rater agrees to."""

    texts: str = "korea"
    """A folder of eval/texts/, or a path: consent.LANGUAGE.md and privacy.LANGUAGE.md for each language."""
    blanks: Texts = Field(default_factory=dict)
    """What fills the blanks of these texts: institution, contact, reward ... A lock is refused while one is empty."""


class StudyRecipe(Strict):
    """An instrument: prompts and criteria => a study."""

    kind: Literal["study"]
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,63}$")]
    """Of the instrument, as reports name it; the study's folder under runs/ is called so."""
    version: str = "1"
    """A change of any text makes a new version."""
    language: str = "ko"
    """The language of `noun` and `rich`, and the one raters are shown first."""
    languages: tuple[str, ...] = ("ko", "en")
    """What raters may read; every text exists in each."""
    title: Texts
    """Language => what the study is called on its first page."""
    mode: Literal["complete", "incomplete"] = "incomplete"
    """complete: every rater sees every prompt, as in the source study. incomplete: a balanced part of them."""
    shown: Literal["noun", "rich", "romanised"] = "rich"
    """The wording that raters read in the instrument's language, whatever a model was given; in English they read `en`."""
    scales: dict[Id, Scale]
    """By name."""
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    """All that may be asked."""
    domains: dict[Id, Domain] = Field(min_length=1)
    """By name."""
    prompts: tuple[Prompt, ...] = ()
    """The texts."""
    prompts_of: str = ""
    """Another instrument whose prompts of the same domains are taken over."""
    size_px: int = Field(default=512, ge=64, le=2048)
    """Largest side of the pictures shown; a smaller one among them makes all of them smaller."""
    seconds_a_picture: float = Field(default=12, gt=0)
    """From a pilot: what the time left is told by."""
    assignment: Assignment = Assignment()
    """Who sees what."""
    quality: Quality = Quality()
    """Who is left out."""
    analysis: Registered = Registered()
    """What is computed."""
    consent: Consent = Consent()
    """What a rater agrees to."""
    retention_years: float = Field(default=3, gt=0)
    """How long the answers are kept after the lock; `kimchi study purge` destroys them then."""
    ethics: str = ""
    """Decision number of the ethics board, or why there is none."""
    seed: int = Field(default=2025, ge=0)
    """Of the plan and of the analysis."""

    @model_validator(mode="after")
    def _consistent(self) -> "StudyRecipe":
        _check_languages(self)
        _check_names(self)
        _check_prompts(self)
        return self

    def criterion(self, id: str) -> Criterion:
        """A criterion by its id."""
        return next(one for one in self.criteria if one.id == id)

    def prompts_in(self, domain: str) -> tuple[Prompt, ...]:
        """The prompts of a domain, in the order of the file."""
        return tuple(one for one in self.prompts if one.domain == domain)

    def per_rater(self, domain: str) -> int:
        """How many prompts of a domain a rater sees."""
        there = len(self.prompts_in(domain))
        return there if self.mode == "complete" else min(there, self.domains[domain].per_rater)

    def text(self, prompt: Prompt, language: str) -> str:
        """What a rater of a language reads."""
        return getattr(prompt, self.shown) if language == self.language else prompt.en


def _check_languages(recipe: StudyRecipe) -> None:
    if recipe.language not in recipe.languages or not set(recipe.languages) <= {recipe.language, "en"}:
        raise ValueError(f"languages {list(recipe.languages)}: the prompts are worded in {recipe.language} and en, and {recipe.language} must be among them")
    texts = {"title": recipe.title}
    texts |= {f"scales.{name}.{part}": getattr(scale, part) for name, scale in recipe.scales.items() for part in ("labels", "unable")}
    texts |= {f"criteria.{one.id}.{part}": getattr(one, part) for one in recipe.criteria for part in ("name", "text")}
    texts |= {f"domains.{name}.name": domain.name for name, domain in recipe.domains.items()}
    for place, held in texts.items():
        absent = [language for language in recipe.languages if not held.get(language)]
        if absent:
            raise ValueError(f"{place}: nothing in {', '.join(absent)}; every text exists in each of `languages`")


def _check_names(recipe: StudyRecipe) -> None:
    ids = [one.id for one in recipe.criteria]
    if len(set(ids)) < len(ids):
        raise ValueError(f"criteria: {', '.join(sorted({one for one in ids if ids.count(one) > 1}))} stands twice")
    for one in recipe.criteria:
        if one.scale not in recipe.scales:
            raise ValueError(f"criteria.{one.id}.scale is {one.scale!r}, which `scales` does not have")
    for name, domain in recipe.domains.items():
        unknown = [one for one in domain.criteria if one not in ids]
        if unknown:
            raise ValueError(f"domains.{name}.criteria: {', '.join(unknown)} is none of {', '.join(ids)}")


def _check_prompts(recipe: StudyRecipe) -> None:
    if bool(recipe.prompts) == bool(recipe.prompts_of):
        raise ValueError("prompts: give them, or `prompts_of` another instrument; one of the two")
    seen = set[str]()
    for prompt in recipe.prompts:
        if prompt.id in seen or prompt.id == "practice":
            raise ValueError(f"prompts: the id {prompt.id!r} stands twice, or is 'practice', which the study's own first screen has")
        if prompt.domain not in recipe.domains:
            raise ValueError(f"prompts.{prompt.id}.domain is {prompt.domain!r}, which `domains` does not have")
        if not getattr(prompt, recipe.shown).strip() or not prompt.noun.strip() or not prompt.en.strip():
            raise ValueError(f"prompts.{prompt.id}: noun, en and {recipe.shown}, which raters read, must not be empty")
        seen.add(prompt.id)
    empty = [name for name in recipe.domains if recipe.prompts and not recipe.prompts_in(name)]
    if empty:
        raise ValueError(f"domains: {', '.join(empty)} has no prompt")
