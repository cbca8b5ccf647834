"""Conditions of drawings from the sample world, random encoders of the true classes, and a judge behind a real server."""

import http.server
import json
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.recipes import ScoreRecipe

PROMPTS = ("ramyeon", "gimbap", "hanbok", "moon_jar", "bibimbap", "hanok", "seoktap", "pajeon", "samgyetang", "songpyeon", "janggu", "gat")


def lines(slugs: Sequence[str] = PROMPTS) -> list[dict[str, Any]]:
    """Prompts of the sample world as a JSON-lines file has them."""
    made: list[dict[str, Any]] = []
    for slug in slugs:
        concept = CONCEPTS[slug]
        other = CONCEPTS[concept.look_alike]
        made.append(
            {"id": slug, "text_ko": f"바닷가의 {concept.ko}", "text_en": f"{concept.en} at the seaside", "thing_ko": concept.ko, "thing_en": concept.en,
             "look_alikes_ko": [other.ko], "look_alikes_en": [other.en]}
        )  # fmt: skip
    return made


def write_prompts(path: Path, prompts: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in prompts), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kimchi draws what is asked for, base its look-alikes, photo what is asked for by another seed."""
    folder = tmp_path_factory.mktemp("drawn")
    write_prompts(folder / "prompts.jsonl", lines())
    for condition, seed in (("kimchi", 9001), ("base", 9002), ("photo", 9003)):
        (folder / "arms" / condition).mkdir(parents=True)
        for slug in PROMPTS:
            concept = CONCEPTS[CONCEPTS[slug].look_alike if condition == "base" else slug]
            picture(concept, seed).render(64).save(folder / "arms" / condition / f"{slug}.png")
    return folder


@pytest.fixture
def world(_drawn: Path, tmp_path: Path) -> Path:
    """A copy to spoil: prompts.jsonl, arms/kimchi, arms/base, arms/photo."""
    import shutil

    return Path(shutil.copytree(_drawn, tmp_path / "world"))


Make = Callable[..., ScoreRecipe]


@pytest.fixture
def make(world: Path, tmp_path: Path) -> Make:
    """A recipe over that world; metrics as YAML would have them."""

    def _make(*metrics: Any, **changes: Any) -> ScoreRecipe:
        told = {
            "kind": "score",
            "name": "t",
            "prompts": str(world / "prompts.jsonl"),
            "images": str(world / "arms"),
            "out": str(tmp_path / "out"),
            "draws": 500,
        }
        return ScoreRecipe.model_validate(told | {"metrics": metrics} | changes)

    return _make


class Server(http.server.ThreadingHTTPServer):
    """Answers whatever it is asked in good order, and remembers the questions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.asked = list[str]()
        self.address = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def says(self, question: str) -> str:
        """A test puts its own in place of this."""
        return "예" if question else ""


class _Talk(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def do_POST(self) -> None:
        (message,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        picture, words = message["content"]
        assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
        self.server.asked.append(words["text"])
        content = json.dumps({"choices": [{"message": {"role": "assistant", "content": self.server.says(words["text"])}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Generator[Server]:
    """Listens on loopback while a test runs."""
    with Server() as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip folder around a random xlm-roberta tower, as its hub repositories have them; its tokens are single characters."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

    folder = tmp_path_factory.mktemp("xlm")
    characters = sorted(set("".join(one["text_ko"] + one["text_en"] for one in lines())))
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *characters])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    specials: Any = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **specials).save_pretrained(folder)
    XLMRobertaConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=90, pad_token_id=1
    ).save_pretrained(folder / "tower")
    text = {"hf_model_name": str(folder / "tower"), "hf_tokenizer_name": str(folder), "hf_proj_type": "linear", "hf_pooler_type": "mean_pooler",
            "hf_model_pretrained": False}  # fmt: skip
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}))
    torch.manual_seed(5)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder
