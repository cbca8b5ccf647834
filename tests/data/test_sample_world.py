"""The sample world is seeded, true to its captions, and complete."""

import random

import pytest

from kimchi.data.sample_world import CONCEPTS, SIDES, TIMES, draw_attributes, picture, scene_svg, worlds
from kimchi.data.sample_world.captions import COLOUR_KO, captions, noun, rich


def test_there_are_enough_concepts_and_every_look_alike_exists() -> None:
    assert len(worlds("korean")) >= 24 and len(worlds("general")) >= len(worlds("korean"))
    for concept in worlds("korean"):
        assert CONCEPTS[concept.look_alike].world == "general", concept.slug
        assert concept.romanised and concept.label, concept.slug


def test_nouns_are_distinct() -> None:
    assert len({c.ko for c in CONCEPTS.values()}) == len({c.en for c in CONCEPTS.values()}) == len(CONCEPTS)


@pytest.mark.parametrize("slug", CONCEPTS)
def test_every_concept_renders_the_same_twice_in_every_setting(slug: str) -> None:
    concept = CONCEPTS[slug]
    seen = set()
    for seed in range(6):
        one, two = picture(concept, seed), picture(concept, seed)
        assert scene_svg(concept.draw, one.attributes, seed) == scene_svg(concept.draw, two.attributes, seed)
        image = one.render(64)
        assert image.size == (64, 64) and len(image.getcolors(64 * 64) or []) > 50
        seen.add(image.tobytes())
    assert len(seen) == 6


@pytest.mark.parametrize("slug", CONCEPTS)
def test_attributes_are_allowed_ones(slug: str) -> None:
    concept, rng = CONCEPTS[slug], random.Random(1)
    for _ in range(50):
        a = draw_attributes(concept, rng)
        assert (a.colour in concept.colours) if concept.colours else a.colour is None
        assert a.number <= concept.max_number and a.side in SIDES and a.time in TIMES
        assert a.number == 1 or a.side == "centre"


@pytest.mark.parametrize("slug", CONCEPTS)
def test_captions_say_the_noun_and_nothing_untrue(slug: str) -> None:
    concept = CONCEPTS[slug]
    for seed in range(20):
        p = picture(concept, seed)
        twin = captions(p)
        assert concept.ko in twin.ko
        colours = {word for word in COLOUR_KO.values() if word in twin.ko.replace(concept.ko, "").replace("하얀 식탁보", "")}
        assert colours <= {COLOUR_KO.get(p.attributes.colour or "", "")}
        assert ("두 " in twin.ko) == ("number" in twin.stated)


def test_half_of_the_korean_captions_begin_with_the_noun() -> None:
    concept, rng = CONCEPTS["ramyeon"], random.Random(0)
    firsts = [rich(concept, draw_attributes(concept, rng), rng).ko.startswith("라면") for _ in range(1000)]
    assert 0.45 < sum(firsts) / 1000 < 0.6


def test_the_noun_alone() -> None:
    assert noun(CONCEPTS["ramyeon"]).ko == "라면"
