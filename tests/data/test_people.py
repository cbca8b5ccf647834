"""Faces are flagged; food and drawings are not."""

from importlib import resources

import pytest
from PIL import Image

from kimchi.data import people
from kimchi.data.sample_world import pictures, worlds
from kimchi.errors import RecipeError


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """Grace Hopper, a work of the United States Navy in the public domain, which matplotlib carries."""
    with resources.files("matplotlib").joinpath("mpl-data/sample_data/grace_hopper.jpg").open("rb") as file:
        return Image.open(file).convert("RGB")


def test_a_face_is_flagged(portrait: Image.Image) -> None:
    assert people.flags(portrait, ("face", "plate")) == ("face",)


def test_only_what_is_asked_for_is_looked_for(portrait: Image.Image) -> None:
    assert people.flags(portrait, ("plate",)) == () == people.flags(portrait, ())


def test_drawings_of_things_are_not_flagged() -> None:
    things = [p for p in pictures(worlds("korean"), 1, 77) if p.concept.category == "food"]
    assert not any(people.flags(p.render(512), ("face", "plate")) for p in things)


def test_without_the_library_the_next_step_is_told(monkeypatch: pytest.MonkeyPatch, portrait: Image.Image) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    people.library.cache_clear()
    monkeypatch.setattr(people.importlib, "import_module", missing)
    with pytest.raises(RecipeError, match=r"kimchi-diffusion\[scale\]"):
        people.flags(portrait, ("face",))
    people.library.cache_clear()
