"""The command line: what it prints where, and how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import kimchi
from kimchi import doctor, quickstart, recipes
from kimchi.cli import main, show
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.errors import PromptError
from kimchi.training import run
from kimchi.training.loop import Progress

COMMANDS = ["quickstart", "prepare", "align", "plan", "train", "generate", "export", "score", "doctor", "recipes list", "recipes copy"]
COMMANDS += ["serve", "serve keys", *(f"serve keys {verb}" for verb in ("add", "list", "revoke"))]
COMMANDS += ["study", *(f"study {verb}" for verb in ("draw", "new", "lock", "serve", "status", "analyse", "power", "purge"))]
SHIPPED = {recipes.load_recipe(name).kind: name for name in recipes.list_recipes()}


def last_json(out: str) -> Any:
    return json.loads(out.splitlines()[-1])


class TestEndings:
    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"kimchi {kimchi.__version__}\n"

    @pytest.mark.parametrize("command", ["", *COMMANDS])
    def test_help_fits_a_terminal(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([*command.split(), "--help"]) == 0
        out = capsys.readouterr().out
        assert "Usage: kimchi" in out
        assert max(map(len, out.splitlines())) <= 80

    def test_the_list_of_commands_cuts_no_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        main(["--help"])
        assert "..." not in capsys.readouterr().out.split("Commands:")[1]

    @pytest.mark.parametrize("line", ["", "cook", "train", "train x --fast", "generate", "generate x --count 0", "generate x --seed red", "recipes"])
    def test_wrong_usage_is_2(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(line.split()) == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err

    def test_a_kimchi_error_is_1_and_one_paragraph_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["train", "no_such_recipe", "--json"]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("RecipeError: no_such_recipe: ")
        assert captured.err.count("\n") == 1

    def test_a_bug_shows_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> list[str]:
            raise ZeroDivisionError

        monkeypatch.setattr(recipes, "list_recipes", broken)
        with pytest.raises(ZeroDivisionError):
            main(["recipes", "list"])

    def test_interrupted_is_130(self) -> None:
        # A job started in the background inherits SIGINT ignored, and Python then leaves it so.
        code = "import kimchi.recipes, signal, time, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code += "kimchi.recipes.list_recipes = lambda: print('here', flush=True) or time.sleep(60); "
        code += "from kimchi.cli import main; sys.exit(main(['recipes', 'list']))"
        running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout and running.stdout.readline() == "here\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "Traceback" not in err

    def test_python_dash_m(self, tmp_path: Path) -> None:
        done = subprocess.run([sys.executable, "-m", "kimchi", "train", "nothing"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")


class TestRecipes:
    def test_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["recipes", "list", "--json"]) == 0
        captured = capsys.readouterr()
        assert list(last_json(captured.out)["recipes"]) == recipes.list_recipes()
        assert captured.out.count("\n") == len(recipes.list_recipes()) + 1
        assert captured.err == "Next: kimchi recipes copy NAME\n"

    def test_copy_names_the_command_that_runs_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        name = recipes.list_recipes()[0]
        assert main(["recipes", "copy", name, "mine.yaml"]) == 0
        command = {"prepare": "prepare", "align": "align", "score": "score", "study": "study new"}.get(recipes.load_recipe(name).kind, "train")
        assert capsys.readouterr().err == f"Next: edit it, then: kimchi {command} mine.yaml\n"
        assert main(["recipes", "copy", name, "mine.yaml"]) == 1

    @pytest.mark.parametrize("name", recipes.list_recipes())
    def test_every_shipped_recipe_dry_runs(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        command = {"prepare": "prepare", "align": "align", "score": "score", "study": "study new"}.get(recipes.load_recipe(name).kind, "train")
        assert main([*command.split(), name, "--dry-run", "--json", "--set", "name=김치"]) == 0
        captured = capsys.readouterr()
        *text, line = captured.out.splitlines()
        (tmp_path / "again.yaml").write_text("\n".join(text), encoding="utf-8")
        assert json.loads(line)["recipe"]["name"] == "김치"
        assert recipes.load_recipe("again.yaml").model_dump(mode="json") == json.loads(line)["recipe"]
        assert captured.err.startswith(f"Next: kimchi {command} {name}")
        assert [path.name for path in tmp_path.iterdir()] == ["again.yaml"], "a dry run writes nothing"

    def test_the_wrong_command_for_a_recipe(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["prepare", SHIPPED["mini"]]) == 1
        assert "this command runs prepare" in capsys.readouterr().err


class TestStages:
    def test_prepare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        write_delivery(tmp_path / "배달" / "kfood.zip", ["ramyeon"], per_concept=2, seed=1)
        assert main(["prepare", SHIPPED["prepare"], "--set", "source=배달/kfood.zip", "--set", "out=here", "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.out.splitlines()[0] == "here/captions.jsonl"
        outcome = last_json(captured.out)
        assert (outcome["folder"], outcome["kept"], outcome["dropped"]) == ("here", 2, 2)
        assert captured.err.splitlines()[-1].startswith("Next: kimchi train ")

    @pytest.mark.parametrize(("kind", "following"), [("lora", "kimchi generate --model runs/x '한국의 라면을 그려줘'"), ("mini", "kimchi doctor")])
    def test_train(self, kind: str, following: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def fake(recipe: Any, watch: Any, report: Any) -> run.TrainOutcome:
            """Stands for minutes of training, which its own tests do."""
            report("caching", 1, 2)
            watch(Progress(step=3, steps=recipe.steps, loss=0.25, seconds=1.0))
            return run.TrainOutcome(folder=Path("runs/x"), steps=recipe.steps, final_loss=0.25, seconds=1.5)

        monkeypatch.setattr(run, "train", fake)
        # One whose parts are all here: a recipe that cannot train is refused before that.
        recipe = "training/mini_ko_first.yaml" if kind == "lora" else SHIPPED[kind]
        assert main(["train", recipe, "--set", "steps=3", "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.out == 'runs/x\n{"folder": "runs/x", "steps": 3, "final_loss": 0.25, "seconds": 1.5}\n'
        assert captured.err == f"3 steps, loss 0.2500, 2 s.\nNext: {following}\n"

    def test_quickstart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        share = {"count": 9, "n": 10, "share": 0.9, "low": 0.6, "high": 0.98}

        def fake(folder: Path, report: Any, say: Any) -> quickstart.QuickstartOutcome:
            """Stands for the chain, which its own tests run."""
            report("scoring", 1, 4)
            scores = {arm: {"rich": share, "noun": share} for arm in quickstart.ARMS} | {"trained_minus_swap": {}}
            return quickstart.QuickstartOutcome(report=folder / "report.html", seconds=1.0, scores=scores, folder=folder)

        monkeypatch.setattr(quickstart, "quickstart", fake)
        assert main(["quickstart", "my", "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.out.splitlines()[0] == "my/report.html"
        assert last_json(captured.out)["scores"]["trained"]["rich"] == share
        assert "  trained  rich  90% (60% to 98%)   noun  90% (60% to 98%)\n" in captured.err
        assert captured.err.splitlines()[-1].startswith("Next: open my/report.html in a browser")


class TestBars:
    def test_a_log_gets_a_line_now_and_then(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        with show.Bars() as bars:
            bars.report("read", 1, 9)
            monkeypatch.setattr(show.Bars, "QUIET_SECONDS", -1)
            bars.watch(Progress(step=3, steps=9, loss=0.5, seconds=1))
        assert capsys.readouterr() == ("", "training 3/9 loss 0.5000\n")

    def test_a_terminal_gets_a_bar_a_stage(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        with show.Bars() as bars:
            bars.report("caption [김치]", 4, 9)
            bars.watch(Progress(step=3, steps=9, loss=0.5, seconds=1))
        out, err = capsys.readouterr()
        assert out == ""
        assert "caption [김치]" in err
        assert "4/9" in err
        assert "training loss 0.5000" in err


@dataclass
class FakePicture:
    """A picture that is an empty file: how one is drawn and written is tested where it is done."""

    provenance: dict[str, Any]

    def save(self, path: Path) -> Path:
        path.write_bytes(b"")
        return path


@dataclass
class FakePainter:
    """Stands for a loaded Kimchi and notes what it was asked: these tests are about the command, not about drawing."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def load(self, model: str, on_notice: Any) -> "FakePainter":
        self.calls.append({"model": model})
        return self

    def generate(self, prompts: Sequence[str], **settings: Any) -> list[FakePicture]:
        if "" in prompts:
            raise PromptError("'': names nothing to draw.")
        self.calls.append({"prompts": list(prompts), **settings})
        return [FakePicture({"prompt": prompt, "seed": settings["seed"] + i}) for i, prompt in enumerate(prompts)]


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePainter:
    fake = FakePainter()
    monkeypatch.setattr(kimchi, "Kimchi", fake, raising=False)
    monkeypatch.chdir(tmp_path)
    return fake


