"""`kimchi plan` for training: refusals come before anything loads, its counts are those of the run, and what it does not know it says."""

import json
import re
import shlex
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import typer
from diffusers import UNet2DConditionModel
from PIL import Image

from kimchi import recipes
from kimchi.cli import app, main
from kimchi.data.files import write_json
from kimchi.data.jsonl import write_records
from kimchi.errors import DataError, KimchiError, ModelError, RecipeError
from kimchi.models import lora
from kimchi.recipes import LoraRecipe, load_recipe
from kimchi.records import CaptionedRecord, ImageRecord
from kimchi.training.plan import LoraPlan, TrainingPlan, check, choose, describe, plan, problems
from kimchi.training.plan import shape as counting
from kimchi.training.plan.memory import GIB, RESERVE, SLACK, Choice, memory_of
from kimchi.training.plan.parts import SD15_UNET, SD15_VAE, read_parts
from kimchi.training.plan.shape import text_pass, unet_pass, vae_pass

FULL = [name for name in recipes.list_recipes() if "sd15" in name and load_recipe(name).kind == "lora"]
DEFAULT = "training/sd15_korean_clip_lora.yaml"
SIZES = [(640, 480), (480, 640), (64, 64), (400, 100)]
Make = Callable[..., LoraRecipe]


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """Eight pictures of four shapes, of which the header alone can be read; two are held out."""
    records: list[CaptionedRecord] = []
    for i in range(8):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", SIZES[i % 4]).save(path)
        rich = "김치 " * 90 if i == 0 else f"{i}번째 접시에 담긴 김치"
        split = "validation" if i > 5 else "train"
        records.append(CaptionedRecord(id=f"{i:016x}", path=str(path), caption_noun="김치", caption_ko=rich, caption_en=f"kimchi, {i}", split=split))
    write_records(tmp_path / "captions.jsonl", records)
    return tmp_path / "captions.jsonl"


@pytest.fixture
def make(base_folder: Path, encoder_folder: Path, captions: Path) -> Make:
    def _make(**changes: Any) -> LoraRecipe:
        recipe: dict[str, Any] = {
            "kind": "lora", "name": "t", "base": str(base_folder), "text_encoder": str(encoder_folder), "steps": 12, "batch": 4, "resolution_px": 64,
            "sources": [{"captions": str(captions), "share": 1}], "machine": {"device": "cpu"},
        }  # fmt: skip
        return LoraRecipe.model_validate(recipe | changes)

    return _make


def planned(recipe: LoraRecipe, **options: Any) -> LoraPlan:
    found = plan(recipe, **options)
    assert isinstance(found, LoraPlan)
    return found


