"""LLaVA through transformers, on a tiny one made by chance and saved in the true format."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from kimchi.errors import ModelError, RecipeError
from kimchi.models.llama import find_checkpoint
from kimchi.models.llava import Llava
from kimchi.models.prompts import load_prompt
from kimchi.pipelines.captioners import Seen
from kimchi.pipelines.captioners.llava import Captioner
from kimchi.recipes import Writer

# In the manner of LLaVA 1.5: the picture, then the words, then "ASSISTANT:".
TEMPLATE = (
    "{% for turn in messages %}{% if turn.role != 'system' %}{{ turn.role | upper }}: {% endif %}"
    "{% for part in turn.content %}{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and nothing learned."""
    specials = ["<pad>", "<s>", "</s>", "<image>"]
    vocabulary = {token: i for i, token in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens(specials)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="right", extra_special_tokens={"image_token": "<image>"}
    )


TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 1024, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def save(folder: Path, kind: str = "llava") -> Path:
    words = tokenizer()
    torch.manual_seed(0)
    configs = {"vision_config": CLIPVisionConfig(**VISION), "text_config": LlamaConfig(vocab_size=len(words), **TEXT), "image_token_id": 3}
    shown = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    asks = {"tokenizer": words, "patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1, "chat_template": TEMPLATE}
    if kind == "llava":
        network, processor = LlavaForConditionalGeneration(LlavaConfig(**configs)), LlavaProcessor(image_processor=CLIPImageProcessor(**shown), **asks)
    else:
        grid = [[32, 64], [64, 32], [64, 64]]
        network = LlavaNextForConditionalGeneration(LlavaNextConfig(**configs, image_grid_pinpoints=grid))
        processor = LlavaNextProcessor(image_processor=LlavaNextImageProcessor(**shown, image_grid_pinpoints=grid), **asks)
    # As many checkpoints come: chance and a penalty, which must not reach what we write.
    network.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0, do_sample=True, temperature=0.6, repetition_penalty=1.5)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llava"))


def pictures(count: int) -> list[tuple[str, Image.Image]]:
    chance = np.random.default_rng(0)
    sizes = [(40 + 9 * (i % 5), 60 - 7 * (i % 4)) for i in range(count)]
    return [(f"picture {i}", Image.fromarray(chance.integers(0, 256, (*size, 3), dtype=np.uint8))) for i, size in enumerate(sizes)]


ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is there?"}]


@pytest.mark.parametrize("kind", ["llava", "llava_next"])
def test_a_batch_writes_what_one_by_one_writes(kind: str, tmp_path: Path) -> None:
    llava = Llava.load(find_checkpoint(str(save(tmp_path, kind)), "", "mini-llava"), "cpu")
    shown = pictures(10)
    together = dict(llava.answers(iter(shown), ASK, batch=4, max_new_tokens=16))
    alone = dict(llava.answers(iter(shown), ASK, batch=1, max_new_tokens=16))
    assert together == alone and set(together) == {key for key, _ in shown}
    assert len(set(together.values())) > 5, "a model that does not look proves nothing"
    assert kind.replace("_", "") in type(llava.network).__name__.lower() and llava.network.dtype == torch.float32
    assert llava.network.config._attn_implementation == "sdpa"


def test_the_answer_alone_is_given(folder: Path) -> None:
    llava = Llava.load(find_checkpoint(str(folder), "", "mini-llava"), "cpu")
    for _, text in llava.answers(iter(pictures(4)), ASK, max_new_tokens=16):
        assert text == text.strip() and not any(word in text for word in ("What is there", "ASSISTANT", "<image>", "</s>", "<pad>"))


def test_the_checkpoints_own_chance_is_off_and_ours_is_seeded(folder: Path) -> None:
    llava = Llava.load(find_checkpoint(str(folder), "", "mini-llava"), "cpu")
    settings = llava.network.generation_config
    assert settings.eos_token_id == [2] and settings.repetition_penalty is None and settings.temperature is None
    drawn = [[text for _, text in llava.answers(iter(pictures(2)), ASK, max_new_tokens=8, temperature=1.0, seed=seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_bfloat16_when_asked(folder: Path) -> None:
    llava = Llava.load(find_checkpoint(str(folder), "", "mini-llava"), "cpu", torch.bfloat16)
    assert llava.network.dtype == torch.bfloat16 and len(list(llava.answers(iter(pictures(3)), ASK, max_new_tokens=4))) == 3


def test_a_folder_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    of = find_checkpoint(str(copy), "", "mini-llava")
    assert of.hash == find_checkpoint(str(folder), "", "mini-llava").hash and len(of.hash) == 16
    (copy / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert find_checkpoint(str(copy), "", "mini-llava").hash != of.hash


def test_no_chat_template(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template.*chat_template\.jinja"):
        Llava.load(find_checkpoint(str(copy), "", "mini-llava"), "cpu")


def test_what_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        find_checkpoint("nowhere", "", "mini-llava")
    with pytest.raises(ModelError, match=r"someone/something: cannot be loaded"):
        find_checkpoint("someone/something", "", "mini-llava")
    with pytest.raises(ModelError, match=r"no \.safetensors weights"):
        find_checkpoint(str(tmp_path), "", "mini-llava")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Llava.load(find_checkpoint(str(copy), "", "mini-llava"), "cpu")
    with pytest.raises(RecipeError, match="device"):
        Llava.load(find_checkpoint(str(folder), "", "mini-llava"), "cuda:77")


def test_weights_that_a_file_lacks_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    tensors = load_file(copy / "model.safetensors")
    dropped = next(name for name in tensors if "mlp" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != dropped}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack 1 weights"):
        Llava.load(find_checkpoint(str(copy), "", "mini-llava"), "cpu")


def test_code_of_a_checkpoint_is_not_run(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "strange.Config", "AutoModelForImageTextToText": "strange.Model"}}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copy / "strange.py").write_text("raise SystemExit('run')", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Llava.load(find_checkpoint(str(copy), "", "mini-llava"), "cpu")


def test_the_captioner_describes_every_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = Llava.load.__func__
    monkeypatch.setattr(Llava, "load", classmethod(lambda cls, *of: loads.append("once") or load(cls, *of)))
    captioner = Captioner(Writer(part="llava", model=str(folder), prompt="describe_en", batch=3, max_new_tokens=8, device="cpu"))
    assert captioner.looks and captioner.made_by.prompt_hash == load_prompt("describe_en").hash
    assert captioner.made_by.model_hash == find_checkpoint(str(folder), "", "mini-llava").hash
    assert list(captioner.describe(iter([]))) == [] and not loads, "weights are read when there is a picture"
    answers = list(captioner.describe(Seen(key, image) for key, image in pictures(7)))
    assert {answer.key for answer in answers} == {f"picture {i}" for i in range(7)} and loads == ["once"]
    assert all(bool(answer.text) != bool(answer.error) and answer.text == " ".join(answer.text.split()) for answer in answers)
