"""A delivery becomes captions: complete, resumable, and split so that no scene stands on two sides."""

import io
import itertools
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kimchi import recipes
from kimchi.data.jsonl import read_records
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.errors import DataError, OutputError, RecipeError
from kimchi.pipelines import groups, run
from kimchi.pipelines.groups import Groups
from kimchi.pipelines.reading import split_of
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe
from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord


def recipe(source: Path, out: Path, **changes: object) -> PrepareRecipe:
    return PrepareRecipe.model_validate({"kind": "prepare", "name": "t", "reader": "aihub_food", "source": str(source), "out": str(out), **changes})


def photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((120, 120), Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image, quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    path.write_bytes(file.getvalue())


def captions(folder: Path) -> list[CaptionedRecord]:
    return list(read_records(folder / "captions.jsonl", CaptionedRecord))


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("delivery") / "kfood.zip"
    write_delivery(path, ["ramyeon", "baechu_kimchi", "gimbap"], 20, seed=0)
    return path


def test_a_delivery_becomes_captions(delivery: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    outcome = prepare(recipe(delivery, tmp_path / "run"), lambda *step: told.append(step))
    assert (outcome.kept, outcome.dropped, outcome.folder) == (60, 2, tmp_path / "run")
    records = captions(outcome.folder)
    assert {r.caption_noun for r in records} == {"라면", "배추김치", "김밥"}
    assert all(r.caption_noun in r.caption_ko and r.caption_en and r.caption_romanised and r.group for r in records)
    assert all(r.made_by.part == "refiner:template" and r.made_by.recipe_hash for r in records)
    assert len(list(read_records(outcome.folder / "captions.dropped.jsonl", DroppedRecord))) == 2
    assert told[61] == ("read", 62, 62) and ("describe", 60, 60) in told and told[-1] == ("caption", 60, 60)
    manifest = json.loads((outcome.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["kept"] == 60 and sum(manifest["splits"].values()) == 60 and "no AIHub data" in manifest["credit"]


def test_about_half_of_the_rich_captions_begin_with_the_noun(delivery: Path, tmp_path: Path) -> None:
    records = captions(prepare(recipe(delivery, tmp_path / "run")).folder)
    first = sum(r.caption_ko.startswith(r.caption_noun) for r in records)
    assert 15 <= first <= 45 and len({r.caption_ko for r in records}) >= 15


def test_the_same_command_again_does_nothing_and_a_change_does_it_all(delivery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(recipe(delivery, tmp_path / "run"))
    kept_bytes = (first.folder / "captions.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(run, "_work", lambda *_: pytest.fail("something was done again"))
        again = prepare(recipe(delivery, tmp_path / "run"))
    assert (again.kept, again.dropped) == (first.kept, first.dropped)
    changed = prepare(recipe(delivery, tmp_path / "run", test_share=0.9))
    assert sum(r.split == "test" for r in captions(changed.folder)) > 40
    prepare(recipe(delivery, tmp_path / "run"))
    assert (first.folder / "captions.jsonl").read_bytes() == kept_bytes


@pytest.mark.parametrize(
    "name", ["records.jsonl", "records.dropped.jsonl", "records.json", "drafts.jsonl", "captions.jsonl", "captions.dropped.jsonl", "manifest.json"]
)
def test_a_run_killed_before_any_file_goes_on(delivery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    whole = (prepare(recipe(delivery, tmp_path / "whole")).folder / "captions.jsonl").read_bytes()
    job = recipe(delivery, tmp_path / "run")
    prepare(recipe(delivery, tmp_path / "run", test_share=0.5, min_side_px=65))  # an older run of another recipe stands there
    write, dump = run.write_records, run.write_json

    def stop_at(path: Path, content: object, go_on: object) -> object:
        if path.name == name:
            raise KeyboardInterrupt
        return go_on(path, content)  # type: ignore[operator]

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_records", lambda path, records: stop_at(path, records, write))
        patch.setattr(run, "write_json", lambda path, value: stop_at(path, value, dump))
        with pytest.raises(KeyboardInterrupt):
            prepare(job)
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert (prepare(job).folder / "captions.jsonl").read_bytes() == whole


def test_the_split_is_stable_when_data_is_added(tmp_path: Path) -> None:
    for i in range(60):
        save(tmp_path / "d" / "국" / "무국" / f"{i}.jpg", photo(i))
    before = {r.id: r.split for r in captions(prepare(recipe(tmp_path / "d", tmp_path / "run", validation_share=0.2, test_share=0.2)).folder)}
    for i in range(60, 120):
        save(tmp_path / "d" / "국" / "가국" / f"{i}.jpg", photo(i))
        save(tmp_path / "d" / "국" / "무국" / f"{i + 100}.jpg", photo(i + 100))
    after = {r.id: r.split for r in captions(prepare(recipe(tmp_path / "d", tmp_path / "run", validation_share=0.2, test_share=0.2)).folder)}
    assert len(after) == 180 and set(before.values()) == {"train", "validation", "test"}
    assert {identity: after[identity] for identity in before} == before


def test_shots_of_one_plate_stay_together(tmp_path: Path) -> None:
    for i in range(40):
        for j, quality in enumerate((95, 70, 45)):
            save(tmp_path / "d" / "국" / "무국" / f"{i}_{j}.jpg", photo(i), quality)
    records = captions(prepare(recipe(tmp_path / "d", tmp_path / "run", validation_share=0.3, test_share=0.3)).folder)
    groups_by_plate = [{r.group for r in records if Path(r.path).name.startswith(f"{i}_")} for i in range(40)]
    assert len(records) == 120 and all(len(found) == 1 for found in groups_by_plate)
    assert len({r.group for r in records}) == 40
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.group, set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())


def image(identity: int, value: int) -> ImageRecord:
    # The highest bit is set in all: a hash of zeros is no hash.
    return ImageRecord(id=f"{identity:016x}", path="x", labels=("a",), dhash=f"{1 << 255 | value:064x}")


@settings(deadline=None)  # other work may share the cores
@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(4, 400))
def test_groups_are_what_comparing_all_pairs_gives(shifts: list[int], rng: object, block_words: int) -> None:
    """Chains link, the order of reading does not matter, and neither does the size of a block."""
    values = [(1 << shift) - 1 for shift in shifts]  # distance is the difference of the shifts
    records = [image(i, value) for i, value in enumerate(values)]
    rng.shuffle(records)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_BLOCK_WORDS", block_words)
        grouped = Groups()
        assert list(grouped.note(iter(records))) == records
        found = grouped.settle()
    ordered = sorted(range(len(shifts)), key=lambda i: shifts[i])
    for a, b in itertools.pairwise(ordered):
        together = found[f"{a:016x}"] == found[f"{b:016x}"]
        assert together == (shifts[b] - shifts[a] <= groups.NEAR_BITS)


def test_records_without_a_hash_or_of_other_labels_are_alone() -> None:
    records = [
        ImageRecord(id=f"{i:016x}", path="x", labels=(label,), dhash=dhash)
        for i, (label, dhash) in enumerate([("l", ""), ("l", ""), ("a", "1" * 64), ("b", "1" * 64)])
    ]
    grouped = Groups()
    list(grouped.note(iter(records)))
    found = grouped.settle()
    assert found.count == 4 and all(found[r.id] == r.id for r in records)


def test_among_very_many_the_same_groups_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    plates = rng.integers(0, 256, (200, 32), dtype=np.uint8)
    shots = np.repeat(plates, 3, axis=0)
    for k, shot in enumerate(shots):
        for bit in rng.integers(0, 256, k % 3 * 2):  # up to four bits from its plate, so at most eight between two shots
            shot[bit // 8] ^= 1 << bit % 8
    records = [ImageRecord(id=f"{i:016x}", path="x", labels=("a",), dhash=shot.tobytes().hex()) for i, shot in enumerate(shots)]
    exact, quick = Groups(), Groups()
    list(exact.note(iter(records))), list(quick.note(iter(records)))
    expected = exact.settle()
    monkeypatch.setattr(groups, "EXACT_COUNT", 10)
    found = quick.settle()
    assert expected.count == found.count == 200 and all(expected[r.id] == found[r.id] for r in records)


def test_shares_of_the_split_are_about_as_asked(tmp_path: Path) -> None:
    job = recipe(tmp_path, tmp_path, validation_share=0.1, test_share=0.2)
    splits = [split_of(str(i), job) for i in range(5000)]
    assert abs(splits.count("test") / 5000 - 0.2) < 0.02 and abs(splits.count("validation") / 5000 - 0.1) < 0.02


def test_errors_say_what_to_do(delivery: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--set source="):
        prepare(recipe(tmp_path / "none.zip", tmp_path / "run"))
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        prepare(recipe(delivery, tmp_path / "run", test_share=0.6, validation_share=0.4))
    with pytest.raises(RecipeError, match="none"):
        prepare(recipe(delivery, tmp_path / "run", captioner="nine"))
    with pytest.raises(RecipeError, match="template"):
        prepare(recipe(delivery, tmp_path / "run", refiner={"part": "tempalte"}))
    with pytest.raises(RecipeError, match="ko"):
        prepare(recipe(delivery, tmp_path / "run", culture="kr"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be"):
        prepare(recipe(delivery, tmp_path / "file" / "run"))


def test_a_delivery_with_nothing_usable_leaves_the_reasons_and_no_captions(tmp_path: Path) -> None:
    (tmp_path / "d" / "국" / "무국").mkdir(parents=True)
    (tmp_path / "d" / "국" / "무국" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match="nothing in it can be used, mostly: "):
        prepare(recipe(tmp_path / "d", tmp_path / "run"))
    assert not (tmp_path / "run" / "captions.jsonl").exists() and not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("path", sorted((recipes.HOME / "pipelines").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_prepare_a_delivery(path: Path, delivery: Path, tmp_path: Path) -> None:
    # Without what the full-size ones fetch: models, the embedder, and the tokenizer of the encoder that will read the captions.
    small = ("reader=aihub_food", "captioner=none", "refiner=template", "embedder=", "flag=[]", "text_encoder=mini-korean-clip")
    job = recipes.load_recipe(str(path), (f"source={delivery}", f"out={tmp_path / 'run'}", *small), kind="prepare")
    assert prepare(job).kept == 60


@pytest.mark.parametrize(
    ("said", "sentence"),
    [("it wrote nothing", "it wrote nothing."), ("too long.\n", "too long."), ("흐리다", "흐리다."), ("ぼやけている。", "ぼやけている。"), ("why?", "why?")],
)
def test_a_reason_is_a_sentence_whoever_wrote_it(said: str, sentence: str) -> None:
    assert run._ended(said) == sentence


def test_captions_that_came_without_a_label_stay_as_they_are(tmp_path: Path) -> None:
    for i, words in enumerate(("골목에 핀 능소화", "")):
        save(tmp_path / "d" / f"{i}.jpg", photo(i))
        (tmp_path / "d" / f"{i}.txt").write_text(words, encoding="utf-8")
    outcome = prepare(recipe(tmp_path / "d", tmp_path / "run", reader="folder"))
    [record] = captions(outcome.folder)
    assert (record.caption_ko, record.caption_noun, record.made_by.part) == ("골목에 핀 능소화", "골목에 핀 능소화", "source")
    assert outcome.dropped == 1


def test_faces_are_flagged_for_a_person_to_look_at(tmp_path: Path) -> None:
    place = tmp_path / "d" / "한복" / "한복"
    place.mkdir(parents=True)
    with resources.files("matplotlib").joinpath("mpl-data/sample_data/grace_hopper.jpg").open("rb") as file:
        (place / "1.jpg").write_bytes(file.read())
    save(place / "2.jpg", photo(2))
    outcome = prepare(recipe(tmp_path / "d", tmp_path / "run", flag=["face"]))
    assert [r.flags for r in read_records(outcome.folder / "records.jsonl", ImageRecord)] == [("face",), ()]


def test_pictures_that_look_alike_to_a_vision_model_stay_together() -> None:
    looks = ["f" * 64, "f" * 63 + "0", "0f" * 32]  # four bits apart, and half of them
    records = [ImageRecord(id=f"{i:016x}", path="x", labels=("a",), dhash=f"{i + 1}" * 64, looks=one) for i, one in enumerate(looks)]
    grouped = Groups()
    list(grouped.note(iter(records)))
    found = grouped.settle()
    assert found[records[0].id] == found[records[1].id] != found[records[2].id]


def test_an_embedder_notes_what_pictures_look_like(delivery: Path, tmp_path: Path) -> None:
    import torch
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    CLIPVisionModel(
        CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
    ).save_pretrained(tmp_path / "v")
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path / "v")
    outcome = prepare(recipe(delivery, tmp_path / "run", embedder=str(tmp_path / "v")))
    assert all(len(r.looks) == 64 for r in read_records(outcome.folder / "records.jsonl", ImageRecord))