class TestFullSize:
    """SD 1.5 by its published configuration: nothing of it is on this machine."""

    def test_the_counts_are_those_of_the_literature(self) -> None:
        # Measured apart from this code: FlopCounterMode with attention as plain products, and the sizes that the papers give.
        one = unet_pass(SD15_UNET, recipes.Lora(rank=16), 64, 77, torch.bfloat16, checkpointing=False)
        assert one.weights_bytes == 2 * 859_520_964 and one.trained == 3_188_736
        assert one.forward_flops == pytest.approx(0.808e12, rel=0.01) and one.flops == pytest.approx(1.725e12, rel=0.005)
        assert one.peak_bytes / GIB == pytest.approx(1.09, rel=0.03)  # 0.97 with everything in bf16; autocast keeps norms in fp32
        assert vae_pass(SD15_VAE, 512, torch.float32).weights_bytes == 4 * 83_653_863

    @pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == DEFAULT else pytest.mark.slow) for name in FULL])
    def test_every_shipped_recipe_has_a_plan_without_its_parts(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        recipe = load_recipe(name, kind="lora")
        found = planned(recipe)
        assert any("stable-diffusion-v1-5 is not on this machine" in one for one in found.lacking)
        assert sum("no such file of captions" in one for one in found.lacking) == len(recipe.sources) and found.pictures is None
        said = next((size for size in (8, 12, 80) if name.endswith(f"_{size}gb.yaml")), 24)
        card = next(one for one in found.cards if one.memory_gib == said)
        assert card.micro_batch and card.peak_gib and card.peak_gib < said
        assert [pace.machine for pace in found.paces] == ["A100 SXM", "RTX 4090", "H100 or H200 SXM"]
        text = "\n".join(describe(found))
        assert "not measured here" in text and "not on this machine" in text and "missing here" in text
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", FULL)
    def test_shipped_recipes_lack_nothing_but_their_parts(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        recipe = load_recipe(name, kind="lora")
        parts = read_parts(recipe)
        assert all(problem.here for problem in problems(recipe, parts))
        assert parts.unet["cross_attention_dim"] == parts.text_width == 768 and not parts.base_read

    def test_checkpointing_only_when_memory_demands_it(self) -> None:
        recipe = load_recipe(DEFAULT, kind="lora")
        large, small = choose(recipe, 80), choose(recipe, 3.9)
        assert large == Choice(micro_batch=recipe.batch, checkpointing=False) and small.checkpointing
        assert memory_of(recipe, small).training <= 3.9 * GIB
        assert choose(recipe, 80, processes=4).micro_batch == recipe.batch // 4
        with pytest.raises(RecipeError, match=r"1 sample of 512 px together would take \d\.\d GiB, and there are 1\.5\. Lower resolution_px"):
            choose(recipe, 1.5)


class TestCounting:
    def test_memory_is_what_a_pass_truly_holds(self, base_folder: Path) -> None:
        """The peak of real tensors: the same passes with weights, every storage that lives counted by another hook."""
        config = json.loads((base_folder / "unet" / "config.json").read_text())
        shape = recipes.Lora(rank=4)
        told = unet_pass(config, shape, 16, 77, torch.float32, checkpointing=False)
        net = UNet2DConditionModel.from_config(config)
        weights = lora.add(net, shape)
        own = {p.untyped_storage().data_ptr() for p in net.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            place = tensor.untyped_storage().data_ptr()
            saved.update({} if place in own else {place: tensor.untyped_storage().nbytes()})
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(torch.randn(1, 4, 16, 16), torch.zeros(1).long(), torch.randn(1, 77, config["cross_attention_dim"])).sample.sum()
        assert told.trained == sum(p.numel() for p in weights.values())
        # What is saved for the way back, and at the worst moment a little that is on its way.
        assert sum(saved.values()) * 0.95 < told.peak_bytes < sum(saved.values()) * 1.4

    def test_twice_computed_holds_less_and_costs_more(self, base_folder: Path) -> None:
        config = json.loads((base_folder / "unet" / "config.json").read_text())
        kept, twice = (unet_pass(config, recipes.Lora(), 32, 77, torch.float32, checkpointing=way) for way in (False, True))
        assert twice.peak_bytes < 0.8 * kept.peak_bytes and twice.flops > 1.2 * kept.flops and twice.forward_flops == kept.forward_flops

    def test_a_larger_adapter_and_text_adapter_are_counted(self, encoder_folder: Path) -> None:
        config = json.loads((encoder_folder / "config.json").read_text())
        still, trained = (text_pass(config, one, torch.float32) for one in (None, recipes.Lora(rank=2)))
        assert still.trained == 0 < trained.trained and trained.flops > 1.8 * still.flops and trained.peak_bytes > still.peak_bytes

    def test_pieces_of_a_batch_are_equal(self, make: Make) -> None:
        recipe = make(batch=32)
        one = memory_of(recipe, Choice(micro_batch=1, checkpointing=False), cpu=True)
        room = (one.overhead + one.fixed + 12.5 * one.sample * (1 + SLACK)) / (1 - RESERVE) / GIB
        assert choose(recipe, room, cpu=True) == Choice(micro_batch=11, checkpointing=False)

    def test_options_show_in_memory(self, make: Make) -> None:
        def of(**changes: Any) -> Any:
            return memory_of(make(**changes), Choice(micro_batch=2, checkpointing=False))

        plain = of()
        assert of(ema=0.9).average == plain.adapter == plain.moments // 2 and plain.average == 0
        assert of(precision="bf16").weights == plain.weights // 2
        assert of(loss={"contrast": 0.1}).sample == 2 * plain.sample
        assert of(text_lora={"rank": 2}).weights > plain.weights
        assert of(samples={"every": 5}).drawing > plain.drawing == 0


class TestSources:
    def test_pictures_shapes_and_captions(self, make: Make) -> None:
        found = planned(make(held_out={"every": 4}))
        (source,) = found.sources
        assert (source.pictures, source.held_out, source.epochs, found.samples, found.pictures) == (6, 2, 8.0, 48, 6)
        assert source.fitted and source.fitted.buckets == {"64 x 64": 6}
        assert (source.fitted.cut_much, source.fitted.cut_very_much, source.fitted.enlarged, source.fitted.unreadable) == (5, 1, 0, 0)
        rich = next(cut for cut in source.cut if cut.form == "rich")
        assert (rich.captions, rich.cut) == (6, 1) and rich.longest >= 90
        assert [cut.form for cut in source.cut] == ["noun", "rich", "english"]
        text = "\n".join(describe(found))
        assert "rich captions longer than the encoder reads: 1 of 6 counted" in text and "; 2 held out" in text and "dropped: 0" in text

    def test_buckets(self, make: Make) -> None:
        found = planned(make(aspect={"fit": "buckets", "step_px": 16}))
        fitted = found.sources[0].fitted
        assert fitted and len(fitted.buckets) > 2 and sum(fitted.buckets.values()) == 6

    def test_sizes_that_prepare_left_are_not_read_again(self, make: Make, captions: Path) -> None:
        write_records(captions.parent / "records.jsonl", [ImageRecord(id=f"{i:016x}", path=f"{i}.png", size_px=(32, 32)) for i in range(8)])
        for path in captions.parent.glob("*.png"):
            path.unlink()
        fitted = planned(make()).sources[0].fitted
        assert fitted and (fitted.enlarged, fitted.looked_at, fitted.unreadable) == (6, 6, 0)

    def test_a_picture_that_cannot_be_read_is_told(self, make: Make, captions: Path) -> None:
        (captions.parent / "1.png").write_bytes(b"no picture")
        found = planned(make())
        assert found.sources[0].fitted and found.sources[0].fitted.unreadable == 1
        assert "cannot be read: 1 of those looked at" in "\n".join(describe(found))

    def test_disk(self, make: Make) -> None:
        found = planned(make(ema=0.9))
        # 16 x 16 x 4 numbers, mean and spread, fp16; one noun, six rich, six English and the empty prompt; fp32 adapter.
        assert found.disk.latents == 6 * 16 * 16 * 4 * 2 * 2
        assert found.disk.text == (1 + 6 + 6 + 1) * 77 * 128 * 2
        assert found.disk.adapter == 4 * found.trained and found.disk.checkpoints == 2 * (4 + 8 + 4) * found.trained
        assert planned(make(text_lora={"rank": 2})).disk.text == 0

    def test_learning_from_the_base_costs_another_pass(self, make: Make, captions: Path) -> None:
        base = planned(make(sources=[{"captions": str(captions), "share": 1, "learn": "base"}]))
        assert base.tflop_a_picture > 1.3 * planned(make()).tflop_a_picture

    def test_measured_here(self, make: Make) -> None:
        pace = planned(make(), measure=True).paces[-1]
        assert pace.per_second and pace.hours and pace.source.startswith("measured now") and "this CPU" in pace.machine


NOWHERE: list[tuple[dict[str, Any], type[KimchiError], str]] = [
    ({"machine": {"micro_batch": 5, "device": "cpu"}}, RecipeError, r"machine\.micro_batch is 5, and a batch has 4\. Use 0"),
    ({"resolution_px": 72}, RecipeError, r"resolution_px is 72, and this base halves pictures down to a 16th: use a multiple of 16, such as 64\."),
    ({"aspect": {"fit": "buckets", "step_px": 8}}, RecipeError, r"aspect\.step_px is 8"),
    ({"aspect": {"step_px": 32}}, RecipeError, r"aspect\.step_px is 32 and would be ignored: with aspect\.fit: square there are no buckets"),
    ({"aspect": {"largest": 3.0}}, RecipeError, r"aspect\.largest is 3\.0 and would be ignored"),
    ({"text_rate": 0.1}, RecipeError, r"text_rate is 0\.1 and would be ignored: without text_lora"),
    ({"noun_share": 0, "origin_share": 0.3}, RecipeError, r"origin_share would be ignored by a source whose noun_share is 0"),
    ({"culture": "kr"}, RecipeError, r"culture: 'kr' is none of ja, ko"),
    ({"timesteps": {"mean": 0.5}}, RecipeError, r"timesteps\.mean is 0\.5 and would be ignored: only logit_normal has it"),
    ({"optimiser": {"restarts": 3}}, RecipeError, r"optimiser\.restarts is 3 and would be ignored"),
    ({"optimiser": {"schedule": "linear", "last_rate": 0.5}}, RecipeError, r"optimiser\.last_rate is 0\.5 and would be ignored"),
    ({"optimiser": {"name": "adamw8bit"}}, RecipeError, r"'adamw8bit', and bitsandbytes trains on CUDA alone; device is 'cpu'\. Use adamw"),
    ({"loss": {"features": 0.5}}, RecipeError, r"loss\.features is 0\.5 and would be ignored: no source learns from the base"),
    ({"loss": {"contrast_margin": 0.5}}, RecipeError, r"loss\.contrast_margin is 0\.5 and would be ignored"),
    ({"loss": {"contrast": 0.5}}, RecipeError, r"loss\.contrast is 0\.5, and nothing that is learned from pictures has a look-alike"),
    ({"held_out": {"patience": 2}}, RecipeError, r"held_out\.patience is 2 and would be ignored: held_out\.every is 0"),
    ({"held_out": {"every": 2, "split": "test"}}, DataError, r"no source has pictures of the split 'test'\. Name a split that they have"),
    ({"samples": {"steps": 3}}, RecipeError, r"samples\.steps is 3 and would be ignored"),
    ({"text_encoder": "mini-korean-clip", "base": "stable-diffusion-v1-5/stable-diffusion-v1-5", "resolution_px": 512}, RecipeError,
     r"text_encoder 'mini-korean-clip' gives 128-wide states; stable-diffusion-v1-5/stable-diffusion-v1-5 reads 768"),
    ({"sources": [{"captions": "sample-world:english", "share": 1}]}, RecipeError, r"a sample world is sample-world:korean or"),
    ({"sources": [{"captions": "sample-world:korean", "share": 1, "split": "test"}]}, RecipeError, r"sources\.0\.split is 'test' and would be ignored"),
    ({"sources": [{"captions": "sample-world:korean", "share": s} for s in (0.2,) * 5]}, RecipeError, r"batch is 4 and there are 5 sources"),
]  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize(("changes", "kind", "said"), NOWHERE, ids=[str(i) for i in range(len(NOWHERE))])
    def test_what_works_nowhere(self, make: Make, changes: dict[str, Any], kind: type[KimchiError], said: str) -> None:
        for refuse in (check, plan):
            with pytest.raises(kind, match=said):
                refuse(make(**changes))

    def test_a_sound_recipe_passes(self, make: Make) -> None:
        check(make())
        check(make(held_out={"every": 2, "patience": 1}, samples={"every": 3, "steps": 2}, text_lora={"rank": 2}, text_rate=0.1))

    def test_on_and_off_as_yaml_reads_them(self, tmp_path: Path, make: Make) -> None:
        (tmp_path / "r.yaml").write_text(recipes.to_yaml(make()), encoding="utf-8")
        for word in ("on", "off"):
            assert load_recipe(str(tmp_path / "r.yaml"), (f"machine.gradient_checkpointing={word}",), kind="lora").machine.gradient_checkpointing == word

    def test_every_default_written_out_is_the_same_recipe(self, make: Make) -> None:
        check(LoraRecipe.model_validate(make().model_dump(mode="json")))

    @pytest.mark.parametrize(
        ("changes", "kind", "said"),
        [
            ({"sources": [{"captions": "none.jsonl", "share": 1}]}, DataError, r"none\.jsonl: no such file of captions\. Make it with `kimchi prepare`"),
            ({"text_encoder": "runs/not-aligned-yet"}, ModelError, r"text_encoder is runs/not-aligned-yet, and nothing is there\. `kimchi align` makes"),
            ({"base": "./sd.safetensors"}, ModelError, r"base is \./sd\.safetensors, and nothing is there"),
            ({"start_from": "runs/never"}, ModelError, r"start_from is runs/never, and no adapter\.safetensors is there"),
            ({"machine": {"device": "cuda:7"}}, RecipeError, r"cuda:7"),
            ({"machine": {"device": "cpu", "trackers": ["trackio"]}}, RecipeError, r"package trackio is not installed"),
        ],
    )  # fmt: skip
    def test_what_this_machine_lacks_is_refused_by_a_run_and_told_by_a_plan(
        self, make: Make, changes: dict[str, Any], kind: type[KimchiError], said: str
    ) -> None:
        with pytest.raises(kind, match=said) as caught:
            check(make(**changes))
        assert str(caught.value) in planned(make(**changes)).lacking

    def test_a_damaged_or_empty_source(self, make: Make, captions: Path) -> None:
        with captions.open("a", encoding="utf-8") as file:
            file.write("{half\n")
        with pytest.raises(DataError, match=r"line 9: is not a captioned record"):
            check(make())
        with pytest.raises(DataError, match=r"no pictures of the split 'test'"):
            captions.write_text(captions.read_text(encoding="utf-8").removesuffix("{half\n"), encoding="utf-8")
            check(make(sources=[{"captions": str(captions), "share": 1, "split": "test"}]))

    def test_the_base_is_asked_about_english_that_is_there(self, make: Make, captions: Path) -> None:
        captions.write_text(captions.read_text(encoding="utf-8").replace('"caption_en":"kimchi', '"caption_en":"","was":"kimchi'), encoding="utf-8")
        with pytest.raises(DataError, match=r"learn is 'base', which asks the base about English, and no caption there has an English twin"):
            check(make(sources=[{"captions": str(captions), "share": 1, "learn": "base"}]))

    def test_a_start_of_another_shape(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "adapter.safetensors").touch()
        write_json(tmp_path / "card.json", {"lora": {"rank": 4, "targets": "attention"}})
        with pytest.raises(RecipeError, match=r"lora\.rank is 16, and .* was made with 4\. Use the same"):
            check(make(start_from=str(tmp_path)))

    def test_a_text_adapter_needs_a_clip(self, make: Make, tmp_path: Path) -> None:
        write_json(tmp_path / "config.json", {"model_type": "bert", "hidden_size": 128})
        with pytest.raises(RecipeError, match=r"text_lora is set, and .* is a bert: only a CLIP text tower takes one"):
            check(make(text_encoder=str(tmp_path), text_lora={"rank": 2}))

    def test_before_torch_is_imported(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "r.yaml").write_text(recipes.to_yaml(make(resolution_px=72)), encoding="utf-8")
        code = "import sys; from kimchi.cli import main; print(main(['plan', sys.argv[1]]), 'torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.yaml")], capture_output=True, text=True, check=True)
        assert done.stdout == "1 False\n" and "use a multiple of 16" in done.stderr


