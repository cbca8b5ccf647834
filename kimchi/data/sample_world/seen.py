"""What one sees in a drawing without knowing its name: the English of the mini LLaVA, and the facts that a Korean caption states.

A draft says "A low house with a curved tile roof, in a green field, at night."; that the house is a 한옥, only the provider's label knows.
"""

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .captions import COLOUR_KO, ON_TABLE, PLACE_EN, PLACE_KO, SIDE_EN, SIDE_KO, TIME_EN, TIME_KO
from .concepts import CONCEPTS, Concept
from .pictures import Picture
from .scene import Attributes

# No phrase begins with a colour: the first word of a draft is the thing's own colour, or none.
PLAIN_EN: dict[str, tuple[str, str]] = {
    "kimono": ("robe with wide sleeves and a broad sash", "robes with wide sleeves and broad sashes"),
    "dress": ("sleeveless gown", "sleeveless gowns"),
    "hat": ("tall hat with a band", "tall hats with bands"),
    "mask": ("eye mask with feathers", "eye masks with feathers"),
    "drum": ("marching drum with two sticks", "marching drums with sticks"),
    "vase": ("vase of flowers", "vases of flowers"),
    "fan": ("folding fan", "folding fans"),
    "handbag": ("leather handbag", "leather handbags"),
    "lamp": ("table lamp", "table lamps"),
    "teddy": ("teddy bear", "teddy bears"),
    "car": ("car", "cars"),
    "house": ("house with a steep roof", "houses with steep roofs"),
    "castle": ("castle with round towers", "castles with round towers"),
    "pagoda": ("wooden tower with wide roofs", "wooden towers with wide roofs"),
    "lighthouse": ("striped lighthouse", "striped lighthouses"),
    "office_tower": ("block of offices with many windows", "blocks of offices with many windows"),
    "statue": ("marble statue on a plinth", "marble statues on plinths"),
    "boat": ("sailing boat", "sailing boats"),
    "tree": ("leafy tree", "leafy trees"),
    "flower": ("large flower", "large flowers"),
    "bicycle": ("bicycle", "bicycles"),
    "cat": ("sitting cat", "sitting cats"),
    "ramen": ("bowl of noodles with slices of pork", "bowls of noodles with slices of pork"),
    "sushi": ("board of raw fish on rice", "boards of raw fish on rice"),
    "salad": ("glass bowl of salad", "glass bowls of salad"),
    "pasta": ("plate of spaghetti", "plates of spaghetti"),
    "dumpling": ("bamboo steamer of dumplings", "bamboo steamers of dumplings"),
    "soup": ("bowl of creamy soup", "bowls of creamy soup"),
    "pancake": ("stack of pancakes", "stacks of pancakes"),
    "cabbage": ("head of cabbage", "heads of cabbage"),
    "apple": ("apple", "apples"),
    "cup": ("cup of coffee", "cups of coffee"),
    "hanbok": ("dress with a short jacket and a wide skirt", "dresses with short jackets and wide skirts"),
    "gat": ("flat hat with a wide brim", "flat hats with wide brims"),
    "hahoe_mask": ("wooden mask with a laughing face", "wooden masks with laughing faces"),
    "janggu": ("long drum with a narrow waist", "long drums with narrow waists"),
    "moon_jar": ("round porcelain jar", "round porcelain jars"),
    "taegeuk_fan": ("round fan with a swirl of three colours", "round fans with a swirl of three colours"),
    "bokjumeoni": ("silk pouch with a cord", "silk pouches with cords"),
    "cheongsachorong": ("silk lantern with a tassel", "silk lanterns with tassels"),
    "ramyeon": ("metal pot of curly noodles with an egg", "metal pots of curly noodles with eggs"),
    "baechu_kimchi": ("plate of cabbage leaves in chilli", "plates of cabbage leaves in chilli"),
    "bibimbap": ("stone bowl of vegetables with a fried egg", "stone bowls of vegetables with fried eggs"),
    "tteokbokki": ("plate of thick cylinders in glossy sauce", "plates of thick cylinders in glossy sauce"),
    "gimbap": ("plate of sliced rice rolls", "plates of sliced rice rolls"),
    "songpyeon": ("plate of half-moon cakes on pine needles", "plates of half-moon cakes on pine needles"),
    "samgyetang": ("earthenware pot of soup with a whole chicken", "earthenware pots of soup with whole chickens"),
    "pajeon": ("flat pancake with spring onions", "flat pancakes with spring onions"),
    "hanok": ("low house with a curved tile roof", "low houses with curved tile roofs"),
    "gwanghwamun": ("great gate with arches and tiled roofs", "great gates with arches and tiled roofs"),
    "seoktap": ("stone tower with several flat roofs", "stone towers with several flat roofs"),
    "cheomseongdae": ("round stone tower like a bottle", "round stone towers like bottles"),
    "lotte_tower": ("very tall glass tower with a pointed top", "very tall glass towers with pointed tops"),
    "n_tower": ("observation tower on a hill", "observation towers on hills"),
    "dolhareubang": ("stone figure with a round hat", "stone figures with round hats"),
    "geobukseon": ("warship with a spiked shell and a dragon head", "warships with spiked shells and dragon heads"),
}
"""Each concept in plain words, one and several, without its name and without an article."""

