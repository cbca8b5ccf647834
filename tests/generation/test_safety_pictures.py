"""The safety checker of Stable Diffusion: its true class and file format, small and random, with concepts set so that it fires or does not."""

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from kimchi.errors import ModelError
from kimchi.generation.safety import Guard

RED, BLUE = Image.new("RGB", (96, 64), (220, 20, 20)), Image.new("RGB", (48, 48), (20, 20, 220))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder whose checker knows one concept: the embedding of a red picture."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(7)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 16,
    }
    network = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16)).eval()
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    with torch.no_grad():
        pixels = processor(images=[RED, BLUE], return_tensors="pt")["pixel_values"]
        red, blue = torch.nn.functional.normalize(network.visual_projection(network.vision_model(pixels)[1]))
        near = float(red @ blue)
        assert near < 0.999
        network.concept_embeds[:], network.special_care_embeds[:] = red, -red
        network.concept_embeds_weights[:] = 2.0  # a cosine never reaches it
        network.special_care_embeds_weights[:] = 2.0
        network.concept_embeds_weights[5] = (1 + near) / 2
    network.save_pretrained(folder / "safety_checker")
    processor.save_pretrained(folder / "feature_extractor")
    return folder


def test_it_flags_what_is_near_a_concept_and_only_that(model: Path) -> None:
    guard = Guard.load(model=str(model))
    assert guard.missing == ()
    assert guard.check_images([RED, BLUE, RED.convert("RGBA")]) == [True, False, True]
    assert guard.check_images([]) == []


def test_the_checkers_own_folder_and_a_runs_base(model: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(f'{{"base": "{model}"}}', encoding="utf-8")
    for guard in (Guard.load(checker=model / "safety_checker"), Guard.load(model=str(tmp_path)), Guard.load(model="mini", checker=model)):
        assert guard.check_images([RED]) == [True] and guard.missing == ()


def test_without_one_the_operator_is_told() -> None:
    guard = Guard.load(model="mini")
    (told,) = guard.missing
    assert "mini has no safety checker" in told and "\n" not in told
    assert guard.check_images([RED]) == [False]


def test_only_safetensors_and_only_whole(model: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "safety_checker"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((model / "safety_checker" / "config.json").read_bytes())
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no safety checker in safetensors"):
        Guard.load(checker=pickled)
    (pickled / "model.safetensors").write_bytes((model / "safety_checker" / "model.safetensors").read_bytes()[:200])
    with pytest.raises(ModelError, match="cannot be read"):
        Guard.load(checker=pickled)