class TestGenerate:
    def test_pictures_seeds_and_paths(self, painter: FakePainter, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["generate", "한국의 라면을 그려줘", "a red dress", "--count", "5", "--seed", "7", "--steps", "3", "--json"]) == 0
        outcome = last_json(out := capsys.readouterr().out)
        assert painter.calls[0] == {"model": "mini"}
        assert [(len(call["prompts"]), call["seed"]) for call in painter.calls[1:]] == [(8, 7), (2, 15)]
        assert painter.calls[1] == {"prompts": ["한국의 라면을 그려줘"] * 5 + ["a red dress"] * 3, "seed": 7, "steps": 3, "negative": ""}
        assert outcome["pictures"] == out.splitlines()[:-1]
        assert outcome["pictures"][0] == "pictures/한국의-라면을-그려줘-7.png"
        assert outcome["pictures"][-1] == "pictures/a-red-dress-16.png"
        assert (outcome["count"], outcome["seed"]) == (10, 7)
        assert all(Path(path).is_file() for path in outcome["pictures"])

    def test_nothing_is_overwritten(self, painter: FakePainter, capsys: pytest.CaptureFixture[str]) -> None:
        for _ in range(3):
            assert main(["generate", "김치", "--seed", "1"]) == 0
        assert capsys.readouterr().out.split() == ["pictures/김치-1.png", "pictures/김치-1-2.png", "pictures/김치-1-3.png"]

    def test_without_a_seed_one_is_drawn_and_told(self, painter: FakePainter, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["generate", "김치", "--json"]) == 0
        assert last_json(capsys.readouterr().out)["seed"] == painter.calls[1]["seed"]

    def test_an_empty_prompt(self, painter: FakePainter, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["generate", ""]) == 1
        assert capsys.readouterr().err.startswith("PromptError: ")

    def test_an_unwritable_folder_is_found_before_the_model_is_loaded(self, painter: FakePainter, capsys: pytest.CaptureFixture[str]) -> None:
        Path("taken").write_text("")
        assert main(["generate", "김치", "--out", "taken"]) == 1
        assert "Name another folder with --out" in capsys.readouterr().err
        assert painter.calls == []

    @pytest.mark.parametrize(("prompt", "name"), [("🍜", "picture-3.png"), ("../../etc/passwd", "etc-passwd-3.png"), ("김치", "김치-3.png")])
    def test_names_are_safe_and_nfc(self, tmp_path: Path, prompt: str, name: str) -> None:
        assert show.free_name(tmp_path, prompt, 3).name == name

    def test_long_names_fit_a_file_system(self, tmp_path: Path) -> None:
        name = show.free_name(tmp_path, "한국의 라면 " * 300, 2**32 - 1).name
        assert len(name.encode()) < 200


class TestExport:
    def test_paths_notices_and_the_next_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["export", "mini", "--format", "kohya", "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.out.splitlines()[0] == "exports/mini-ko-kohya/mini-ko.safetensors"
        outcome = last_json(captured.out)
        assert (outcome["folder"], outcome["format"], outcome["pushed"]) == ("exports/mini-ko-kohya", "kohya", "")
        assert outcome["bytes"] == sum(path.stat().st_size for path in Path("exports/mini-ko-kohya").iterdir())
        assert "Korean prompts need KIMCHI or the merged folder" in captured.err
        assert captured.err.splitlines()[-1].startswith("Next: read exports/mini-ko-kohya/README.md, and put the file into models/loras of ComfyUI")

    def test_a_format_is_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "mini"]) == 2
        assert "--format" in capsys.readouterr().err

    @pytest.mark.parametrize("line", ["mini-base --format kohya", "mini --format onnx", "mini --format kohya --dtype int4", "mini --format kohya --push me"])
    def test_what_cannot_be_exported_is_one_paragraph(
        self, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["export", *line.split()]) == 1
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


class TestDoctor:
    def test_says_what_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--json"]) == 0
        captured = capsys.readouterr()
        found = last_json(captured.out)
        assert found["cores"] >= 1
        assert [part["name"] for part in found["weights"]] == list(doctor.SUITE)
        assert found["packages"]["torch"]
        assert captured.err == f"Next: {found['next_step']}\n"

    @pytest.mark.parametrize(
        ("card", "state"),
        [
            (None, "unverified"),
            ('{"sha256": {"model.safetensors": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}', "complete"),
            ('{"sha256": {"model.safetensors": "00"}}', "corrupted: model.safetensors"),
            ('{"sha256": {"gone.safetensors": "00"}}', "corrupted: gone.safetensors"),
            ("{", "corrupted: card.json"),
            ("[]", "corrupted: card.json"),
        ],
    )
    def test_weights_are_held_against_their_card(self, tmp_path: Path, card: str | None, state: str) -> None:
        part = tmp_path / "mini-base" / "vae"
        part.mkdir(parents=True)
        (part / "model.safetensors").write_bytes(b"test")
        if card is not None:
            (part / "card.json").write_text(card)
        assert doctor.check_weights(tmp_path / "mini-base").state == state

    def test_half_made_weights_do_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "mini-ko" / "checkpoints").mkdir(parents=True)
        (tmp_path / "mini-ko" / "checkpoints" / "step.safetensors").write_bytes(b"x")
        assert doctor.check_weights(tmp_path / "mini-ko").state == "missing"

    @pytest.mark.parametrize(("gpu_gib", "verdict"), [(10.7, "yes"), (80, "yes"), (6, "hardly: it wants about 11 GB on the GPU, and there are 6")])
    def test_judges_a_gpu(self, gpu_gib: float, verdict: str) -> None:
        said = doctor.judge(16, doctor.Gpu(name="GPU", memory_gib=gpu_gib), (), True)
        assert said["Stable Diffusion 1.5, training"] == verdict


class TestJson:
    def test_what_is_no_data_is_a_bug(self) -> None:
        with pytest.raises(TypeError):
            show.finish({"x": object()}, [], "", as_json=True)

    def test_paths_and_numbers(self, capsys: pytest.CaptureFixture[str]) -> None:
        import numpy as np

        show.finish({"a": (Path("b"), np.float32(0.5))}, ["data"], "go on", as_json=True)
        assert capsys.readouterr() == ('data\n{"a": ["b", 0.5]}\n', "Next: go on\n")
