"""LCM-type LoRAs in the formats they come in, and the sampler they need, against diffusers' own."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from kimchi.errors import ModelError, RequestError
from kimchi.generation.generate import Kimchi
from kimchi.generation.previews import Previewer, TinyPreviewer, due
from kimchi.generation.sampler import initial_noise, noise_sources, sample
from kimchi.generation.settings import LCM
from kimchi.models import few_step
from kimchi.models.load import Model

SHAPE = (4, 8, 8)


@pytest.fixture
def model(tiny: Model) -> Model:
    return copy.deepcopy(tiny)


@pytest.fixture(scope="module")
def trained(tiny: Model) -> UNet2DConditionModel:
    """A UNet with an LCM-like adapter: attention, feed-forward and convolutions, alpha other than rank, none of it zero."""
    unet: Any = copy.deepcopy(tiny.unet)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "conv2", "ff.net.0.proj"]))
    torch.manual_seed(3)
    for name, weight in unet.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(weight.data, std=0.1)
    return unet


def _diffusers(unet: Any, folder: Path) -> Path:
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(unet), unet_lora_adapter_metadata=unet.peft_config["default"].to_dict()
    )
    return folder


def _kohya(unet: Any, folder: Path) -> Path:
    """As lcm-lora-sdv1-5 is published: flattened names, an alpha for each layer."""
    weights: dict[str, torch.Tensor] = {}
    for name, weight in get_peft_model_state_dict(unet).items():
        layer, _, kind = name.removesuffix(".weight").rpartition(".lora_")
        flat = "lora_unet_" + layer.replace(".", "_")
        weights[f"{flat}.lora_{'down' if kind == 'A' else 'up'}.weight"] = weight.contiguous()
        weights[f"{flat}.alpha"] = torch.tensor(8.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "pytorch_lora_weights.safetensors")
    return folder / "pytorch_lora_weights.safetensors"


@pytest.mark.parametrize("write", [_diffusers, _kohya])
def test_merges_what_the_file_says(model: Model, trained: UNet2DConditionModel, tmp_path: Path, write: Any) -> None:
    source = write(trained, tmp_path / "lcm")
    before = model.hash
    few_step.merge(model, str(source))
    x, states = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 32)
    with torch.inference_mode():
        theirs = trained(x, 500, encoder_hidden_states=states).sample
        ours = model.unet(x, 500, encoder_hidden_states=states).sample
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not hasattr(model.unet, "peft_config") and not any("lora" in name for name, _ in model.unet.named_modules())
    assert model.few_step and model.hash != before


def test_a_few_step_model_draws_in_four_steps_and_says_so(model: Model, trained: UNet2DConditionModel, tmp_path: Path) -> None:
    few_step.merge(model, str(_kohya(trained, tmp_path)))
    painter = Kimchi(model, "cpu")
    steps: list[int] = []
    picture = painter.generate("라면", seed=7, on_step=lambda done, total, latents: steps.append(done))
    assert steps == [1, 2, 3, 4]
    assert (picture.provenance["scheduler"], picture.provenance["steps"], picture.provenance["guidance"]) == ("LCM", 4, 1.0)
    again = painter.redraw(picture.save(tmp_path / "a.png"))
    assert again.image.tobytes() == picture.image.tobytes()
    with pytest.raises(RequestError, match="1 to 50"):
        painter.generate("라면", steps=51)


def test_the_sampler_equals_diffusers(tiny: Model) -> None:
    states = tiny.text.encode(["라면"])
    ours = sample(tiny.unet, tiny.scheduler_config, states, tiny.text.empty(), seeds=[7], steps=4, guidance=1.0, latent_shape=SHAPE, sampler=LCM)
    scheduler = LCMScheduler.from_config({**tiny.scheduler_config, "clip_sample": False})
    scheduler.set_timesteps(4)
    (source,) = noise_sources([7])
    latents = torch.randn(SHAPE, generator=source)[None]
    assert torch.equal(latents, initial_noise([7], SHAPE))
    with torch.inference_mode():
        for time in scheduler.timesteps:
            latents = scheduler.step(tiny.unet(latents, time, encoder_hidden_states=states).sample, time, latents, generator=source).prev_sample
    torch.testing.assert_close(ours, latents, rtol=1e-4, atol=1e-5)


def test_a_few_step_picture_does_not_depend_on_its_neighbours(tiny: Model) -> None:
    def draw(seeds: list[int]) -> torch.Tensor:
        states = tiny.text.encode(["라면"] * len(seeds))
        return sample(tiny.unet, tiny.scheduler_config, states, tiny.text.empty(), seeds=seeds, steps=4, guidance=1.0, latent_shape=SHAPE, sampler=LCM)

    torch.testing.assert_close(draw([5, 6, 7])[1], draw([6])[0], rtol=1e-4, atol=1e-4)


def test_bad_few_step_files_are_refused_and_the_reason_told(model: Model, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.bin").write_bytes(b"pickle")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    save_file({"unet.elephant.lora_A.weight": torch.ones(4, 4), "unet.elephant.lora_B.weight": torch.ones(4, 4)}, tmp_path / "foreign.safetensors")
    save_file({"text_encoder.q_proj.lora_A.weight": torch.ones(4, 4)}, tmp_path / "text.safetensors")
    for name, told in {"empty": "holds 0", "a.bin": "only .safetensors", "cut.safetensors": "cannot be read", "foreign.safetensors": "fit",
                       "text.safetensors": "belongs to no UNet", "absent/x/y": "no such"}.items():  # fmt: skip
        with pytest.raises(ModelError, match=told):
            few_step.merge(model, str(tmp_path / name))
    assert not model.few_step


def test_bf16_is_recorded_and_not_confused_with_fp32(model: Model, tmp_path: Path) -> None:
    picture = Kimchi(model, "cpu", precision="bf16").generate("라면", steps=2, seed=7)
    assert picture.provenance["precision"] == "bf16" and picture.image.mode == "RGB"
    with pytest.raises(ModelError, match="bf16"):
        Kimchi(copy.deepcopy(model), "cpu").redraw(picture.save(tmp_path / "a.png"))
    with pytest.raises(RequestError, match="precision"):
        Kimchi(model, "cpu", precision="fp4")


def test_previews_show_what_the_picture_will_be() -> None:
    """On the shipped VAE: light and dark lie where they lie in the picture. Colours only roughly: its group norms shift them from picture to picture."""
    painter = Kimchi.load("mini", "cpu")
    last: list[torch.Tensor] = []
    picture = painter.generate("한국의 라면", seed=3, steps=6, on_step=lambda done, total, latents: last.append(latents[0].clone()))
    preview = painter.previewer.picture(last[-1])
    light = [np.asarray(image.convert("L").resize((32, 32))).astype(float).ravel() for image in (preview, picture.image)]
    assert np.corrcoef(*light)[0, 1] > 0.7


def test_a_tiny_autoencoder_previews_at_full_size(tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    AutoencoderTiny(encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4).save_pretrained(tmp_path / "taesd")
    assert TinyPreviewer.load(str(tmp_path / "taesd"), "cpu").picture(torch.randn(4, 8, 8)).size == (64, 64)
    with pytest.raises(ModelError, match="AutoencoderTiny"):
        TinyPreviewer.load(str(tmp_path / "none"), "cpu")


def test_damaged_latents_preview_as_grey() -> None:
    assert Previewer(torch.zeros(5, 3)).picture(torch.full((4, 2, 2), float("nan"))).getcolors() == [(4, (128, 128, 128))]


@pytest.mark.parametrize(("total", "wanted"), [(25, 6), (4, 8), (1, 3), (50, 1), (10, 0), (1000, 7)])
def test_previews_are_spread_over_the_steps(total: int, wanted: int) -> None:
    shown = [done for done in range(1, total + 1) if due(done, total, wanted)]
    assert total not in shown and len(shown) <= wanted + 1
    assert (shown[:1] == [1]) == (wanted > 0 and total > 1)
