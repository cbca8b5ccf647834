"""CLIPScore, on random towers of open_clip's own classes: the number itself, and which encoders may not be asked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from kimchi.data.files import write_json
from kimchi.errors import ModelError, RecipeError
from kimchi.eval.metrics import _towers
from kimchi.eval.metrics._towers import Towers, find_towers
from kimchi.eval.scoring.run import score
from kimchi.eval.scoring.tables import read_scores
from kimchi.recipes import ScoreRecipe

Make = Callable[..., ScoreRecipe]
NAME = "xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k"


class TestNumber:
    def test_is_open_clips_own_cosine(self, make: Make, encoder: Path, world: Path) -> None:
        outcome = score(make({"part": "clip_score", "model": str(encoder), "batch": 5}))
        model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{encoder}")
        model.eval()
        tokens = open_clip.get_tokenizer(f"local-dir:{encoder}")(["바닷가의 라면"])
        with torch.no_grad():
            words = model.encode_text(tokens, normalize=True)
            seen = model.encode_image(prepare(Image.open(world / "arms/kimchi/ramyeon.png").convert("RGB"))[None], normalize=True)
        wanted = 2.5 * max(float((words * seen).sum()), 0)
        assert read_scores(outcome.folder / "scores.csv")["clip_score"]["ramyeon", "kimchi"] == pytest.approx(wanted, abs=1e-5)
        one = outcome.summaries[0]
        assert one.n == 12 and one.estimate.low is not None and one.estimate.value is not None and one.estimate.low < one.estimate.value

    def test_names_model_and_hash(self, make: Make, encoder: Path) -> None:
        told = json.loads((score(make({"part": "clip_score", "model": str(encoder)})).folder / "results.json").read_text())["metrics"][0]
        assert told["model"] == str(encoder) and len(told["model_hash"]) == 16 and "Hessel" in told["details"]["formula"]

    def test_two_languages_side_by_side(self, make: Make, encoder: Path) -> None:
        outcome = score(
            make({"part": "clip_score", "model": str(encoder)}, {"part": "clip_score", "label": "clip_en", "model": str(encoder), "language": "en"})
        )
        scores = read_scores(outcome.folder / "scores.csv")
        assert scores["clip_score"] != scores["clip_en"] and len(scores["clip_en"]) == 36

    def test_kept_by_content(self, make: Make, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        recipe = make({"part": "clip_score", "model": str(encoder)})
        first = score(recipe)
        monkeypatch.setattr(_towers, "Towers", None)
        assert score(recipe).summaries == first.summaries

    def test_a_prompt_longer_than_the_tower_reads_is_told(self, make: Make, encoder: Path, world: Path) -> None:
        lines = (world / "prompts.jsonl").read_text(encoding="utf-8").replace("바닷가의 라면", "바닷가의 라면 " * 20)
        (world / "prompts.jsonl").write_text(lines, encoding="utf-8")
        assert "1 prompts are longer" in score(make({"part": "clip_score", "model": str(encoder)})).notes["clip_score"][0]


class TestIndependence:
    def test_one_that_models_were_trained_with_is_refused(self, make: Make, encoder: Path, tmp_path: Path) -> None:
        write_json(tmp_path / "aligned/config.json", {"source": str(encoder)})
        write_json(tmp_path / "run/card.json", {"text_encoder": str(tmp_path / "aligned")})
        for trained in (str(encoder), str(tmp_path / "aligned"), str(tmp_path / "run")):
            with pytest.raises(RecipeError, match="would judge its own work"):
                score(make({"part": "clip_score", "model": str(encoder)}, trained_with=[trained]))

    def test_a_copy_under_another_name_is_the_same(self, make: Make, encoder: Path, tmp_path: Path) -> None:
        shutil.copytree(encoder, tmp_path / "copy")
        with pytest.raises(RecipeError, match="would judge its own work"):
            score(make({"part": "clip_score", "model": str(encoder)}, trained_with=[str(tmp_path / "copy")]))

    def test_by_the_hubs_name_too_and_before_weights_are_looked_for(self, make: Make) -> None:
        with pytest.raises(RecipeError, match="would judge its own work"):
            score(make({"part": "clip_score", "model": NAME}, trained_with=["laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"]))

    def test_pictures_say_what_drew_them(self, make: Make, encoder: Path, world: Path, tmp_path: Path) -> None:
        write_json(tmp_path / "run/card.json", {"text_encoder": str(encoder)})
        record = {
            "prompt_typed": "", "prompt": "", "cut": "", "negative": "", "seed": 1, "steps": 1, "guidance": 1, "scheduler": "", "size_px": 64, "batch": 1,
            "position": 0, "device": "", "model": str(tmp_path / "run"), "hashes": {}, "miniature": True, "made_by": {}, "DigitalSourceType": "",
        }  # fmt: skip
        write_json(world / "arms/kimchi/gat.json", record)
        with pytest.raises(RecipeError, match="run"):
            score(make({"part": "clip_score", "model": str(encoder)}))

    def test_kin_is_told(self, make: Make) -> None:
        from kimchi.eval.metrics._independence import kinship

        assert "Stable Diffusion 2.x" in kinship("xlm-roberta-large-ViT-H-14@frozen_laion5b_s13b_b90k")[0] and not kinship(NAME)


class TestRefused:
    def test_an_english_encoder_for_korean(self, make: Make) -> None:
        with pytest.raises(RecipeError, match="reads no Korean"):
            score(make({"part": "clip_score", "model": "ViT-L-14@openai"}))

    @pytest.mark.parametrize(
        ("name", "said"),
        [("no-such@x", "no such encoder"), ("xlm-roberta-base-ViT-B-32", "no such encoder"), ("xlm-roberta-base-ViT-B-32@x", "laion5b_s13b_b90k"),
         ("xlm-roberta-base-ViT-B-32@/no/x.safetensors", "is not there"), (NAME, "not on this machine")],
    )  # fmt: skip
    def test_what_is_not_there(self, name: str, said: str) -> None:
        with pytest.raises(ModelError, match=said) as caught:
            find_towers(name)
        assert "\n" not in str(caught.value)

    def test_a_folder_with_a_pickle_alone(self, encoder: Path, tmp_path: Path) -> None:
        shutil.copy(encoder / "open_clip_config.json", tmp_path)
        torch.save(load_file(encoder / "open_clip_model.safetensors"), tmp_path / "open_clip_pytorch_model.bin")
        with pytest.raises(ModelError, match="can run code"):
            find_towers(str(tmp_path))

    def test_a_repository_with_a_pickle_alone_unless_told(self, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError

        torch.save(load_file(encoder / "open_clip_model.safetensors"), tmp_path / "open_clip_pytorch_model.bin")

        def hub(repository: str, file: str, revision: str | None) -> str:
            """Stands for the hub, where a test may not go: this repository has a pickle."""
            if not (tmp_path / file).is_file():
                raise EntryNotFoundError(file)
            return str(tmp_path / file)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
        with pytest.raises(ModelError, match="only as a pickle"):
            find_towers(NAME)
        assert find_towers(NAME, allow_pickle=True).weights == tmp_path / "open_clip_pytorch_model.bin"

    def test_damaged_weights(self, encoder: Path, tmp_path: Path) -> None:
        shutil.copytree(encoder, tmp_path / "bad")
        (tmp_path / "bad/open_clip_model.safetensors").write_bytes(b"short")
        with pytest.raises(ModelError, match="cannot open it"):
            Towers(find_towers(str(tmp_path / "bad")), "ko", "cpu")