COLOUR_NOUN_KO = {
    "red": "빨간색", "yellow": "노란색", "green": "초록색", "blue": "파란색", "purple": "보라색", "pink": "분홍색", "white": "하얀색", "black": "검은색",
}  # fmt: skip
MOST_STATED = 3
STATEABLE = ("number", "colour", "place", "time", "side")
"""What can be said of a picture beside its thing, the surest first."""


def reliable(attributes: Attributes) -> tuple[str, ...]:
    """The surest three things to say: two of a kind, the colour, the place, the time, and a side that is not the middle."""
    worth = {"number": attributes.number == 2, "colour": bool(attributes.colour), "side": attributes.side != "centre"}
    return tuple(name for name in STATEABLE if worth.get(name, True))[:MOST_STATED]


def thing_en(names: tuple[str, str], colour: str | None, number: int) -> str:
    """A thing with its article, colour and number: "two red cars"."""
    words = " ".join(filter(None, (colour, names[number - 1])))
    if number == 2:
        return f"two {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def word_en(names: tuple[str, str], attributes: Attributes, stated: Collection[str], place: int = 0, time: int = 0) -> str:
    """A draft that states these attributes and no others; `place` and `time` choose among the wordings.

    A number of two is stated whenever it is true: English has no word for a thing that leaves it open.
    """
    said = [
        thing_en(names, attributes.colour if "colour" in stated else None, attributes.number),
        SIDE_EN[attributes.side] if "side" in stated else "",
        PLACE_EN[attributes.place][place] if "place" in stated else "",
        TIME_EN[attributes.time][time] if "time" in stated else "",
    ]
    text = ", ".join(filter(None, said))
    return f"{text[0].upper()}{text[1:]}."


def describe(picture: Picture) -> str:
    """What the mini LLaVA is taught to say of a picture."""
    return word_en(PLAIN_EN[picture.concept.slug], picture.attributes, reliable(picture.attributes))


def word_ko(noun: str, counter: str, attributes: Attributes, stated: Collection[str], *, noun_first: bool, place: int = 0, time: int = 0) -> str:
    """The Korean caption of the same facts, in the forms of captions.py; but where the noun is to come first, its colour follows it."""
    colour = attributes.colour if "colour" in stated else None
    thing = " ".join(filter(None, (COLOUR_KO[colour] if colour and not noun_first else "", noun, f"두 {counter}" if attributes.number == 2 else "")))
    where = PLACE_KO[attributes.place][place] if "place" in stated else ""
    when = TIME_KO[attributes.time][time] if "time" in stated else ""
    side = SIDE_KO[attributes.side] if "side" in stated else ""
    if noun_first:
        return ", ".join(filter(None, (thing, COLOUR_NOUN_KO[colour] if colour else "", where, when, side)))
    if where or side:
        verb = "놓인" if "place" in stated and attributes.place in ON_TABLE else "있는"
        return f"{' '.join(filter(None, (when and f'{when},', where, side)))}에 {verb} {thing}"
    return f"{when}의 {thing}" if when else thing


