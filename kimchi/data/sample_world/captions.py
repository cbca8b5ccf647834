"""What a drawing shows, said in English and in Korean: the parallel text of the sample world.

The wordings are templates over true attributes, so a caption never states what the picture does not show. A rich caption
names some attributes and omits others, as people do; the noun stands first in half of the Korean ones, because a late noun
is the first to be cut.
"""

import random
from dataclasses import dataclass

from .concepts import Concept
from .pictures import Picture
from .scene import Attributes

COLOUR_KO = {
    "red": "빨간", "yellow": "노란", "green": "초록색", "blue": "파란", "purple": "보라색", "pink": "분홍색", "white": "하얀", "black": "검은",
}  # fmt: skip
PLACE_EN = {
    "wooden_table": ("on a wooden table", "on a brown wooden table"),
    "white_tablecloth": ("on a white tablecloth", "on a table with a white cloth"),
    "stone_slab": ("on a stone slab", "on grey stone"),
    "green_field": ("in a green field", "in a meadow"),
    "seaside": ("by the sea", "on a beach"),
    "city": ("in the city", "in front of city buildings"),
    "mountains": ("in the mountains", "in front of mountains"),
}
PLACE_KO = {
    "wooden_table": ("나무 식탁 위", "나무 탁자 위"),
    "white_tablecloth": ("하얀 식탁보 위", "흰 식탁보를 깐 식탁 위"),
    "stone_slab": ("돌판 위", "회색 돌바닥 위"),
    "green_field": ("푸른 들판", "초록 풀밭"),
    "seaside": ("바닷가", "해변"),
    "city": ("도시", "도심"),
    "mountains": ("산속", "산을 배경으로 한 곳"),
}
TIME_EN = {"day": ("in daylight", "during the day"), "sunset": ("at sunset", "in the evening glow"), "night": ("at night", "in the dark of night")}
TIME_KO = {"day": ("낮", "한낮"), "sunset": ("해 질 녘", "노을 질 때"), "night": ("밤", "깊은 밤")}
SIDE_EN = {"left": "on the left", "right": "on the right", "centre": "in the middle"}
SIDE_KO = {"left": "왼쪽", "right": "오른쪽", "centre": "가운데"}
ON_TABLE = ("wooden_table", "white_tablecloth", "stone_slab")


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One meaning in two languages, and what it states."""

    en: str
    ko: str
    stated: tuple[str, ...]
    """Which attributes the words state: a subset of colour, place, time, number, side."""


def _things_en(concept: Concept, colour: str | None, number: int) -> str:
    noun = concept.en if number == 1 else concept.en_plural
    words = f"{colour} {noun}" if colour else noun
    if number == 2:
        return f"two {words}"
    if words[0].isupper():
        return words  # a proper name takes no article
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _things_ko(concept: Concept, colour: str | None, number: int) -> str:
    words = f"{COLOUR_KO[colour]} {concept.ko}" if colour else concept.ko
    return f"{words} 두 {concept.counter_ko}" if number == 2 else words


def noun(concept: Concept) -> Twin:
    """The noun alone."""
    return Twin(en=concept.en, ko=concept.ko, stated=())


def of_korea(concept: Concept) -> Twin:
    """What people type first; it states nothing but whose it is."""
    return Twin(en=f"Korean {concept.en}", ko=f"한국의 {concept.ko}", stated=())


def _chosen(attributes: Attributes, rng: random.Random) -> set[str]:
    """Which attributes a caption states: the colour and a number of two nearly always, place and time mostly, the side at times."""
    stated: set[str] = set()
    if attributes.colour and rng.random() < 0.9:
        stated.add("colour")
    if attributes.number == 2:
        stated.add("number")
    if rng.random() < 0.85:
        stated.add("place")
    if rng.random() < 0.75:
        stated.add("time")
    if attributes.number == 1 and rng.random() < (0.7 if attributes.side != "centre" else 0.15):
        stated.add("side")
    return stated


def rich(concept: Concept, attributes: Attributes, rng: random.Random) -> Twin:
    """A full caption in both languages with the same facts in it."""
    if concept.world == "korean" and rng.random() < 0.12:
        return of_korea(concept)
    stated = _chosen(attributes, rng)
    colour = attributes.colour if "colour" in stated else None
    i, j = rng.randrange(2), rng.randrange(2)
    thing_en, thing_ko = _things_en(concept, colour, attributes.number), _things_ko(concept, colour, attributes.number)
    place_en = PLACE_EN[attributes.place][i] if "place" in stated else ""
    time_en = TIME_EN[attributes.time][j] if "time" in stated else ""
    side_en = SIDE_EN[attributes.side] if "side" in stated else ""
    english = " ".join(filter(None, (thing_en, side_en, place_en, time_en)))
    if rng.random() < 0.25:
        english = f"a picture of {english}"
    return Twin(en=english, ko=_korean(thing_ko, attributes, stated, i, j, rng), stated=tuple(sorted(stated)))


def _korean(thing: str, attributes: Attributes, stated: set[str], i: int, j: int, rng: random.Random) -> str:
    place = PLACE_KO[attributes.place][i] if "place" in stated else ""
    time = TIME_KO[attributes.time][j] if "time" in stated else ""
    side = SIDE_KO[attributes.side] if "side" in stated else ""
    verb = "놓인" if attributes.place in ON_TABLE else "있는"
    if rng.random() < 0.5:
        # The noun first: "라면, 나무 식탁 위, 밤, 왼쪽"
        return ", ".join(filter(None, (thing, place, time, side)))
    where = " ".join(filter(None, (f"{time}," if time and (place or side) else time, place, side)))
    if not where:
        return thing
    if place or side:
        return f"{where}에 {verb} {thing}"
    return f"{where}의 {thing}"


def captions(picture: Picture, variant: int = 0) -> Twin:
    """The rich caption number `variant` of a picture; the same numbers always give the same words."""
    return rich(picture.concept, picture.attributes, random.Random(f"{picture.concept.slug}/{picture.seed}/{variant}"))
