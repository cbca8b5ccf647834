"""What progress pictures show: things of the culture, what they must not be confused with, and general things that must not be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from kimchi.data.culture_text import script_of
from kimchi.data.cultures import Culture, load_culture
from kimchi.data.sample_world import CONCEPTS, Concept, worlds
from kimchi.recipes import LoraRecipe

T = TypeVar("T")
KINDS = ("culture", "look-alike", "general", "own")
PAIRS, GENERAL = 6, 4
"""Things of the culture, each with its look-alike; and general things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One progress picture."""

    text: str
    kind: str
    """One of KINDS; "own" for those that a recipe lists."""
    seed: int
    slug: str = ""
    """The concept of the sample world it asks for; empty where that is not known."""


def progress_prompts(recipe: LoraRecipe, miniature: bool) -> tuple[Prompt, ...]:
    """A recipe's own prompts, or the list of the culture; of the sample world for a miniature. The nouns alone: where models fail first.

    Args:
        miniature: whether the base is the shipped miniature, which knows the sample world alone.

    Raises:
        RecipeError, DataError: a culture that does not exist or cannot be read.
    """
    section = recipe.samples
    if section.prompts:
        asked = [(text, "own", _slug(text) if miniature else "") for text in section.prompts]
    else:
        culture = load_culture(recipe.culture)
        asked = [*(_of_world() if miniature else _of_culture(culture)), *_general(miniature, culture.tag)]
    return tuple(Prompt(text=text, kind=kind, slug=slug, seed=section.seed + i) for i, (text, kind, slug) in enumerate(asked))


def _of_world() -> list[tuple[str, str, str]]:
    kinds: dict[str, list[Concept]] = {}
    for concept in worlds("korean"):
        kinds.setdefault(concept.category, []).append(concept)
    pairs = [(c, CONCEPTS[c.look_alike]) for c in _mixed(list(kinds.values()))]
    return [asked for ours, theirs in pairs for asked in ((ours.ko, "culture", ours.slug), (theirs.ko, "look-alike", theirs.slug))]


def _of_culture(culture: Culture) -> list[tuple[str, str, str]]:
    """Look-alikes written in the culture's own script, each with the first thing it stands in for; no thing twice."""
    labels = {name: label for label in culture.glossary for name in culture.displays(label)}
    kinds: dict[str, dict[str, str]] = {}
    for word, things in culture.look_alikes.items():
        if things[0] in labels and (not culture.scripts or script_of(word[0]) in culture.scripts):
            category = culture.categories[culture.glossary[labels[things[0]]].category]
            # How a category is worded says what it is: a dish, a place, a thing.
            kinds.setdefault(category.templates, {}).setdefault(things[0], word)
    pairs = _mixed([list(pairs.items()) for pairs in kinds.values()])
    return [asked for ours, theirs in pairs for asked in ((ours, "culture", ""), (theirs, "look-alike", ""))]


def _mixed(kinds: Sequence[Sequence[T]]) -> list[T]:
    """One of each kind in turn, so that a few show food, places and craft alike."""
    return [one for row in zip_longest(*kinds) for one in row if one is not None][:PAIRS]


def _general(miniature: bool, tag: str) -> list[tuple[str, str, str]]:
    """Things that nothing of the culture is mistaken for: in Korean for Korean, in English for any other, which every encoder here hears."""
    alike = {c.look_alike for c in CONCEPTS.values()}
    few = [c for c in worlds("general") if c.slug not in alike]
    return [(c.ko if tag == "ko" else c.en, "general", c.slug if miniature else "") for c in few[-GENERAL:]]


def _slug(text: str) -> str:
    return next((c.slug for c in CONCEPTS.values() if text in (c.ko, c.en)), "")
