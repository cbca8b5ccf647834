"""The LoRA trainer on true classes: what it leaves, that it resumes, and that stock diffusers draws the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from kimchi.errors import DataError, ModelError, RecipeError
from kimchi.models.load import load_model
from kimchi.recipes import LoraRecipe, Source
from kimchi.training.loop import Progress
from kimchi.training.rows import Row, Table, read_sources, words_for
from kimchi.training.run import train


def _recipe(base: Path, encoder: Path, out: Path, **changes: object) -> LoraRecipe:
    values: dict[str, object] = {
        "kind": "lora", "name": "test", "base": str(base), "text_encoder": str(encoder), "out": str(out), "steps": 4, "batch": 4, "learning_rate": 0.01,
        "sources": [
            {"captions": "sample-world:korean", "share": 0.75, "per_concept": 1},
            {"captions": "sample-world:general", "share": 0.25, "per_concept": 1},
        ],
        "lora": {"rank": 4, "alpha": 2, "targets": "all"}, "checkpoint_every": 2, "warmup_steps": 0,
    }  # fmt: skip
    return LoraRecipe.model_validate(values | changes)


@pytest.fixture(scope="module")
def run(base_folder: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(_recipe(base_folder, encoder_folder, folder))
    return folder


def test_the_run_folder_is_complete(run: Path) -> None:
    assert {p.name for p in run.iterdir()} == {"adapter.safetensors", "card.json", "log.jsonl", "losses.json", "recipe.yaml", "run.html"}
    card = json.loads((run / "card.json").read_text())
    assert card["hashes"].keys() == {"unet", "vae", "text_encoder", "tokenizer"}
    assert len(json.loads((run / "losses.json").read_text())) == 4


def test_stock_diffusers_draws_what_we_draw_though_alpha_is_not_rank(run: Path, base_folder: Path) -> None:
    ours = load_model(str(run)).unet
    pipe = StableDiffusionPipeline.from_pretrained(str(base_folder), dtype=torch.float32)
    x, t, c = torch.randn(1, 4, 32, 32), torch.tensor([500]), torch.randn(1, 77, 128)
    with torch.no_grad():
        plain = pipe.unet(x, t, c).sample
        pipe.load_lora_weights(str(run), weight_name="adapter.safetensors")
        stock = pipe.unet(x, t, c).sample
        made = ours(x, t, c).sample
    assert torch.allclose(made, stock, atol=1e-5)
    assert not torch.allclose(made, plain, atol=1e-3)


def test_a_killed_run_gives_the_same_adapter(run: Path, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(base_folder, encoder_folder, tmp_path)

    def kill(progress: Progress) -> None:
        if progress.step == 3:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        train(recipe, kill)
    assert not (tmp_path / "card.json").exists()
    train(recipe)
    for name in ("adapter.safetensors", "losses.json"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_a_finished_run_is_not_trained_again(run: Path, base_folder: Path, encoder_folder: Path) -> None:
    outcome = train(_recipe(base_folder, encoder_folder, run), lambda progress: pytest.fail("trained again"))
    assert outcome.seconds == 0 and outcome.steps == 4


def test_another_encoder_is_refused_at_load_naming_both(run: Path, base_folder: Path, tmp_path: Path) -> None:
    card = json.loads((run / "card.json").read_text())
    (tmp_path / "adapter.safetensors").write_bytes((run / "adapter.safetensors").read_bytes())
    (tmp_path / "card.json").write_text(json.dumps(card | {"hashes": card["hashes"] | {"text_encoder": "0123456789abcdef"}}))
    with pytest.raises(ModelError, match=f"text_encoder 0123456789abcdef.*{card['hashes']['text_encoder']}"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("cut", [0, 10, 2000])
def test_a_corrupted_adapter_is_refused(run: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "card.json").write_bytes((run / "card.json").read_bytes())
    (tmp_path / "adapter.safetensors").write_bytes((run / "adapter.safetensors").read_bytes()[:cut])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(tmp_path))


def test_shares_must_add_up(base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    sources = [{"captions": "sample-world:korean", "share": 0.5, "per_concept": 1}]
    with pytest.raises(RecipeError, match=r"add up to 0\.5"):
        _recipe(base_folder, encoder_folder, tmp_path, sources=sources)


def test_missing_captions_are_told_before_training(base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kimchi prepare"):
        train(_recipe(base_folder, encoder_folder, tmp_path, sources=[{"captions": str(tmp_path / "none.jsonl"), "share": 1}]))


def test_an_encoder_of_another_width_is_refused(base_folder: Path, make_text_folder: Callable[..., None], tmp_path: Path) -> None:
    make_text_folder(tmp_path / "wide", tmp_path / "wide", width=64)
    with pytest.raises(RecipeError, match=r"64-wide.*128"):
        train(_recipe(base_folder, tmp_path / "wide", tmp_path / "run"))


def test_words_follow_the_shares() -> None:
    import random
    from collections import Counter

    row = Row(id="x", noun="라면", rich=("나무 식탁 위 라면",), english=("ramyeon",))
    table = Table(source=Source(captions="x", share=1), rows=[row], pictures=[], noun_share=0.5, english_share=0.0)
    rng = random.Random(0)
    seen = Counter(words_for(row, table, 0.2, rng) for _ in range(4000))
    assert abs(seen[""] / 4000 - 0.2) < 0.03 and abs(seen["라면"] / 4000 - 0.4) < 0.03 and "ramyeon" not in seen


def test_a_source_may_have_shares_of_its_own(base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    korean = {"captions": "sample-world:korean", "share": 0.5, "per_concept": 1, "english_share": 0.0}
    general = {"captions": "sample-world:general", "share": 0.5, "per_concept": 1, "english_share": 1.0, "noun_share": 0.9}
    first, second = read_sources(_recipe(base_folder, encoder_folder, tmp_path, noun_share=0.2, english_share=0.5, sources=[korean, general]))
    assert (first.noun_share, first.english_share, second.noun_share, second.english_share) == (0.2, 0.0, 0.9, 1.0)


def test_korean_drawings_are_also_shown_with_the_wordings_of_their_labels(base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    [table] = read_sources(_recipe(base_folder, encoder_folder, tmp_path, sources=[{"captions": "sample-world:korean", "share": 1, "per_concept": 1}]))
    assert all(row.noun in words for row in table.rows for words in row.rich[3:])


def test_an_adapter_is_trained_further(run: Path, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    train(_recipe(base_folder, encoder_folder, tmp_path, start_from=str(run), steps=1, learning_rate=1e-9))
    before, after = load_file(run / "adapter.safetensors"), load_file(tmp_path / "adapter.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in before)


def test_an_adapter_of_another_rank_is_not_trained_further(run: Path, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"rank is 2, and .* 4"):
        train(_recipe(base_folder, encoder_folder, tmp_path, start_from=str(run), lora={"rank": 2, "alpha": 2, "targets": "all"}))
