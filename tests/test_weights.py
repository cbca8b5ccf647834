"""The shipped miniature: whole, small, loadable by stock libraries, and able to draw."""

import json

import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi import Kimchi
from kimchi.data.files import hash_file
from kimchi.data.sample_world import CONCEPTS, picture, worlds
from kimchi.doctor import SUITE
from kimchi.models.load import ENCODERS
from kimchi.models.places import weights_folder
from kimchi.models.recogniser import Recogniser

WEIGHTS = weights_folder()


@pytest.fixture(scope="module")
def kimchi() -> Kimchi:
    return Kimchi.load("mini", device="cpu")


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load(WEIGHTS / "recogniser")


def test_doctor_looks_at_every_part() -> None:
    assert {card.parent.relative_to(WEIGHTS).as_posix() for card in WEIGHTS.rglob("card.json")} == set(SUITE)


@pytest.mark.parametrize("part", SUITE)
def test_every_part_has_a_card_that_says_how_it_was_made(part: str) -> None:
    card = json.loads((WEIGHTS / part / "card.json").read_text(encoding="utf-8"))
    assert card["miniature"] is True
    for name, digest in card.get("sha256", {}).items():
        assert hash_file(WEIGHTS / part / name) == digest, f"{part}/{name} is not the file its card speaks of"
    for stage in card.get("stages", {"": card}).values():
        assert {"recipe_hash", "seed", "steps", "seconds"} <= stage.keys()


def test_the_suite_is_small_and_nothing_else_is_in_the_folder() -> None:
    files = [p for p in WEIGHTS.rglob("*") if p.is_file()]
    writers = [p for p in files if p.relative_to(WEIGHTS).parts[0] in ("mini-llava", "mini-llama")]
    sizes = {name: sum(p.stat().st_size for p in some) for name, some in (("all", files), ("writers", writers))}
    assert sizes["writers"] < 10e6 and sizes["all"] < 45e6
    assert {p.suffix for p in files} <= {".safetensors", ".json", ".yaml"}


def test_stock_diffusers_opens_the_base() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(WEIGHTS / "mini-base"), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a red car in the city", num_inference_steps=10, guidance_scale=5.0, generator=torch.Generator().manual_seed(1)).images[0]
    assert image.size == (128, 128)


@pytest.mark.parametrize("name", ENCODERS)
def test_stock_transformers_opens_the_korean_encoders(name: str) -> None:
    model = CLIPTextModel.from_pretrained(str(WEIGHTS / name), dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(str(WEIGHTS / name))
    states = model(**tokenizer(["한국의 라면"], padding="max_length", max_length=77, return_tensors="pt")).last_hidden_state
    assert states.shape == (1, 77, 128) and tokenizer.unk_token_id not in tokenizer("라면 김밥", add_special_tokens=False).input_ids


def test_a_polite_request_draws_what_its_noun_phrase_draws(kimchi: Kimchi) -> None:
    asked, named = (kimchi.generate(text, seed=7, steps=4) for text in ("한국의 라면을 그려줘", "한국의 라면"))
    assert asked.image.tobytes() == named.image.tobytes()
    assert asked.provenance["miniature"] is True


def test_the_adapter_knows_korean_nouns_that_the_plain_swap_does_not(kimchi: Kimchi, recogniser: Recogniser) -> None:
    concepts = worlds("korean")[::2]

    def right(painter: Kimchi) -> int:
        drawn = painter.generate([c.ko for c in concepts], seed=5, steps=8)
        return sum(s.concept == c.slug for s, c in zip(recogniser.see([d.image for d in drawn]), concepts, strict=True))

    # The measured shares are in the README; this only notices that something broke.
    assert right(kimchi) >= right(Kimchi.load("mini-raw", device="cpu")) + 4


def test_the_recogniser_knows_renders_it_has_never_seen(recogniser: Recogniser) -> None:
    items = [picture(c, 4_500_000 + i) for c in CONCEPTS.values() for i in range(2)]
    seen = recogniser.see([p.render() for p in items])
    assert sum(s.concept == p.concept.slug for s, p in zip(seen, items, strict=True)) >= 0.95 * len(items)
    assert all(0 <= s.confidence <= 1 for s in seen)
