"""Exports: what is refused, and what is left alone on the disk."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kimchi.data.files import hash_file
from kimchi.errors import ModelError, OutputError, RecipeError
from kimchi.models.export import export
from kimchi.models.load import load_encoder
from kimchi.models.text_encoders.adapted import TextEncoder as Adapted
from kimchi.parts import names
from kimchi.recipes.lora import Lora


@pytest.fixture
def run(made: Callable[[str], Any]) -> Path:
    return made("alpha is not rank, convolutions too").folder


@pytest.fixture
def dora_run(made: Callable[[str], Any]) -> Path:
    return made("DoRA").folder


class TestRefusals:
    @pytest.mark.parametrize("format", ["merged", "kohya"])
    def test_another_encoder_names_both(self, format: str, make_run: Callable[..., Path], tmp_path: Path) -> None:
        run = make_run(Lora(rank=2, alpha=1, dora=True), hashes={"text_encoder": "0123456789abcdef"})
        with pytest.raises(ModelError, match=r"text_encoder 0123456789abcdef.*korean-clip.* here has [0-9a-f]{16}"):
            export(str(run), format, out=tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_an_import_beside_another_encoder_names_both(self, run: Path, base_folder: Path, tmp_path: Path) -> None:
        file = export(str(run), "kohya", out=tmp_path / "kohya").path
        other = base_folder / "text_encoder"
        for path in (base_folder / "tokenizer").iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        for path in other.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        with pytest.raises(ModelError, match=r"trained with text_encoder [0-9a-f]{16}, and .* here has [0-9a-f]{16}"):
            export(str(file), "kimchi", out=tmp_path / "back", base=str(base_folder), text_encoder=str(tmp_path))

    def test_an_encoder_no_stock_class_reads(self, make_run: Callable[..., Path], encoder_folder: Path, tmp_path: Path) -> None:
        Adapted.around(load_encoder(str(encoder_folder))[0], 128, part="clip", source=str(encoder_folder)).save(tmp_path / "adapted")
        run = make_run(Lora(rank=2), text_encoder=str(tmp_path / "adapted"))
        with pytest.raises(ModelError, match="no class of transformers or diffusers reads"):
            export(str(run), "merged", out=tmp_path / "out")

    def test_formats_are_listed(self, run: Path, tmp_path: Path) -> None:
        assert names("kimchi.models.export") == ["backendai", "diffusers", "kimchi", "kohya", "merged"]
        with pytest.raises(RecipeError, match="diffusers, kimchi, kohya, merged"):
            export(str(run), "onnx", out=tmp_path / "out")

    @pytest.mark.parametrize(
        ("format", "options", "told"),
        [
            ("kohya", {"dtype": "int8"}, "fp16, fp32"),
            ("kohya", {"base": "mini-base"}, "--format kimchi"),
            ("kimchi", {"base": "mini-base"}, "--text-encoder"),
            ("kimchi", {"base": "mini-base", "text_encoder": "mini-aligned-clip"}, "no .safetensors file"),
        ],
    )
    def test_options_that_would_be_ignored(self, format: str, options: dict[str, str], told: str, run: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=told):
            export(str(run), format, out=tmp_path / "out", **options)

    def test_what_is_no_run(self, base_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="kimchi train"):
            export(str(base_folder), "kohya", out=tmp_path / "out")

    def test_an_adapter_that_is_not_its_card_s(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "card.json").write_bytes((run / "card.json").read_bytes())
        (tmp_path / "adapter.safetensors").write_bytes((run / "adapter.safetensors").read_bytes()[:-8])
        with pytest.raises(ModelError, match=r"card\.json was written for"):
            export(str(tmp_path), "kohya", out=tmp_path / "out")

    @pytest.mark.parametrize("break_it", ["cut", "loha", "half", "shape", "dora over inputs"])
    def test_files_that_are_no_lora_for_this_base(
        self, break_it: str, made: Callable[[str], Any], base_folder: Path, encoder_folder: Path, tmp_path: Path
    ) -> None:
        found, path = load_file(made("DoRA").kohya), tmp_path / "theirs.safetensors"
        key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_ff_net_0_proj"
        if break_it == "loha":
            found[f"{key}.hada_w1_a"] = torch.ones(2, 2)
        if break_it == "half":
            del found[f"{key}.lora_up.weight"]
        if break_it == "shape":
            found[f"{key}.lora_down.weight"] = torch.ones(4, 7)
        if break_it == "dora over inputs":
            found[f"{key}.dora_scale"] = torch.ones(1, 32)
        save_file(found, path)
        if break_it == "cut":
            path.write_bytes(path.read_bytes()[:5000])
        told = {"cut": "cannot be read", "loha": "hada_w1_a", "half": "lacks", "shape": "layer here", "dora over inputs": "over inputs"}[break_it]
        with pytest.raises(ModelError, match=told):
            export(str(path), "kimchi", out=tmp_path / "back", base=str(base_folder), text_encoder=str(encoder_folder))


class TestPlaces:
    def test_an_earlier_export_is_replaced_and_told(self, run: Path, tmp_path: Path) -> None:
        heard: list[str] = []
        for _ in range(2):
            export(str(run), "kohya", out=tmp_path / "out", say=heard.append)
        assert heard == [f"{tmp_path / 'out'}: an earlier export of the same adapter is replaced."]
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        said = json.loads((tmp_path / "out" / "card.json").read_text())
        assert sorted(said["export"]["files"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
        assert said["sha256"]["라면-lora.safetensors"] == hash_file(tmp_path / "out" / "라면-lora.safetensors")

    @pytest.mark.parametrize("there", ["a file", "another folder", "another run", "another format", "a file of the user's"])
    def test_nothing_else_is_overwritten(self, there: str, run: Path, dora_run: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        if there == "a file":
            out.write_text("mine")
        if there == "another folder":
            (out / "thesis").mkdir(parents=True)
            (out / "thesis" / "chapter.md").write_text("mine")
        if there == "another run":
            export(str(dora_run), "kohya", out=out)
        if there in ("another format", "a file of the user's"):
            export(str(run), "diffusers" if there == "another format" else "kohya", out=out)
        if there == "a file of the user's":
            (out / "notes.txt").write_text("mine")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(OutputError, match="--out"):
            export(str(run), "kohya", out=out)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    @pytest.mark.parametrize("format", ["kohya", "merged"])
    def test_a_disk_that_fills_up_leaves_the_earlier_export(self, format: str, run: Path, tmp_path: Path) -> None:
        export(str(run), format, out=tmp_path / "out")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No file of this process may grow beyond 20 kB, as on a disk with so much room.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"out.*cannot be written"):
                export(str(run), format, out=tmp_path / "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_card_names_no_place_outside(self, make_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert str(export(str(make_run(Lora(rank=2), name="../../x")), "kohya").path) == "exports/x-kohya/x.safetensors"
