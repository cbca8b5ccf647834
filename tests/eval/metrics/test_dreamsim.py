"""DreamSim: the package's own classes with random weights of true shape, and what is refused or skipped before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kimchi.errors import RecipeError
from kimchi.eval.scoring.run import score
from kimchi.eval.scoring.tables import read_scores
from kimchi.recipes import ScoreRecipe

Make = Callable[..., ScoreRecipe]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the zip of open_clip_vitb32 holds, random: a vision transformer of 88 million weights, and an adapter."""
    pytest.importorskip("dreamsim", reason="needs dreamsim: pip install -e '.[eval]'")
    import torch
    from dreamsim.feature_extraction.vision_transformer import vit_base
    from dreamsim.model import PerceptualModel
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("dreamsim")
    torch.manual_seed(0)
    network = vit_base(patch_size=32)
    network.pos_drop = torch.nn.LayerNorm(network.embed_dim)
    state = network.state_dict() | {"proj": torch.randn(768, 512) / 28}
    torch.save({"state_dict": state}, folder / "open_clip_vitb32_pretrain.pth.tar")
    model = PerceptualModel(model_type="open_clip_vitb32", feat_type="embedding", stride="32", lora=True, load_dir=str(folder), device="cpu")
    get_peft_model(model, LoraConfig(r=4, lora_alpha=0.5, lora_dropout=0.3, bias="none", target_modules=["qkv"], init_lora_weights=False)).save_pretrained(
        folder / "open_clip_vitb32_single_lora"
    )
    return folder


def few(world: Path, *kept: str) -> None:
    """Leave two prompts: a network of true size takes a second for each picture on a CPU."""
    lines = (world / "prompts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (world / "prompts.jsonl").write_text("".join(line for line in lines if json.loads(line)["id"] in kept), encoding="utf-8")
    for path in (world / "arms").rglob("*.png"):
        if path.stem not in kept:
            path.unlink()


@pytest.mark.slow
class TestNumber:
    def test_distances_to_the_reference_of_the_same_prompt(self, make: Make, checkpoint: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
        few(world, "gat", "hanok")
        shutil.copy(world / "arms/photo/gat.png", world / "arms/kimchi/gat.png")
        outcome = score(make({"part": "dreamsim", "reference": "photo", "weights": str(checkpoint), "device": "cpu"}))
        scores = read_scores(outcome.folder / "scores.csv")["dreamsim"]
        assert scores["gat", "kimchi"] == pytest.approx(0, abs=1e-5) and min(v for k, v in scores.items() if k != ("gat", "kimchi")) > 1e-5
        assert {one.condition for one in outcome.summaries} == {"kimchi", "base"} and not outcome.summaries[0].higher_is_better
        told = json.loads((outcome.folder / "results.json").read_text())["metrics"][0]
        assert told["model"].startswith("dreamsim 0.") and len(told["model_hash"]) == 16
        assert capsys.readouterr().out == ""

    def test_is_the_packages_own_distance_with_the_adapter_of_the_file(self, make: Make, checkpoint: Path, world: Path, tmp_path: Path) -> None:
        from PIL import Image
        from safetensors.torch import load_file

        from kimchi.eval.metrics.dreamsim import Metric
        from kimchi.recipes import Metric as Section

        few(world, "gat", "hanok")
        outcome = score(make({"part": "dreamsim", "reference": "photo", "weights": str(checkpoint), "device": "cpu"}))
        model, prepare = Metric(Section(part="dreamsim", reference="x", weights=str(checkpoint), device="cpu"))._opened
        wanted = float(model(*(prepare(Image.open(world / f"arms/{condition}/gat.png")) for condition in ("base", "photo"))))
        assert read_scores(outcome.folder / "scores.csv")["dreamsim"]["gat", "base"] == pytest.approx(wanted, abs=1e-5)
        kept = load_file(checkpoint / "open_clip_vitb32_single_lora/adapter_model.safetensors")
        held = {name: value for name, value in model.state_dict().items() if "lora_" in name}
        assert len(held) == len(kept) and all(any(value.equal(one) for one in kept.values()) for value in held.values())

    def test_a_folder_of_references_and_prompts_without_one(self, make: Make, checkpoint: Path, world: Path, tmp_path: Path) -> None:
        few(world, "gat", "hanok")
        shutil.copytree(world / "arms/photo", tmp_path / "mine")
        (tmp_path / "mine/gat.png").unlink()
        for name in ("base", "photo"):
            shutil.rmtree(world / "arms" / name)
        outcome = score(make({"part": "dreamsim", "reference": str(tmp_path / "mine"), "weights": str(checkpoint), "device": "cpu"}))
        assert outcome.summaries[0].n == 1 and "1 prompts have no reference" in outcome.notes["dreamsim"][0]


class TestRefused:
    @pytest.mark.parametrize(
        ("metric", "said"),
        [
            ({"model": "ensemble", "reference": "photo"}, "run no fetched code"),
            ({}, "names no `reference`"),
            ({"reference": "nowhere"}, "holds no picture named by a prompt id"),
        ],
    )
    def test_what_cannot_be_right(self, make: Make, metric: dict[str, str], said: str) -> None:
        with pytest.raises(RecipeError, match=said):
            score(make({"part": "dreamsim", **metric}))

    def test_without_its_checkpoint_it_is_skipped_and_fetches_nothing(self, make: Make, tmp_path: Path) -> None:
        outcome = score(make("recogniser", {"part": "dreamsim", "reference": "photo", "weights": str(tmp_path / "none")}))
        assert "open_clip_vitb32_pretrain.pth.tar" in outcome.skipped["dreamsim"] and not (tmp_path / "none").exists()

    def test_without_the_package_it_is_skipped(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install 'kimchi-diffusion[eval]'" in score(make("recogniser", {"part": "dreamsim", "reference": "photo"})).skipped["dreamsim"]
