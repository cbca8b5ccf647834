"""The model card: what the hub reads, what a person reads, and what it must not claim."""

import re
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from kimchi.models.model_card import for_strangers, write

CREDIT = "이 결과물은 AI 허브(aihub.or.kr) 「한국 이미지(음식)」 데이터를 활용하였습니다. Made with the data set 'Korean images (food)' of AI-Hub."
CARD: dict[str, Any] = {
    "name": "korean-food", "base": "stable-diffusion-v1-5/stable-diffusion-v1-5", "text_encoder": "Bingsu/clip-vit-large-patch14-ko", "miniature": False,
    "hashes": {"hub": "stable-diffusion-v1-5/stable-diffusion-v1-5", "text_encoder": "0123456789abcdef", "tokenizer": "fedcba9876543210"},
    "lora": {"rank": 16, "alpha": 8.0, "targets": "all", "dora": False}, "steps": 9000, "batch": 32, "seed": 0, "credit": CREDIT, "recipe_hash": "77aa",
    "kimchi": "0.1.0",
}  # fmt: skip
RECIPE: dict[str, Any] = {"learning_rate": 0.0001, "resolution_px": 512, "sources": [{"captions": "data/captions.jsonl"}]}
SAMPLES: dict[str, Any] = {"sources": [{"captions": "sample-world:korean"}]}
FORMATS = ["diffusers", "kohya", "merged", "kimchi"]


def made(format: str = "diffusers", card: dict[str, Any] | None = None, recipe: dict[str, Any] | None = None, relation: str = "adapter") -> str:
    return write(CARD | (card or {}), RECIPE if recipe is None else recipe, format, "korean-food.safetensors", relation, ["A notice."])


def front(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---")[1])


@pytest.mark.parametrize("format", FORMATS)
def test_both_languages_credit_hashes_and_values(format: str) -> None:
    text = made(format)
    assert "## 한국어" in text and "## English" in text
    assert text.count(CREDIT) == 2
    for value in (CARD["base"], CARD["text_encoder"], "0123456789abcdef", "fedcba9876543210", "| LoRA alpha | 8 |", "| learning_rate | 0.0001 |", "A notice."):
        assert value in text
    assert "{{" not in text and "{%" not in text and "None" not in text


def test_the_hub_reads_its_front_matter() -> None:
    data = ModelCard(made()).data
    assert data.library_name == "diffusers" and data.language == ["ko", "en"] and {"lora", "stable-diffusion", "text-to-image"} <= set(data.tags)
    assert data.base_model == [CARD["base"], CARD["text_encoder"]]


def test_a_license_nobody_chose_is_not_claimed() -> None:
    said = front(made())
    assert (said["license"], said["license_name"]) == ("other", "not-chosen-yet")
    assert "아직 정하지 않았습니다" in made() and "Not chosen yet" in made()


def test_a_miniature_says_so_in_both_languages() -> None:
    text = made(card={"miniature": True, "base": "mini-base", "text_encoder": "mini-aligned-clip", "credit": ""}, recipe=SAMPLES)
    assert "미니어처입니다" in text and "This is a miniature" in text
    assert front(text)["license"] == "apache-2.0" and "base_model" not in front(text)
    assert "AI 허브의 데이터는 쓰지 않았습니다" in text
    assert "미니어처" not in made()


def test_data_nobody_named_is_told() -> None:
    text = made(card={"credit": ""}, recipe={})
    assert "출처가 기록되어 있지 않습니다" in text and "Nobody wrote down" in text


def test_kohya_says_that_korean_needs_kimchi() -> None:
    assert "ComfyUI와 A1111은 OpenAI의 어휘로" in made("kohya")


def test_a_merged_pipeline_is_no_lora_to_the_hub() -> None:
    said = front(made("merged", relation="finetune"))
    assert "lora" not in said["tags"] and said["base_model_relation"] == "finetune"


def test_links_within_the_page_lead_somewhere() -> None:
    text = made()
    heads = {re.sub(r"[^\w-]", "", head.lower().replace(" ", "-")) for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= heads


def test_strangers_see_no_folders_of_this_machine() -> None:
    card = for_strangers(CARD | {"text_encoder": "/home/min-ji/runs/aligned"})
    assert (card["text_encoder"], card["base"]) == ("aligned", CARD["base"])