def test_widths_from_a_single_file(tmp_path: Path, make: Make) -> None:
    header = json.dumps({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": {"shape": [320, 1024]}}).encode()
    (tmp_path / "sd.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    recipe = make(base=str(tmp_path / "sd.safetensors"), resolution_px=512)
    assert read_parts(recipe).unet["cross_attention_dim"] == 1024
    with pytest.raises(RecipeError, match="reads 1024"):
        check(recipe)


@pytest.mark.parametrize("name", [name for name in recipes.list_recipes() if name not in FULL and name.startswith("training")])
def test_every_other_shipped_recipe_has_a_plan(name: str) -> None:
    recipe = load_recipe(name)
    assert not isinstance(recipe, recipes.PrepareRecipe | recipes.ScoreRecipe | recipes.StudyRecipe)
    found = plan(recipe)
    assert found.kind == recipe.kind and found.samples > 0 and all(describe(found))
    assert isinstance(found, LoraPlan if recipe.kind == "lora" else TrainingPlan)


def _commands() -> list[str]:
    """Every command of FIRST_RUN.md, of the launch templates, and of the full-size recipes' headers."""
    fenced = re.findall(r"```\n(.*?)```", (recipes.HOME / "training" / "FIRST_RUN.md").read_text(encoding="utf-8"), re.DOTALL)
    headers = [line.lstrip("# ") for name in FULL for line in (recipes.HOME / name).read_text(encoding="utf-8").splitlines()]
    lines = [line for block in fenced for line in block.splitlines()] + [re.sub(r"^Run:\s+", "", line) for line in headers]
    return [line for line in lines if line.startswith("kimchi ")]


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_every_command_of_the_manual_parses(command: str) -> None:
    group = typer.main.get_command(app)
    # A header says in words behind two spaces what a command is for.
    name, *arguments = shlex.split(re.split(r"\s{3,}", command)[0])[1:]
    context = cast(Any, group).commands[name].make_context(name, list(arguments))
    if "recipe" in context.params:
        load_recipe(context.params["recipe"], tuple(context.params["set_"] or ()))


def test_launch_templates_are_shell_that_parses_and_name_recipes_that_exist() -> None:
    folder = recipes.HOME / "training" / "launch"
    scripts = [path for path in folder.iterdir() if path.suffix != ".md"]
    assert {path.name for path in scripts} == {"accelerate.sh", "torchrun.sh", "slurm.sbatch", "backend_ai.sh"}
    for path in scripts:
        subprocess.run(["bash", "-n", str(path)], check=True)
        text = path.read_text(encoding="utf-8")
        assert "-m kimchi train" in text and path.name in (folder / "README.md").read_text(encoding="utf-8")
        assert all((recipes.HOME / name).is_file() for name in re.findall(r"training/\w+\.yaml", text))


def test_the_command(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(recipes.to_yaml(make()), encoding="utf-8")
    assert main(["plan", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert captured.out.splitlines()[0] == "12 steps, batches of 4: 48 samples from 6 pictures"
    assert (found["kind"], found["sources"][0]["pictures"], found["memory"]["micro_batch"]) == ("lora", 6, 4)
    assert captured.err == f"Next: kimchi train {path}\n"


def test_ctrl_c_while_a_network_is_counted_is_not_lost() -> None:
    net = torch.nn.Linear(4, 4, device="meta")

    def forward() -> torch.Tensor:
        given = torch.zeros(2, 4, device="meta")
        # Within a finalizer, as nearly every signal comes that is sent meanwhile.
        weakref.finalize(given, signal.raise_signal, signal.SIGINT)
        made: torch.Tensor = net(given)
        del given
        return made

    with pytest.raises(KeyboardInterrupt):
        counting._count(net, forward)  # pyright: ignore[reportPrivateUsage]
