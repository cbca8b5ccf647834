"""Scoring, with a recogniser that says what it is told to: what is tested is the counting."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kimchi.data.files import write_json
from kimchi.errors import DataError
from kimchi.eval.score import score
from kimchi.models.recogniser import ANSWERS, Network, Recogniser, Sight

GREY = Image.new("RGB", (128, 128), "grey")


class Told:
    """Sees what it was told to see."""

    def __init__(self, *concepts: str, **attributes: str) -> None:
        self.sights = [
            Sight(
                concept=c,
                confidence=1.0,
                colour=attributes.get("colour", "red"),
                place="seaside",
                time="day",
                number=int(attributes.get("number", 1)),
                side="left",
            )
            for c in concepts
        ]

    def see(self, images: Sequence[Image.Image]) -> list[Sight]:
        assert len(images) == len(self.sights)
        return self.sights


def asked(*slugs: str) -> list[tuple[Image.Image, str]]:
    return [(GREY, slug) for slug in slugs]


def test_counts_the_recognised_the_mistaken_and_the_unknown() -> None:
    found = score(asked("ramyeon", "ramyeon", "ramyeon", "gimbap"), Told("ramyeon", "ramen", "none", "gimbap"))
    assert (found.n, found.recognised.count, found.look_alike.count, found.none.count) == (4, 2, 1, 1)
    assert found.right == (True, False, False, True)
    assert found.recognised.low < 0.5 < found.recognised.high
    assert found.confusion == {"ramyeon": {"ramyeon": 1, "ramen": 1, "none": 1}, "gimbap": {"gimbap": 1}}


def test_tells_concept_by_concept_in_the_order_of_the_world() -> None:
    found = score(asked("gimbap", "ramyeon", "ramyeon"), Told("sushi", "ramyeon", "ramen"))
    assert [(row.slug, row.recognised.share, row.look_alike.share) for row in found.per_concept] == [("ramyeon", 0.5, 0.5), ("gimbap", 0, 1)]


def test_a_thing_without_look_alike_is_not_among_the_mistakable() -> None:
    found = score(asked("car", "ramyeon"), Told("house", "ramen"))
    assert (found.look_alike.count, found.look_alike.n) == (1, 1)
    assert found.per_concept[0].look_alike.n == 0


def test_attributes_count_only_where_the_prompt_states_them() -> None:
    found = score(asked("hanbok", "hanbok", "hanbok"), Told("hanbok", "hanbok", "none"), [{"colour": "red", "number": "2"}, {"colour": "blue"}, {}])
    assert {name: (share.count, share.n) for name, share in found.attributes.items()} == {"colour": (1, 2), "number": (0, 1)}
    assert score(asked("hanbok"), Told("hanbok")).attributes == {}


def test_no_pictures_no_claim() -> None:
    found = score([], Told())
    assert (found.n, found.recognised.low, found.recognised.high) == (0, 0, 1)


def test_an_unknown_concept_is_named() -> None:
    with pytest.raises(DataError, match=r"pizza.*no concept"):
        score(asked("pizza"), Told("none"))


def test_the_real_recogniser_fits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(Network().state_dict(), tmp_path / "model.safetensors")
    write_json(tmp_path / "config.json", {"answers": {k: list(v) for k, v in ANSWERS.items()}})
    assert score(asked("ramyeon", "kimono"), Recogniser.load(tmp_path)).n == 2
