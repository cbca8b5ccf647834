"""Adapters of every kind, on the UNet and on the text encoder: trained, written, and the same here and in stock diffusers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, CLIPTextConfig, CLIPTextModel

from kimchi.data.files import write_json
from kimchi.data.sample_world import worlds
from kimchi.data.sample_world.captions import noun
from kimchi.errors import ModelError
from kimchi.models import lora
from kimchi.models.load import load_base, load_model
from kimchi.recipes.lora import Lora
from kimchi.training.mini import clip, unet, vae
from kimchi.training.mini.tokenizers import learn

KINDS = {
    "plain": Lora(rank=4, alpha=2, targets="all"),
    "dora": Lora(rank=4, alpha=2, targets="all", dora=True),
    "rslora": Lora(rank=4, alpha=2, targets="attention+feedforward", rslora=True),
    "both": Lora(rank=4, alpha=3, targets="attention", dora=True, rslora=True),
}
NOISY, TIME = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([400])
IDS = torch.arange(5, 25).view(1, 20)


def small_unet(width: int) -> UNet2DConditionModel:
    """With every kind of layer that an adapter may go on."""
    return UNet2DConditionModel(
        sample_size=16, layers_per_block=1, block_out_channels=(width, 32), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=64, attention_head_dim=2, norm_num_groups=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole base of the true classes, random and very small."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    vae.build({"widths": (8, 8, 8)}).save_pretrained(folder / "vae")
    small_unet(16).save_pretrained(folder / "unet")
    unet.scheduler().save_pretrained(folder / "scheduler")
    write_json(folder / "model_index.json", unet.model_index())
    tokenizer = learn([noun(c).en for c in worlds("general")], merges=50)
    CLIPTextModel(CLIPTextConfig(**clip.text_config({"width": 64, "layers": 2}, tokenizer))).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def networks(base: Path) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    model = load_base(str(base))
    return model.unet, model.text.model


def stir(parameters: dict[str, torch.nn.Parameter], seed: int = 0) -> None:
    """As if it had been trained: B is no longer nought."""
    source = torch.Generator().manual_seed(seed)
    for p in parameters.values():
        p.data += 0.05 * torch.randn(p.shape, generator=source)


@torch.no_grad()
def says(net: Any, text: Any) -> tuple[torch.Tensor, torch.Tensor]:
    states = text(input_ids=IDS).last_hidden_state
    return net(NOISY, TIME, states).sample, states


@pytest.fixture
def adapted(base: Path) -> Callable[[str], tuple[Any, Any]]:
    def make(kind: str) -> tuple[Any, Any]:
        net, text = networks(base)
        text_shape = KINDS[kind].model_copy(update={"targets": "attention+feedforward", "rank": 3})
        stir(lora.add(net, KINDS[kind]))
        stir(lora.add_text(text, text_shape), 1)
        return net, text

    return make


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_a_fresh_one_changes_nothing_and_all_of_it_is_fp32(self, kind: str, base: Path) -> None:
        net, text = networks(base)
        plain = says(net, text)
        parameters = lora.add(net, KINDS[kind]) | lora.add_text(text, KINDS[kind].model_copy(update={"targets": "attention"}))
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(plain, says(net, text), strict=True))
        trained = [p for n in (net, text) for p in n.parameters() if p.requires_grad]
        assert len(trained) == len(parameters) and {p.dtype for p in trained} == {torch.float32}

    def test_written_and_merged_it_says_the_same(self, kind: str, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted(kind)
        lora.save(net, tmp_path / "a.safetensors", {"credit": "none"}, text_encoder=text)
        fresh = networks(base)
        plain = says(*fresh)
        lora.load_into(*fresh, tmp_path / "a.safetensors")
        for made, wanted, before in zip(says(*fresh), says(net, text), plain, strict=True):
            assert torch.allclose(made, wanted, atol=2e-4) and not torch.allclose(made, before, atol=1e-2)
        assert not any("lora" in name for n in fresh for name, _ in n.named_parameters())

    def test_stock_diffusers_says_the_same(self, kind: str, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted(kind)
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        pipe = StableDiffusionPipeline.from_pretrained(str(base), dtype=torch.float32)
        pipe.load_lora_weights(str(tmp_path), weight_name="a.safetensors")
        for made, wanted in zip(says(pipe.unet, pipe.text_encoder), says(net, text), strict=True):
            assert torch.allclose(made, wanted, atol=2e-5)

    def test_trained_further_it_goes_on_where_it_was(self, kind: str, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted(kind)
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        again, text_again = networks(base)
        lora.add(again, KINDS[kind])
        lora.add_text(text_again, KINDS[kind].model_copy(update={"targets": "attention+feedforward", "rank": 3}))
        lora.continue_from(again, tmp_path / "a.safetensors", text_again)
        assert all(torch.equal(a, b) for a, b in zip(says(again, text_again), says(net, text), strict=True))
        assert any(p.requires_grad for p in text_again.parameters())


class TestFile:
    def test_it_says_its_shape_and_keeps_the_names_that_older_tools_look_for(self, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("both")
        lora.save(net, tmp_path / "a.safetensors", {"credit": "나"}, text_encoder=text)
        with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
            keys, said = list(file.keys()), json.loads(file.metadata()["lora_adapter_metadata"])
        assert all(key.startswith(("unet.", "text_encoder.text_model.encoder.layers.")) for key in keys)
        assert (said["unet.r"], said["unet.lora_alpha"], said["text_encoder.r"], said["text_encoder.use_dora"]) == (4, 3, 3, True)
        assert lora.read(tmp_path / "a.safetensors").notes == {"credit": "나"}

    def test_names_without_the_old_level_are_read_too(self, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("plain")
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
            metadata = file.metadata()
        flat = {key.replace("text_model.", ""): v for key, v in load_file(tmp_path / "a.safetensors").items()}
        save_file(flat, tmp_path / "b.safetensors", metadata=metadata)
        fresh = networks(base)
        lora.load_into(*fresh, tmp_path / "b.safetensors")
        assert all(torch.allclose(a, b, atol=2e-4) for a, b in zip(says(*fresh), says(net, text), strict=True))

    def test_a_plain_one_has_no_new_words_in_it(self, base: Path, tmp_path: Path) -> None:
        # The hash of its bytes names it in every picture's metadata.
        net, _ = networks(base)
        lora.add(net, Lora(rank=2, alpha=4))
        lora.save(net, tmp_path / "a.safetensors", {})
        with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
            said = json.loads(file.metadata()["lora_adapter_metadata"])
        assert said == {"unet.r": 2, "unet.lora_alpha": 4.0, "unet.target_modules": ["to_k", "to_out.0", "to_q", "to_v"]}

    def test_half_precision_halves_it(self, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("dora")
        lora.save(net, tmp_path / "a.safetensors", {}, torch.float16, text)
        assert {v.dtype for v in load_file(tmp_path / "a.safetensors").values()} == {torch.float16}
        assert {v.dtype for part in lora.read(tmp_path / "a.safetensors").weights.values() for v in part.values()} == {torch.float32}

    def test_a_merged_encoder_is_saved_whole(self, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("plain")
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        fresh = networks(base)
        lora.load_into(*fresh, tmp_path / "a.safetensors")
        fresh[1].save_pretrained(tmp_path / "text")
        assert torch.allclose(says(fresh[0], CLIPTextModel.from_pretrained(tmp_path / "text"))[1], says(net, text)[1], atol=2e-4)


class TestRunFolder:
    def test_both_parts_are_merged(self, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("rslora")
        lora.save(net, tmp_path / "adapter.safetensors", {}, text_encoder=text)
        (tmp_path / "encoder").mkdir()
        for part in ("text_encoder", "tokenizer"):
            for file in (base / part).iterdir():
                (tmp_path / "encoder" / file.name).write_bytes(file.read_bytes())
        hashes = {k: v for k, v in load_base(str(base)).hashes.items() if k in ("unet", "vae")}
        write_json(tmp_path / "card.json", {"base": str(base), "text_encoder": str(tmp_path / "encoder"), "hashes": hashes})
        model = load_model(str(tmp_path))
        assert all(torch.allclose(a, b, atol=2e-4) for a, b in zip(says(model.unet, model.text.model), says(net, text), strict=True))


class TestRefused:
    def test_an_encoder_that_is_no_clip(self, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        bert = BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30))
        with pytest.raises(ModelError, match="BertModel"):
            lora.add_text(bert, Lora(rank=2))
        net, text = adapted("plain")
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        fresh, _ = networks(base)
        before = {k: v.clone() for k, v in fresh.state_dict().items()}
        with pytest.raises(ModelError, match="BertModel"):
            lora.load_into(fresh, bert, tmp_path / "a.safetensors")
        assert all(torch.equal(v, before[k]) for k, v in fresh.state_dict().items())

    def test_convolutions_of_a_text_encoder(self, base: Path) -> None:
        with pytest.raises(ModelError, match=r"attention\+feedforward"):
            lora.add_text(networks(base)[1], Lora(targets="all"))

    @pytest.mark.parametrize("change", [{"rank": 5}, {"alpha": 9.0}, {"dora": True}, {"rslora": True}, {"targets": "attention"}])
    def test_going_on_with_another_shape(self, change: dict[str, Any], base: Path, tmp_path: Path) -> None:
        # Another alpha or scale would load without a word, and the adapter would begin at another strength.
        net, _ = networks(base)
        lora.add(net, KINDS["plain"])
        lora.save(net, tmp_path / "a.safetensors", {})
        again, _ = networks(base)
        lora.add(again, KINDS["plain"].model_copy(update=change))
        with pytest.raises(ModelError, match=r"unet adapter is rank 4, alpha 2"):
            lora.continue_from(again, tmp_path / "a.safetensors")

    def test_going_on_without_the_text_part_of_a_file(self, base: Path, adapted: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
        net, text = adapted("plain")
        lora.save(net, tmp_path / "a.safetensors", {}, text_encoder=text)
        again, _ = networks(base)
        lora.add(again, KINDS["plain"])
        with pytest.raises(ModelError, match="unet and text_encoder"):
            lora.continue_from(again, tmp_path / "a.safetensors")

    def test_an_adapter_of_another_unet(self, adapted: Callable[..., tuple[Any, Any]], base: Path, tmp_path: Path) -> None:
        net, _ = adapted("plain")
        lora.save(net, tmp_path / "a.safetensors", {})
        other = small_unet(24)
        with pytest.raises(ModelError, match=r"card\.json"):
            lora.load_into(other, networks(base)[1], tmp_path / "a.safetensors")


class TestSwitch:
    def test_the_base_speaks_within_and_the_adapter_after_whatever_happens(self, base: Path, adapted: Callable[..., tuple[Any, Any]]) -> None:
        plain, stirred = networks(base), adapted("both")
        frozen = next(p for p in stirred[0].parameters() if p.requires_grad)
        frozen.requires_grad_(False)
        flags = [p.requires_grad for p in stirred[0].parameters()]
        before = says(*stirred)
        with pytest.raises(KeyError), lora.without_adapters(stirred[0]), lora.without_adapters(stirred[1]):
            assert all(torch.equal(a, b) for a, b in zip(says(*stirred), says(*plain), strict=True))
            raise KeyError("the power went")
        assert all(torch.equal(a, b) for a, b in zip(says(*stirred), before, strict=True))
        assert [p.requires_grad for p in stirred[0].parameters()] == flags

    def test_within_itself_the_outer_one_decides(self, adapted: Callable[..., tuple[Any, Any]]) -> None:
        net, text = adapted("plain")
        with lora.without_adapters(net):
            outer = says(net, text)[0]
            with lora.without_adapters(net):
                pass
            assert torch.equal(says(net, text)[0], outer)


@pytest.mark.parametrize("kind", ["plain", "rslora"])
def test_on_a_bf16_base_the_adapter_is_trained_in_fp32(kind: str, base: Path) -> None:
    net = UNet2DConditionModel.from_pretrained(base / "unet", dtype=torch.bfloat16)
    parameters = lora.add(net, KINDS[kind])
    assert {p.dtype for p in parameters.values()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        net(NOISY, TIME, torch.randn(1, 77, 64)).sample.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in parameters.values())
    weights, gradients = lora.trainable_norms(parameters)
    assert float(weights) == pytest.approx(sum(float(p.detach().square().sum()) for p in parameters.values()) ** 0.5, rel=1e-4)
    assert float(gradients) == pytest.approx(sum(float(p.grad.square().sum()) for p in parameters.values()) ** 0.5, rel=1e-4)
