"""Korean prompts in English, by the miniature."""

import pytest

from kimchi.data.sample_world import picture, worlds
from kimchi.data.sample_world.captions import captions
from kimchi.errors import ModelError
from kimchi.models.places import weights_folder
from kimchi.models.translator import Translator

UNSEEN = 9_700_000


@pytest.fixture(scope="module")
def translator() -> Translator:
    if not (weights_folder() / "mini-llama" / "card.json").is_file():
        pytest.skip("mini-llama has no weights: train them with `kimchi train mini_llama`")
    return Translator.load(device="cpu")


def test_the_miniature_keeps_what_general_captions_name(translator: Translator) -> None:
    twins = [(c, captions(picture(c, UNSEEN))) for c in worlds("general")]
    texts = translator.translate([twin.ko for _, twin in twins])
    kept = [concept.en in text or concept.en_plural in text for (concept, _), text in zip(twins, texts, strict=True)]
    # The benchmark of alignment measures it; this only notices that something broke.
    assert sum(kept) >= 0.9 * len(kept)


def test_order_and_repetition_are_kept_and_english_is_left_alone(translator: Translator) -> None:
    asked = ["빨간 자동차, 바닷가, 밤", "a red car", "고양이", "빨간 자동차, 바닷가, 밤"]
    texts = translator.translate(asked, batch=2)
    assert texts[0] == texts[3] == "a red car by the sea at night"
    assert texts[1] == "a red car" and "cat" in texts[2]
    assert translator.translate([]) == []


def test_a_model_that_writes_nothing_leaves_the_prompt(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator.llama, "answers", lambda asked, **_: ((key, " ") for key, _ in asked))
    assert translator.translate(["고양이"]) == ["고양이"]


def test_it_says_what_it_is(translator: Translator) -> None:
    assert (translator.made_by.part, translator.made_by.model) == ("translator:llama", "mini")
    assert translator.made_by.model_hash and translator.made_by.prompt_hash == translator.prompt.hash


def test_a_model_that_is_not_there_is_told() -> None:
    with pytest.raises(ModelError, match="no such model"):
        Translator.load("nowhere")
