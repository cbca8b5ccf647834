"""Text encoders by class: what each promises the UNet, on towers of the true classes, random and very small."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, M2M100Config, PreTrainedTokenizerFast, XLMRobertaConfig

from kimchi.data.sample_world import worlds
from kimchi.errors import ModelError
from kimchi.models.load import load_encoder
from kimchi.models.text_encoders import adapted, clip, korean_clip
from kimchi.models.text_encoders.open_clip import TextEncoder as OpenClip
from kimchi.training.mini.clip import text_config
from kimchi.training.mini.tokenizers import learn

PROMPTS = ["", "바닷가의 빨간 자동차", "라면"]


def write_tokenizer(folder: Path) -> int:
    """A tokenizer with xlm-roberta's specials over single characters."""
    characters = sorted({c for concept in worlds("korean") for c in concept.ko + concept.en} | set("바닷가의 빨간 자동차라면"))
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *characters])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    specials: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **specials).save_pretrained(folder)
    return len(vocabulary)


def write_model(folder: Path, kind: str) -> Path:
    """An open_clip folder around a small tower: open_clip_config.json and weights, as its hub repositories have them."""
    tower = folder / "tower"
    # For a folder open_clip takes the tokenizer from the folder itself, whatever its configuration names.
    size = write_tokenizer(folder)
    if kind == "xlm-roberta":
        config: Any = XLMRobertaConfig(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=90, pad_token_id=1
        )
        pooler = "mean_pooler"
    else:
        config = M2M100Config(
            vocab_size=size, d_model=48, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
            decoder_ffn_dim=64, max_position_embeddings=90, pad_token_id=1,
        )  # fmt: skip
        pooler = "cls_pooler"
    config.save_pretrained(tower)
    text = {"hf_model_name": str(tower), "hf_tokenizer_name": str(folder), "hf_proj_type": "linear", "hf_pooler_type": pooler, "hf_model_pretrained": False}
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}))
    torch.manual_seed(5)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module", params=["xlm-roberta", "nllb"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp(request.param), request.param)


class TestOpenClip:
    def test_states_are_the_towers_own_and_padding_is_its_end(self, folder: Path) -> None:
        encoder = OpenClip.load(folder)
        ids = encoder.ids(PROMPTS)
        states = encoder.encode(PROMPTS)
        assert ids.shape == (3, 77) and states.shape == (3, 77, encoder.width)
        alone = encoder.model(input_ids=ids[1:2, : int(encoder.ends(ids)[1]) + 1]).last_hidden_state
        end = alone.shape[1] - 1
        assert torch.allclose(states[1, : end + 1], alone[0], atol=1e-4)
        assert torch.allclose(states[1, end:], states[1, end].expand(77 - end, -1), atol=1e-6)

    def test_the_weights_of_the_folder_are_read(self, folder: Path) -> None:
        whole = open_clip.create_model(f"local-dir:{folder}")
        ours = OpenClip.load(folder).model.state_dict()
        assert isinstance(whole.text, HFTextEncoder)
        assert all(torch.equal(value, ours[key]) for key, value in whole.text.transformer.state_dict().items())

    def test_a_tower_of_open_clips_own_is_refused(self) -> None:
        with pytest.raises(ModelError, match="no multilingual vocabulary"):
            OpenClip(torch.nn.Linear(2, 2), None, "ViT-B-32")

    def test_an_unknown_model_is_one_paragraph(self) -> None:
        with pytest.raises(ModelError, match="MODEL@WEIGHTS") as caught:
            OpenClip.load("no-such-model@none")
        assert "\n" not in str(caught.value)

    def test_alone_it_is_not_saved(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="adapter: mlp"):
            OpenClip.load(folder).save(tmp_path)


class TestAdapted:
    @pytest.fixture
    def encoder(self, folder: Path) -> adapted.TextEncoder:
        return adapted.TextEncoder.around(OpenClip.load(folder), 128, part="open_clip", source=str(folder), seed=3)

    def test_gives_what_a_unet_reads(self, encoder: adapted.TextEncoder) -> None:
        states = encoder.encode(PROMPTS)
        assert states.shape == (3, 77, 128) and encoder.empty().shape == (1, 77, 128)
        assert torch.equal(states[0, 0], states[1, 0]), "the first state is a constant, as CLIP's"
        assert encoder.token_count("라면") == 2 and encoder.cut_words("라면") == ""

    @pytest.mark.parametrize("changed", [False, True])
    def test_comes_back_as_it_was(self, encoder: adapted.TextEncoder, tmp_path: Path, changed: bool) -> None:
        if changed:
            encoder.tower_changed = True
            with torch.no_grad():
                next(encoder.inner.model.parameters()).add_(0.5)
        encoder.save(tmp_path, torch.float32)
        again, _ = load_encoder(str(tmp_path))
        assert isinstance(again, adapted.TextEncoder)
        assert torch.allclose(again.encode(PROMPTS), encoder.encode(PROMPTS), atol=1e-6)

    def test_stock_transformers_says_that_it_does_not_know_it(self, encoder: adapted.TextEncoder, tmp_path: Path) -> None:
        encoder.save(tmp_path)
        with pytest.raises(ValueError, match="kimchi_adapted_text_encoder"):
            AutoModel.from_pretrained(str(tmp_path))
        assert "open it with kimchi" in (tmp_path / "config.json").read_text()


def _clip(folder: Path, width: int, length: int = 77, extra: Sequence[str] = ()) -> Path:
    """A whole CLIPModel repository, vision half and all."""
    tokenizer = learn([c.ko for c in worlds("korean")], merges=20)
    text = text_config({"width": width, "layers": 1}, tokenizer) | {"max_position_embeddings": length}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).save_pretrained(folder)
    tokenizer.add_tokens(list(extra))
    tokenizer.save_pretrained(folder)
    return folder


class TestKoreanClip:
    # transformers lists the vision half's weights as not used, which is what is wanted.
    @pytest.mark.filterwarnings("ignore")
    def test_a_whole_repository_is_read_straight(self, tmp_path: Path) -> None:
        encoder = korean_clip.TextEncoder.load(_clip(tmp_path, 768))
        whole = CLIPModel.from_pretrained(str(tmp_path))
        ids = encoder.ids(PROMPTS)
        assert torch.allclose(encoder.states(ids), whole.text_model(input_ids=ids).last_hidden_state, atol=1e-5)

    @pytest.mark.parametrize(("width", "length"), [(64, 77), (768, 64)])
    def test_another_shape_is_refused(self, tmp_path: Path, width: int, length: int) -> None:
        with pytest.raises(ModelError, match=f"{length} positions of width {width}"):
            korean_clip.TextEncoder.load(_clip(tmp_path, width, length))

    def test_a_tokenizer_that_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="words would be read as other words"):
            korean_clip.TextEncoder.load(_clip(tmp_path, 768, extra=["딴말"]))


def test_a_clip_comes_back_as_it_was(tmp_path: Path) -> None:
    tokenizer = learn([c.ko for c in worlds("korean")], merges=20)
    made = clip.TextEncoder(CLIPTextModel(CLIPTextConfig(**text_config({"width": 64, "layers": 1}, tokenizer))), tokenizer, "x")
    made.save(tmp_path, torch.float32)
    assert torch.equal(clip.TextEncoder.load(tmp_path).encode(PROMPTS), made.encode(PROMPTS))
    assert next(made.model.parameters()).dtype == torch.float32
