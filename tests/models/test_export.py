"""Exports: what stock diffusers, ComfyUI's rules and our own reader make of a run. alpha is never the rank."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from kimchi import Kimchi
from kimchi.models.export import export
from kimchi.models.load import load_base, load_model, with_encoder
from kimchi.models.places import weights_folder
from kimchi.recipes.lora import Lora

PLAIN, RS, TEXT, DORA = SHAPES = ("alpha is not rank, convolutions too", "rsLoRA", "the text encoder too", "DoRA")
Draw = Callable[[Any], Any]
Makes = Callable[[str], Any]


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


class TestRoundTrips:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_stock_diffusers_draws_what_we_draw(self, shape: str, made: Makes, draw: Draw, stock: Any, tmp_path: Path) -> None:
        one, plain = made(shape), draw(stock)
        folder = export(str(one.folder), "diffusers", out=tmp_path / "out").folder
        stock.load_lora_weights(str(folder), weight_name="adapter.safetensors")
        assert one.drawn.same(draw(stock)) and not one.drawn.same(plain)
        assert one.drawn.same(draw(load_model(str(folder)))), "kimchi opens it too"

    @pytest.mark.parametrize("shape", [PLAIN, RS, TEXT])
    def test_stock_diffusers_reads_kohya_s_names_and_alpha_as_we_mean_them(self, shape: str, made: Makes, draw: Draw, stock: Any) -> None:
        one = made(shape)
        stock.load_lora_weights(str(one.kohya.parent), weight_name=one.kohya.name)
        assert one.drawn.same(draw(stock))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_kohya_and_back(self, shape: str, made: Makes, draw: Draw, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
        one = made(shape)
        back = export(str(one.kohya), "kimchi", out=tmp_path / "back", base=str(base_folder), text_encoder=str(encoder_folder)).folder
        assert one.drawn.same(draw(load_model(str(back))))
        before, after = load_file(one.folder / "adapter.safetensors"), load_file(back / "adapter.safetensors")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[k], after[k]) for k in before if "magnitude" not in k)
        assert json.loads((back / "card.json").read_text())["credit"] == "AI 허브 「한국 이미지(음식)」"
        if shape != RS:
            # rsLoRA comes back as a plain LoRA with the alpha that means the same.
            shapes = [json.loads(metadata_of(folder / "adapter.safetensors")["lora_adapter_metadata"]) for folder in (one.folder, back)]
            assert shapes[0] == shapes[1]

    @pytest.mark.parametrize("shape", [TEXT, DORA])
    def test_merged_opens_as_a_stock_pipeline(self, shape: str, made: Makes, draw: Draw, tmp_path: Path) -> None:
        folder = export(str(made(shape).folder), "merged", out=tmp_path / "out", dtype="fp32").folder
        pipe = StableDiffusionPipeline.from_pretrained(str(folder), dtype=torch.float32)
        assert pipe.safety_checker is None
        assert made(shape).drawn.same(draw(pipe)) and made(shape).drawn.same(draw(load_model(str(folder))))

    def test_the_same_picture_everywhere(self, tmp_path: Path) -> None:
        settings: dict[str, Any] = {"seed": 7, "steps": 2, "guidance": 3.0}
        ours = Kimchi.load("mini", device="cpu").generate("라면", **settings).image
        kohya = export("mini", "kohya", out=tmp_path / "kohya").path
        back = export(str(kohya), "kimchi", out=tmp_path / "back", base="mini-base", text_encoder="mini-aligned-clip").folder
        merged = export("mini", "merged", out=tmp_path / "merged", dtype="fp32").folder
        encoder = str(weights_folder() / "mini-aligned-clip")
        swapped = {"text_encoder": CLIPTextModel.from_pretrained(encoder, dtype=torch.float32), "tokenizer": CLIPTokenizer.from_pretrained(encoder)}
        pipe = StableDiffusionPipeline.from_pretrained(str(weights_folder() / "mini-base"), dtype=torch.float32, **swapped)
        pipe.load_lora_weights(str(kohya.parent), weight_name=kohya.name)
        theirs = [StableDiffusionPipeline.from_pretrained(str(merged), dtype=torch.float32), pipe]
        pictures = [p("라면", num_inference_steps=2, guidance_scale=3.0, generator=torch.Generator("cpu").manual_seed(7)).images[0] for p in theirs]
        pictures.append(Kimchi.load(str(back), device="cpu").generate("라면", **settings).image)
        for picture in pictures:
            # A rounding's worth: merged or not, sums are made in another order.
            assert np.abs(np.asarray(picture).astype(int) - np.asarray(ours).astype(int)).max() <= 3

    def test_half_precision_halves_the_file(self, made: Makes, tmp_path: Path) -> None:
        small = export(str(made(PLAIN).folder), "kohya", out=tmp_path / "out", dtype="fp16").path
        assert small.stat().st_size < 0.7 * made(PLAIN).kohya.stat().st_size

    def test_the_same_run_gives_the_same_bytes(self, made: Makes, tmp_path: Path) -> None:
        assert export(str(made(PLAIN).folder), "kohya", out=tmp_path / "out").path.read_bytes() == made(PLAIN).kohya.read_bytes()


class TestKohya:
    def test_names_shapes_and_alpha(self, make_run: Callable[..., Path], tmp_path: Path) -> None:
        run = make_run(Lora(rank=4, alpha=2, targets="all"), Lora(rank=2, alpha=6, targets="attention+feedforward"))
        found = load_file(export(str(run), "kohya", out=tmp_path / "out").path)
        block = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0"
        for stem in (
            f"{block}_attn1_to_q", f"{block}_attn2_to_out_0", f"{block}_ff_net_0_proj", "lora_unet_mid_block_resnets_0_conv1",
            "lora_unet_up_blocks_1_resnets_0_conv_shortcut", "lora_unet_down_blocks_0_downsamplers_0_conv",
            "lora_te_text_model_encoder_layers_0_self_attn_q_proj", "lora_te_text_model_encoder_layers_0_mlp_fc1",
        ):  # fmt: skip
            assert {f"{stem}.lora_down.weight", f"{stem}.lora_up.weight", f"{stem}.alpha"} <= found.keys()
        assert found[f"{block}_attn1_to_q.lora_down.weight"].dim() == 2
        assert found["lora_unet_mid_block_resnets_0_conv1.lora_down.weight"].shape[2:] == (3, 3)
        assert found["lora_unet_mid_block_resnets_0_conv1.lora_up.weight"].shape[1:] == (4, 1, 1)
        assert {float(v) for k, v in found.items() if k.endswith(".alpha")} == {2.0, 6.0}

    def test_rslora_is_a_larger_alpha_to_others(self, made: Makes, tmp_path: Path) -> None:
        found = load_file(export(str(made(RS).folder), "kohya", out=tmp_path / "out", dtype="fp16").path)
        assert {round(float(v), 4) for k, v in found.items() if k.endswith(".alpha")} == {round(16 * 8**0.5, 4)}

    def test_metadata(self, made: Makes) -> None:
        path = made(PLAIN).kohya
        said = metadata_of(path)
        assert (said["ss_network_dim"], said["ss_network_alpha"], said["ss_base_model_version"]) == ("4", "2", "sd_v1")
        assert json.loads(said["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "2"}
        assert (said["modelspec.architecture"], said["modelspec.title"], said["modelspec.resolution"]) == (
            "stable-diffusion-v1/lora", "라면-lora", "256x256",
        )  # fmt: skip
        content = path.read_bytes()
        assert said["sshs_model_hash"] == hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
        assert "Korean prompts need KIMCHI" in said["modelspec.usage_hint"]

    def test_a_miniature_is_not_offered_as_sd_1(self, tmp_path: Path) -> None:
        said = metadata_of(export("mini", "kohya", out=tmp_path / "out").path)
        assert (said["ss_base_model_version"], said["modelspec.title"]) == ("kimchi_mini", "mini-ko (miniature)")

    def test_dora_by_the_rule_of_comfyui(self, made: Makes, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
        outcome = export(str(made(DORA).folder), "kohya", out=tmp_path / "out")
        plain, ours = with_encoder(load_base(str(base_folder)), str(encoder_folder), "x"), load_model(str(made(DORA).folder))
        found = load_file(outcome.path)
        for module in ("mid_block.resnets.0.conv1", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"):
            stem, W = f"lora_unet_{module.replace('.', '_')}", plain.unet.get_submodule(module).weight
            down, up = found[f"{stem}.lora_down.weight"], found[f"{stem}.lora_up.weight"]
            changed = W + (up.flatten(1) @ down.flatten(1)).reshape(W.shape) * found[f"{stem}.alpha"] / len(down)
            scale = found[f"{stem}.dora_scale"]
            # weight_decompose in comfy/weight_adapter/base.py: lengths as long as the outputs are divided by the rows of the weight as it was.
            assert scale.shape == (W.shape[0], *[1] * (W.dim() - 1))
            merged = changed * scale / W.flatten(1).norm(dim=1).reshape(scale.shape)
            assert torch.allclose(merged, ours.unet.get_submodule(module).weight, atol=1e-5)
        assert any("A1111" in notice and "merged" in notice for notice in outcome.notices)

    @pytest.mark.parametrize("alpha", [2.0, 5.0])
    def test_a_stranger_s_file_with_ranks_and_alphas_of_its_own(
        self, alpha: float, made: Makes, draw: Draw, stock: Any, base_folder: Path, encoder_folder: Path, tmp_path: Path
    ) -> None:
        # Attention and a few layers more: no list of endings of ours means exactly these.
        found = {key: value for key, value in load_file(made(PLAIN).kohya).items() if "mid_block" not in key}
        stems = sorted({key.split(".")[0] for key in found})[::2]
        for stem in stems:
            found[f"{stem}.lora_down.weight"] = found[f"{stem}.lora_down.weight"][:3].contiguous()
            found[f"{stem}.lora_up.weight"] = found[f"{stem}.lora_up.weight"][:, :3].contiguous()
            found[f"{stem}.alpha"] = torch.tensor(alpha)
        file = tmp_path / "theirs.safetensors"
        save_file(found, file)
        outcome = export(str(file), "kimchi", out=tmp_path / "back", base=str(base_folder), text_encoder=str(encoder_folder))
        assert "does not say which encoder" in outcome.notices[0]
        ours = load_model(str(outcome.folder))
        names = {name.replace(".", "_"): name for name, _ in stock.unet.named_modules()}
        for stem in stems[:8]:
            layer = names[stem.removeprefix("lora_unet_")]
            W, down, up = stock.unet.get_submodule(layer).weight, found[f"{stem}.lora_down.weight"], found[f"{stem}.lora_up.weight"]
            changed = W + alpha / 3 * (up.flatten(1) @ down.flatten(1)).reshape(W.shape)
            assert torch.allclose(ours.unet.get_submodule(layer).weight, changed, atol=1e-5)
        if alpha == 2.0:
            # Where alphas differ, diffusers 0.42 warns that it leaves out those of attention layers: no judge then.
            stock.load_lora_weights(str(tmp_path), weight_name=file.name)
            assert draw(ours).same(draw(stock))
