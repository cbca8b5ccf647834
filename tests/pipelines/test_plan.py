"""`kimchi plan`: its numbers are those of the run, it asks nobody, and what it does not know it says."""

import json
from pathlib import Path
from typing import Any

import pytest

from kimchi import recipes
from kimchi.cli import main
from kimchi.models.places import weights_folder
from kimchi.pipelines.plan import PreparePlan, describe, plan
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe, load_recipe

MINI = {"part": "llava", "model": "mini"}
needs_mini_llava = pytest.mark.skipif(not (weights_folder() / "mini-llava" / "model.safetensors").is_file(), reason="needs mini-llava: make mini")


def recipe(source: Path, out: Path, **changes: Any) -> PrepareRecipe:
    return PrepareRecipe.model_validate({"kind": "prepare", "name": "t", "reader": "aihub_food", "source": str(source), "out": str(out), **changes})


def planned(job: PrepareRecipe, *, measure: bool = False) -> PreparePlan:
    return plan(job, measure=measure)


def test_before_the_run_the_directories_are_counted_and_nothing_is_written(delivery: Path, tmp_path: Path) -> None:
    found = planned(recipe(delivery, tmp_path / "run"))
    assert (found.pictures, found.counted) == (14, "the delivery's directories")  # two of them cannot be decoded
    assert (found.captioner.requests, found.refiner.requests) == (14, 14)
    assert found.captioner.tokens_in is None and found.refiner.tokens_out == 0 and not found.speeds
    assert not (tmp_path / "run").exists()


def test_what_is_answered_is_not_asked_again(delivery: Path, tmp_path: Path) -> None:
    job = recipe(delivery, tmp_path / "run")
    prepare(job)
    done = planned(job)
    assert (done.pictures, done.counted, done.captioner.requests, done.refiner.requests) == (12, "records.jsonl", 0, 0)
    seed = planned(recipe(delivery, tmp_path / "run", refiner={"part": "template", "seed": 1}))
    assert (seed.captioner.requests, seed.refiner.requests) == (0, 12)
    assert prepare(recipe(delivery, tmp_path / "run", refiner={"part": "template", "seed": 1})).asked == 12
    (tmp_path / "run" / "answers.sqlite").unlink()
    assert planned(job).captioner.requests == 12


def test_an_endpoint_is_priced_and_not_spoken_to(delivery: Path, tmp_path: Path) -> None:
    endpoint = {"endpoint": "https://models.invalid/v1", "max_new_tokens": 10}
    job = recipe(delivery, tmp_path / "run", captioner={"part": "llava", **endpoint}, refiner={"part": "llama", "data_may_leave": True, **endpoint})
    found = planned(job)
    of = found.captioner
    assert (of.model, of.picture_tokens, of.tokens_out, of.endpoint) == ("llava-hf/llava-1.5-7b-hf", 576, 140, "models.invalid")
    assert of.tokens_in is not None and 576 * 14 < of.tokens_in < 700 * 14 and of.counted_by.startswith("estimate")
    assert of.bytes_leaving > 14 * 10_000 and found.refiner.bytes_leaving > 14 * 500
    assert found.refiner.tokens_in is not None and found.refiner.tokens_in > 14 * 200
    assert [speed.per_second for speed in found.speeds] == [None, None]
    lines = "\n".join(describe(found))
    assert "not measured; measure with: python tests/benchmarks/captioning.py" in lines
    assert "data_may_leave: true, and it does not" in lines and "data_may_leave: true, as it does" in lines


def test_a_model_that_is_not_here_is_a_note(delivery: Path, tmp_path: Path) -> None:
    prepare(recipe(delivery, tmp_path / "run"))
    found = planned(recipe(delivery, tmp_path / "run", captioner={"part": "llava", "model": "someone/else"}))
    assert found.captioner.requests == 12 and found.captioner.picture_tokens is None
    assert len(found.notes) == 2 and all("someone/else" in note for note in found.notes)


@needs_mini_llava
def test_the_miniature_is_counted_and_measured(delivery: Path, tmp_path: Path) -> None:
    found = planned(recipe(delivery, tmp_path / "run", captioner=MINI), measure=True)
    assert found.captioner.picture_tokens == 64 and found.captioner.counted_by == "the model's tokenizer"
    assert found.captioner.tokens_in is not None and found.captioner.tokens_in > 14 * 64
    measured = found.speeds[-1]
    assert measured.per_second and measured.hours and measured.stage == "captioner" and "8 pictures" in measured.source
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in recipes.list_recipes() if load_recipe(name).kind == "prepare"])
def test_every_shipped_recipe_has_a_plan(name: str, delivery: Path, tmp_path: Path) -> None:
    changes = (f"source={delivery}", f"out={tmp_path / 'run'}", "reader=aihub_food")
    found = plan(load_recipe(name, changes, kind="prepare"))
    assert (found.kind, found.pictures) == ("prepare", 14) and all(describe(found))


def test_the_command(delivery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", f"source={delivery}", "--set", f"out={tmp_path / 'run'}", "--set", "captioner=none", "--set", "refiner=template"]
    assert main(["plan", "pipelines/mini_food.yaml", *changes, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "14 pictures, by the delivery's directories"
    assert json.loads(captured.out.splitlines()[-1])["refiner"]["requests"] == 14
    assert captured.err == "Next: kimchi prepare pipelines/mini_food.yaml\n"
    assert main(["plan", "pipelines/mini_food.yaml", "--set", f"source={tmp_path / 'gone.zip'}", "--set", f"out={tmp_path / 'run'}"]) == 1
    assert "DataError" in capsys.readouterr().err
