"""The trainer whole: several processes, kill -9, every way of learning, what is seen of it, and what stops it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from kimchi.data.jsonl import write_records
from kimchi.errors import DataError, RecipeError, TrainingError
from kimchi.models.load import load_model
from kimchi.recipes import LoraRecipe, to_yaml
from kimchi.records import CaptionedRecord
from kimchi.training.loop import Progress
from kimchi.training.run import train
from kimchi.training.watch.log import read_log

Make = Callable[..., LoraRecipe]
# A CPU without AMX emulates bf16, slowly.
FEW: dict[str, Any] = {"steps": 3, "batch": 2}
ROUNDING = 2e-3
"""AdamW divides a gradient by its own size: where that is next to nothing, the last bits of a sum decide an element, 3e-4 of a tensor on one CPU. A piece
that weighs 2 % too much moves it by a tenth."""
KOREAN, GENERAL = ({"captions": f"sample-world:{world}", "per_concept": 1} for world in ("korean", "general"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the processes started here: with other threads sums come out differently in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make(base_folder: Path, encoder_folder: Path, tmp_path: Path) -> Make:
    def _make(out: str = "run", **changes: Any) -> LoraRecipe:
        values: dict[str, Any] = {
            "kind": "lora", "name": "test", "base": str(base_folder), "text_encoder": str(encoder_folder), "out": str(tmp_path / out), "steps": 6, "batch": 6,
            "learning_rate": 0.01, "resolution_px": 64, "lora": {"rank": 4, "alpha": 2}, "checkpoint_every": 2, "warmup_steps": 0, "precision": "fp32",
            "sources": [KOREAN | {"share": 0.7}, GENERAL | {"share": 0.3}],
            "machine": {"cache": str(tmp_path / "cache")},
        }  # fmt: skip
        return LoraRecipe.model_validate(values | changes)

    return _make


def _start(recipe: LoraRecipe, path: Path, *launcher: str, **environ: str) -> subprocess.Popen[str]:
    path.write_text(to_yaml(recipe), encoding="utf-8")
    command = [sys.executable, *(launcher or ("-m", "kimchi")), "train", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | environ
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=path.parent)


def _finish(process: subprocess.Popen[str]) -> None:
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told


def _adapter(recipe: LoraRecipe) -> dict[str, torch.Tensor]:
    return load_file(Path(recipe.out) / "adapter.safetensors")


def _alike(one: LoraRecipe, other: LoraRecipe, tolerance: float) -> None:
    a, b = _adapter(one), _adapter(other)
    assert a.keys() == b.keys()
    for name in a:
        assert float((a[name] - b[name]).norm()) <= tolerance * max(float(a[name].norm()), 1e-3), name


# As training/launch/accelerate.sh has it. With --cpu it would start one process and say nothing.
TWO = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
    "-m", "kimchi",
)  # fmt: skip


def test_two_processes_give_the_adapter_of_one(make: Make, tmp_path: Path) -> None:
    # Five samples: the processes' shares differ in size.
    alone, together = make("alone", batch=5), make("together", batch=5)
    # As torchrun would start them; accelerate's launcher is in the slow test below.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    team = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [_start(together, tmp_path / f"{rank}.yaml", **team, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]
    train(alone)
    for process in both:
        _finish(process)
    _alike(alone, together, ROUNDING)
    # Two sums of parts are rounded otherwise than the whole: the same bits would mean that one process did all of it.
    assert not all(torch.equal(a, b) for a, b in zip(_adapter(alone).values(), _adapter(together).values(), strict=True))
    losses = [json.loads((Path(r.out) / "losses.json").read_text()) for r in (alone, together)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)
    assert [r.step for r in read_log(Path(together.out))] == [0, 6]


@pytest.mark.slow  # kill -9 and two processes are tested each by itself above and below
def test_a_killed_run_goes_on_with_another_number_of_processes(make: Make, tmp_path: Path) -> None:
    alone, changed = make("alone"), make("changed")
    _finish(_start(alone, tmp_path / "alone.yaml"))

    def kill(progress: Progress) -> None:
        if progress.step == 3:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        train(changed, kill)
    _finish(_start(changed, tmp_path / "changed.yaml", *TWO))
    _alike(alone, changed, ROUNDING)
    assert not all(torch.equal(a, b) for a, b in zip(_adapter(alone).values(), _adapter(changed).values(), strict=True)), "two processes"


def test_kill_9_and_the_same_command_give_the_same_bytes(make: Make, tmp_path: Path) -> None:
    more = {"held_out": {"every": 3, "pictures": 4, "levels": 2}, "samples": {"every": 4, "prompts": ["라면"], "steps": 2}, "ema": 0.9, "steps": 20}
    straight, killed = make("straight", **more), make("killed", **more)
    train(straight)
    process = _start(killed, tmp_path / "killed.yaml")
    log = Path(killed.out) / "log.jsonl"
    while not (log.is_file() and len(log.read_bytes().splitlines()) > 6):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (Path(killed.out) / "card.json").exists()
    train(killed)
    names = ["adapter.safetensors", "losses.json", "samples/step-0000020.png", "samples/step-0000004.png"]
    for name in names:
        assert (Path(straight.out) / name).read_bytes() == (Path(killed.out) / name).read_bytes(), name
    lines = [[(r.step, r.loss, r.learning_rate, r.gradient_norm, r.held_out, r.best) for r in read_log(Path(one.out))] for one in (straight, killed)]
    assert lines[0] == lines[1] and len(lines[0]) > 9


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": [KOREAN | {"share": 0.5}, GENERAL | {"share": 0.5, "learn": "base"}]},
        {"sources": [GENERAL | {"share": 1, "learn": "prior", "weight": 0.5}], "steps": 2},
        {"sources": [KOREAN | {"share": 1}], "loss": {"contrast": 0.3}, "caption_dropout": 0},
        {"text_lora": {"rank": 2, "alpha": 2}},
        {"lora": {"rank": 2, "alpha": 4, "dora": True, "rslora": True}, "loss": {"huber": 0.1, "noise_offset": 0.1}},
        {"optimiser": {"schedule": "linear", "weight_decay": 0}, "machine": {"cache_text": False, "micro_batch": 1}},
        {"machine": {"gradient_checkpointing": "on"}},
        {"precision": "bf16", "text_lora": {"rank": 2, "alpha": 2}, "held_out": {"every": 3, "pictures": 4}, "samples": {"every": 3, "steps": 1}} | FEW,
        # A third of a minute; each of the two by itself is above.
        pytest.param(
            {"precision": "bf16", "lora": {"rank": 2, "alpha": 2, "dora": True, "targets": "all"}, "samples": {"every": 3, "steps": 1}} | FEW,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["base", "prior", "contrast", "text", "dora", "live", "checkpointing", "bf16", "bf16 dora"],
)  # fmt: skip
def test_every_way_of_learning_runs_and_what_it_leaves_is_loaded(make: Make, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a CPU with AMX: one without it computes in fp32 whatever a recipe says.
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    recipe = make(**changes)
    outcome = train(recipe)
    assert outcome.steps == recipe.steps and outcome.final_loss > 0
    assert load_model(recipe.out).hashes["adapter"]
    assert any(float(value.abs().max()) > 0 for name, value in _adapter(recipe).items() if "lora_B" in name or "lora.up" in name)


def test_photographs_of_every_shape_are_trained_on_in_buckets(make: Make, tmp_path: Path) -> None:
    records: list[CaptionedRecord] = []
    for i, size in enumerate([(96, 64), (64, 96), (70, 70), (300, 90), (40, 120), (97, 61)]):
        Image.effect_noise(size, 50).convert("RGB").save(tmp_path / f"{i}.png")
        split = "validation" if i > 3 else "train"
        records.append(CaptionedRecord(id=str(i), path=str(tmp_path / f"{i}.png"), caption_noun="라면", caption_ko=f"라면 {i}", split=split))
    write_records(tmp_path / "captions.jsonl", records)
    sources = [{"captions": str(tmp_path / "captions.jsonl"), "share": 1}]
    recipe = make(sources=sources, batch=3, aspect={"fit": "buckets", "step_px": 16, "crops": 2}, held_out={"every": 3, "pictures": 2, "levels": 2})
    assert train(recipe).steps == 6
    assert len(next(r.held_out for r in read_log(Path(recipe.out)) if r.held_out).losses[tmp_path.name]) == 2


@pytest.mark.parametrize(
    "changes",
    [{"machine": {"micro_batch": 1}}, {"machine": {"micro_batch": 4}}, {"machine": {"cache_text": False}}, {"machine": {"gradient_checkpointing": "on"}}],
)
def test_how_the_work_is_laid_out_changes_nothing_learned(make: Make, changes: dict[str, Any]) -> None:
    plain, other = make("plain"), make("other", **changes)
    train(plain)
    train(other)
    _alike(plain, other, ROUNDING)


def test_lanes_change_nothing_learned_and_the_same_run_is_the_same_bytes(make: Make) -> None:
    # The base's rows switch the adapter off in their lane, while another lane trains it.
    sources = [KOREAN | {"share": 0.6}, GENERAL | {"share": 0.4, "learn": "base"}]
    alone, lanes, again = (make(name, batch=12, sources=sources) for name in ("alone", "lanes", "again"))
    train(alone)
    torch.set_num_threads(3)
    train(lanes)
    train(again)
    _alike(alone, lanes, ROUNDING)
    assert all(torch.equal(a, b) for a, b in zip(_adapter(lanes).values(), _adapter(again).values(), strict=True))


def test_held_out_loss_chooses_and_stops(make: Make) -> None:
    # At this rate nothing gets better for long.
    recipe = make(steps=40, learning_rate=0.5, held_out={"every": 2, "pictures": 6, "levels": 2, "patience": 3})
    outcome = train(recipe)
    card = json.loads((Path(recipe.out) / "card.json").read_text())
    readings = [r for r in read_log(Path(recipe.out)) if r.held_out and r.step]
    best = min(readings, key=lambda r: r.held_out.overall.value if r.held_out else 0)
    assert outcome.steps < 40 and card["best_step"] == best.step
    assert [r.best for r in readings].index(True) == 0 and readings[-1].step == outcome.steps
    assert "finished" in (Path(recipe.out) / "run.html").read_text()


def test_a_loss_that_is_no_number_stops_with_the_records_named(make: Make) -> None:
    recipe = make(learning_rate=1e25, clip_norm=1e25, optimiser={"weight_decay": 0})
    with pytest.raises(TrainingError, match=r"step \d is .* Its batch held .*/\d+"):
        train(recipe)
    assert "failed" in (Path(recipe.out) / "run.html").read_text()


def test_a_disabled_cache_folder_and_an_empty_source_are_told(make: Make, tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text("")
    with pytest.raises((DataError, RecipeError)):
        train(make(sources=[{"captions": str(tmp_path / "captions.jsonl"), "share": 1}]))
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="file"):
        train(make(machine={"cache": str(tmp_path / "file")}))


def test_a_recipe_says_all_it_was_made_with(make: Make) -> None:
    recipe = make(steps=1)
    train(recipe)
    assert yaml.safe_load((Path(recipe.out) / "recipe.yaml").read_text(encoding="utf-8"))["lora"] == recipe.lora.model_dump()