def some_facts(attributes: Attributes, rng: random.Random) -> set[str]:
    """Any attributes that are worth stating, for text about pictures that nobody needs to draw."""
    worth = {"colour": bool(attributes.colour), "number": attributes.number == 2, "side": attributes.number == 1}
    share = {"number": 1.0, "colour": 0.9, "place": 0.9, "time": 0.8, "side": 0.7 if attributes.side != "centre" else 0.15}
    return {name for name in STATEABLE if worth.get(name, True) and rng.random() < share[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a text states of a picture."""

    facts: tuple[tuple[str, str], ...]
    """(attribute, value) in the order they are said; the number as "1", "2" ..., the thing of an English draft as a slug."""
    rest: str
    """Words that state something else, or nothing known."""

    def untrue(self, concept: Concept, attributes: Attributes) -> tuple[tuple[str, str], ...]:
        """The stated facts that are not so."""
        truth = {name: str(getattr(attributes, name) or "") for name in STATEABLE} | {"thing": concept.slug}
        return tuple((name, value) for name, value in self.facts if truth[name] != value)

    def all_true(self, picture: Picture) -> bool:
        """Whether every fact is so. Words that are not understood count as untrue: nobody has checked them."""
        return not self.untrue(picture.concept, picture.attributes) and not self.rest


_COLOUR_WORDS_KO = {
    "red": "빨간색|빨간|빨강|붉은색|붉은", "yellow": "노란색|노란|노랑", "green": "초록색|초록빛|초록|녹색", "blue": "파란색|파란|파랑|푸른색|푸른",
    "purple": "보라색|보랏빛|보라", "pink": "분홍색|분홍빛|분홍|핑크색", "white": "하얀색|하얀|흰색|흰|백색", "black": "검은색|검은|검정색|검정|까만",
}  # fmt: skip
_NUMBERS_KO = {"1": "한", "2": "두", "3": "세", "4": "네", "5": "다섯", "6": "여섯", "7": "일곱", "8": "여덟", "9": "아홉", "10": "열"}
_COUNTERS_KO = {c.counter_ko for c in CONCEPTS.values()} | {"가지", "권", "명", "병", "송이", "잔", "조각", "켤레", "쌍"}
_PARTICLES_KO = r"(?:에서|에는|에|의|으로|로|이|가|을|를|은|는)?"
_FILLERS_KO = re.compile(
    r"(?<![가-힣])(?:놓여|놓인|놓은|있는|담긴|서|선|보이는|보이|볼 수 있는|모습|풍경|그림|사진|한국에서|한국의|한국|그리고)" + _PARTICLES_KO + r"(?![가-힣])"
)
_ALONE_KO = re.compile(r"(?<![가-힣])(?:에서|에는|에|의|이|가|을|를|은|는)(?![가-힣])")


def _wordings(table: Mapping[str, tuple[str, ...] | str], name: str) -> dict[str, tuple[str, str]]:
    pairs = {key: (words,) if isinstance(words, str) else words for key, words in table.items()}
    return {wording: (name, key) for key, words in pairs.items() for wording in words}


_KNOWN_KO: dict[str, tuple[str, str]] = {
    **_wordings(PLACE_KO, "place"),
    **{w.removesuffix(" 위"): fact for w, fact in _wordings(PLACE_KO, "place").items()},
    **_wordings(TIME_KO, "time"),
    **_wordings(SIDE_KO, "side"),
    **_wordings({key: tuple(words.split("|")) for key, words in _COLOUR_WORDS_KO.items()}, "colour"),
}
# The longest first: 초록 풀밭 is a place, and no colour.
_FACT_KO = re.compile(
    rf"(?<![가-힣])(?:(?P<words>{'|'.join(sorted(map(re.escape, _KNOWN_KO), key=len, reverse=True))}){_PARTICLES_KO}"
    rf"|(?P<number>{'|'.join(_NUMBERS_KO.values())}) (?:{'|'.join(sorted(_COUNTERS_KO, key=len, reverse=True))}){_PARTICLES_KO})(?![가-힣])"
)


def read_ko(caption: str, noun: str) -> Reading:
    """The facts that a Korean caption states beside the noun, in the words of this world and a few near ones."""
    # As a word of its own, since 배 (boat) is also in 배경; the mark keeps the words at its sides apart.
    whole = rf"(?<![가-힣]){re.escape(noun)}{_PARTICLES_KO}(?![가-힣])"
    left = re.sub(whole, " ▪ ", caption, count=1) if noun else caption
    facts: list[tuple[str, str]] = []

    def take(found: re.Match[str]) -> str:
        if words := found["words"]:
            facts.append(_KNOWN_KO[words])
        else:
            facts.append(("number", next(n for n, word in _NUMBERS_KO.items() if word == found["number"])))
        return " "

    left = _FACT_KO.sub(take, left)
    left = _ALONE_KO.sub(" ", _FILLERS_KO.sub(" ", left))
    return Reading(facts=tuple(facts), rest=" ".join(re.sub(r"[▪,.·]", " ", left).split()))


_KNOWN_EN: dict[str, tuple[str, str]] = {**_wordings(PLACE_EN, "place"), **_wordings(TIME_EN, "time"), **_wordings(SIDE_EN, "side")}
_THINGS_EN = {names[n - 1]: (slug, n) for slug, names in PLAIN_EN.items() for n in (1, 2)}


def read_en(draft: str) -> Reading:
    """The thing and the facts that a draft states, in the form of word_en."""
    thing, *said = draft.removesuffix(".").split(", ")
    facts, rest = _thing_facts(thing[:1].lower() + thing[1:])
    for words in said:
        if words in _KNOWN_EN:
            facts.append(_KNOWN_EN[words])
        else:
            rest.append(words)
    return Reading(facts=tuple(facts), rest=", ".join(rest))


def _thing_facts(words: str) -> tuple[list[tuple[str, str]], list[str]]:
    article, _, name = words.partition(" ")
    first, _, after = name.partition(" ")
    colour = first if first in COLOUR_KO else ""
    slug, number = _THINGS_EN.get(after if colour else name, ("", 0))
    if not slug or (number == 2) != (article == "two"):
        return [], [words]
    facts = [("thing", slug)] + ([("number", "2")] if number == 2 else [])
    return facts + ([("colour", colour)] if colour else []), []
