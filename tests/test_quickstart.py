"""The quickstart on tiny random weights: the whole chain, its report, and going on after an interruption."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import fields, replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from kimchi.data.files import write_json
from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.data.sample_world.captions import captions
from kimchi.data.sample_world.pictures import pictures
from kimchi.errors import ModelError, OutputError
from kimchi.eval.study.folder import StudyFolder
from kimchi.eval.study.lock import check_lock
from kimchi.models.recogniser import ANSWERS, Network
from kimchi.quickstart import QuickstartOutcome, quickstart
from kimchi.quickstart.arms import FIRST_SEED, Prompt, make_prompts, read
from kimchi.quickstart.ledger import Ledger
from kimchi.quickstart.page import SHOWN_EVERY, write_page
from kimchi.quickstart.study import Asking, ask_people, choose
from kimchi.quickstart.suite import ARMS, FORMS, GENERAL, Suite, dishes, things
from kimchi.recipes import LoraRecipe, Source
from kimchi.training.mini import unet, vae
from kimchi.training.mini.tokenizers import learn
from kimchi.training.run import train

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DISHES, THINGS = 8, 4


def _text_tower(folder: Path, tokenizer_folder: Path, texts: list[str]) -> None:
    tokenizer = learn(texts, merges=50)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The miniature's own classes in its own formats, a tenth of its size, with random weights: it draws noise, the same noise each time."""
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("suite")
    twins = [captions(p) for p in pictures(list(CONCEPTS.values()), 1, 0)]
    base = home / "base"
    vae.build({"widths": (8, 8, 8)}).save_pretrained(base / "vae")
    network = unet.build({"widths": (32, 32), "heads": (1, 1)})
    network.register_to_config(sample_size=16)  # 64 px, a quarter of the work
    network.save_pretrained(base / "unet")
    unet.scheduler().save_pretrained(base / "scheduler")
    write_json(base / "model_index.json", unet.model_index())
    _text_tower(base / "text_encoder", base / "tokenizer", [t.en for t in twins])
    _text_tower(home / "korean-clip", home / "korean-clip", [t.ko for t in twins])
    (home / "recogniser").mkdir()
    save_file(Network().state_dict(), home / "recogniser" / "model.safetensors")
    write_json(home / "recogniser" / "config.json", {"answers": {k: list(v) for k, v in ANSWERS.items()}})
    shipped = LoraRecipe(
        kind="lora", name="shipped", base=str(base), text_encoder=str(home / "korean-clip"), steps=2, batch=2, warmup_steps=0, resolution_px=64,
        learning_rate=0.1,
        sources=(Source(captions="sample-world:korean", share=1, per_concept=1),), out=str(home / "shipped"),
    )  # fmt: skip
    train(shipped)
    encoder = str(home / "korean-clip")
    return Suite(
        base=str(base), text_encoder=encoder, aligned=encoder, shipped=str(home / "shipped"), recogniser=str(home / "recogniser"),
        train=("steps=4", "batch=4", "checkpoint_every=2", "precision=fp32", "resolution_px=64", "sources.1.per_concept=1"),
        pictures_per_dish=4, prompts_per_dish=1, general_prompts=THINGS, steps=1, batch=8,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[QuickstartOutcome, list[str]]:
    said: list[str] = []
    return quickstart(tmp_path_factory.mktemp("run") / "quickstart", say=said.append, suite=suite), said


def _stamps(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name not in ("report.html", "timings.json")}


def test_every_stage_leaves_its_file(done: tuple[QuickstartOutcome, list[str]]) -> None:
    outcome, said = done
    for name in ("hello.png", "hello.json", "kfood.zip", "captions/captions.jsonl", "food/adapter.safetensors", "scores.json", "timings.json", "report.html"):
        assert (outcome.folder / name).is_file(), name
    assert outcome.report == outcome.folder / "report.html"
    assert str(outcome.folder / "hello.png") in said[0], "the first picture is told at once"


def test_the_arms_draw_the_same_prompts_with_the_same_seeds(done: tuple[QuickstartOutcome, list[str]]) -> None:
    place = done[0].folder / "arms"
    records = [json.loads((place / f"{arm}.json").read_text(encoding="utf-8")) for arm in ARMS]
    *korean, english = records
    assert all(record["pictures"] == records[0]["pictures"] for record in korean)
    assert len({json.dumps(record["hashes"], sort_keys=True) for record in korean}) == len(korean) == 4, "four different models"
    assert {p["form"] for p in records[0]["pictures"]} == set(FORMS)
    assert len({p["seed"] for p in records[0]["pictures"]}) == len(records[0]["pictures"]) == DISHES * 2 + THINGS
    assert english["hashes"] == records[0]["hashes"], "the base"
    assert [{**p, "drawn": p["text"]} for p in english["pictures"]] == records[0]["pictures"][-THINGS:], "the same things and seeds"


def test_the_general_prompts_are_of_the_general_world_and_only_they_have_english(done: tuple[QuickstartOutcome, list[str]]) -> None:
    pictures = json.loads((done[0].folder / "arms" / "english.json").read_text(encoding="utf-8"))["pictures"]
    assert [p["slug"] for p in pictures] == [c.slug for c in things(THINGS)]
    assert all(p["drawn"] == p["english"] and p["english"].isascii() and not p["text"].isascii() for p in pictures)
    asked = make_prompts(dishes(), 8, things(32))
    assert [sum(p.form == form for p in asked) for form in FORMS] == [64, 64, 32]
    assert all(bool(p.english) == (p.form == GENERAL) for p in asked) and {CONCEPTS[p.slug].world for p in asked if p.english} == {"general"}
    assert [p.seed - asked[0].seed for p in asked] == list(range(160)), "one seed a picture"


def test_the_scores_count_every_picture(done: tuple[QuickstartOutcome, list[str]]) -> None:
    scores = done[0].scores
    assert [scores[arm][form]["n"] for arm in ARMS for form in ARMS[arm]] == [DISHES, DISHES, THINGS] * 4 + [THINGS]
    assert [one["n"] for one in scores["trained_minus_swap"].values()] == [DISHES, DISHES, THINGS]
    assert scores["trained_minus_english"]["general"]["n"] == THINGS
    assert "look_alike" in scores["swap"]["noun"] and "look_alike" not in scores["swap"]["general"], "a car has none"
    json.dumps(scores)


class TestReport:
    @pytest.fixture
    def html(self, done: tuple[QuickstartOutcome, list[str]]) -> str:
        return done[0].report.read_text(encoding="utf-8")

    def test_asks_nothing_of_any_network(self, html: str) -> None:
        addresses = re.findall(r"""(?:src|href|action|data|srcset)\s*=\s*["']([^"']*)""", html) + re.findall(r"url\(([^)]*)\)", html)
        assert addresses and all(address.startswith("data:image/") for address in addresses)
        assert not re.search(r"https?://|@import|<script|<link|<iframe", html)

    def test_speaks_both_languages(self, html: str) -> None:
        for words in (
            "축소판",
            "점수",
            "걸린 시간",
            "This is the miniature",
            "Scores",
            "일반 한국어 프롬프트",
            "General Korean prompts",
            "What to try next",
            "keep-all",
            "prefers-color-scheme: dark",
        ):
            assert words in html

    def test_shows_every_dish_four_times_in_both_forms_and_of_the_general_things_some(self, html: str) -> None:
        # The first picture, twice, two grids and a small one, and the examples.
        assert html.count("<img ") == 2 + 2 * DISHES * 4 + THINGS // SHOWN_EVERY * len(ARMS) + DISHES
        assert "{{" not in html and "None" not in html

    def test_draws_the_loss_curve(self, html: str) -> None:
        raw = re.search(r'class="raw" points="([^"]*)"', html)
        assert raw and len(raw.group(1).split()) == 4


def test_the_same_command_again_does_nothing_twice(done: tuple[QuickstartOutcome, list[str]], suite: Suite) -> None:
    outcome, _ = done
    before, timings = _stamps(outcome.folder), (outcome.folder / "timings.json").read_text()
    again = quickstart(outcome.folder, say=lambda _: None, suite=suite)
    assert _stamps(outcome.folder) == before
    assert (outcome.folder / "timings.json").read_text() == timings
    assert again.scores == outcome.scores
    assert "from an earlier run" in again.report.read_text(encoding="utf-8")


class TestStudy:
    """The study of the quickstart's own pictures."""

    def test_it_is_sealed_and_compares_the_arms(self, done: tuple[QuickstartOutcome, list[str]]) -> None:
        folder = done[0].folder
        protocol = check_lock(folder / "study")
        assert protocol.conditions == {
            "culture": ("base", "kimchi", "mini-ko", "swap"),
            "general": ("base-english", "kimchi", "mini-ko", "swap"),
        }
        prompts = protocol.instrument.prompts
        asked = {(p["text"], p["slug"]) for p in json.loads((folder / "arms" / "base.json").read_text(encoding="utf-8"))["pictures"]}
        assert {(p.rich, p.topic) for p in prompts} <= asked and len({p.rich for p in prompts}) == len(prompts) == DISHES + 1
        assert not any(re.search("[가-힣]", p.en) for p in prompts)
        # What a study shows is what the arm drew.
        first = next(p for p in prompts if p.domain == "culture")
        index = [p["slug"] for p in json.loads((folder / "arms" / "swap.json").read_text())["pictures"] if p["form"] == "rich"].index(first.topic)
        with Image.open(folder / "study-arms" / "swap" / f"{first.id}.png") as image:
            assert image.tobytes() == read(folder / "arms", "swap", "rich")[index].tobytes()

    def test_the_report_names_one_command_that_serves_it(self, done: tuple[QuickstartOutcome, list[str]]) -> None:
        html = done[0].report.read_text(encoding="utf-8")
        found = re.search(r"^(.+) study serve (\S+)</pre>", html, flags=re.MULTILINE)
        assert found and "사람에게 물어보기" in html and "Ask people" in html
        *program, study = shlex.split(unescape(f"{found[1]} {found[2]}"))
        command = [*program, "study", "serve", study, "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            address = server.stderr.readline().split()[-1]
            with urllib.request.urlopen(address, timeout=30) as page:
                text = page.read().decode()
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=30)
        assert "그림 평가 연습" in text

    @staticmethod
    def again(folder: Path) -> tuple[Asking, str, list[str]]:
        """The stage once more, and what the report and the terminal say of it."""
        ledger, said = Ledger(folder), list[str]()
        drawn = json.loads((folder / "arms" / "base.json").read_text(encoding="utf-8"))["pictures"]
        prompts = [Prompt(**{field.name: one[field.name] for field in fields(Prompt)}) for one in drawn]
        asking = ask_people(ledger, prompts, {arm: ledger.hash_of(f"draw {arm}") for arm in ARMS}, lambda *_: None, said.append)
        write_page(folder / "report.html", ledger, dishes(), prompts, Suite(prompts_per_dish=1, general_prompts=THINGS), asking)
        return asking, (folder / "report.html").read_text(encoding="utf-8"), said

    @pytest.fixture
    def own(self, done: tuple[QuickstartOutcome, list[str]], tmp_path: Path) -> Path:
        return Path(shutil.copytree(done[0].folder, tmp_path / "quickstart"))

    def test_without_what_it_needs_the_report_says_what_to_install(self, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kimchi.quickstart.study.absent", lambda: ["sqlalchemy"])
        asking, html, _ = self.again(own)
        assert asking.summary is None and "pip install &#39;kimchi-diffusion[eval]&#39;" in html and "study serve" not in html

    def test_an_answered_study_is_set_aside_and_an_untouched_one_made_anew(self, own: Path) -> None:
        assert self.again(own)[0].summary is not None, "it was there, and stays"
        with StudyFolder(own / "study").store() as store:
            store.claim(now=1_900_000_000_000)
        before = (own / "study" / "lock.json").read_bytes()
        (own / "study.json").unlink()
        said = self.again(own)[2]
        assert (own / "study.1" / "lock.json").read_bytes() == before != (own / "study" / "lock.json").read_bytes()
        assert any("study.1" in line for line in said)
        (own / "study.json").unlink()
        self.again(own)
        assert not (own / "study.2").exists()

    def test_pictures_that_make_no_study_cost_nobody_the_report(self, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kimchi.eval.study.blind.LEAST_PX", 65)
        (own / "study.json").unlink()
        asking, html, _ = self.again(own)
        assert "nothing below 65 can be judged" in asking.refused and "These pictures make no study" in html

    def test_no_dish_is_asked_twice_in_the_same_words(self) -> None:
        shown = choose(make_prompts(dishes(), 8, things(32)))
        assert [sum(one.domain == domain for one in shown) for domain in ("culture", "general")] == [16, 8]
        assert len({one.prompt.text for one in shown}) == len({one.id for one in shown}) == 24
        twins = {(twin.ko, twin.en) for c in dishes() for i in range(8) for twin in [captions(picture(c, FIRST_SEED + i))]}
        assert {(one.prompt.text, one.en) for one in shown if not one.prompt.english} <= twins


class Stop(BaseException):
    """An interruption, as Ctrl-C is one."""


def _stop_at(words: str, done: int) -> Callable[[str, int, int], None]:
    def report(stage: str, now: int, total: int) -> None:
        if stage.startswith(words) and now >= done:
            raise Stop

    return report


STOPS = [
    ("drawing the first", 0), ("writing", 0), ("read", 1), ("training", 3), ("drawing arm 1", 1), ("drawing arm 3", 2), ("scoring", 1),
    ("preparing the study", 2),
]  # fmt: skip


def test_interrupted_in_every_stage_it_goes_on(done: tuple[QuickstartOutcome, list[str]], suite: Suite, tmp_path: Path) -> None:
    folder, stood = tmp_path / "quickstart", dict[str, int]()
    for words, now in STOPS:
        with pytest.raises(Stop):
            quickstart(folder, report=_stop_at(words, now), say=lambda _: None, suite=suite)
        assert not list(tmp_path.rglob("*.part")), "nothing half-written is left"
        timings: dict[str, Any] = json.loads((folder / "timings.json").read_text())
        finished = {name: _stamps(folder)[name] for entry in timings.values() for name in entry["made"]}
        assert stood.items() <= finished.items(), "finished stages are not done again"
        stood = finished
    outcome = quickstart(folder, say=lambda _: None, suite=suite)
    assert outcome.scores == done[0].scores
    timings = json.loads((folder / "timings.json").read_text())
    assert sum(entry["attempts"] for entry in timings.values()) == len(timings) + len(STOPS)
    assert "resumed, 2 attempts" in outcome.report.read_text(encoding="utf-8")


def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(done: tuple[QuickstartOutcome, list[str]], suite: Suite) -> None:
    folder = done[0].folder
    before = _stamps(folder)
    (folder / "arms" / "swap-rich.png").write_bytes(b"cut short")
    (folder / "hello.png").unlink()
    quickstart(folder, say=lambda _: None, suite=suite)
    after = _stamps(folder)
    assert {name for name in after if after[name] != before[name]} == {
        "hello.png",
        "hello.json",
        *(f"arms/swap{end}" for end in ("-rich.png", "-noun.png", "-general.png", ".json")),
    }


def test_a_folder_of_an_earlier_version_keeps_what_it_learned_and_draws_again(done: tuple[QuickstartOutcome, list[str]], suite: Suite) -> None:
    folder = done[0].folder
    timings, scores = (json.loads((folder / name).read_text()) for name in ("timings.json", "scores.json"))
    for arm in ARMS:
        # As it was left before there were general prompts: fewer sheets, other inputs, and no English.
        (folder / "arms" / f"{arm}-general.png").unlink()
        scores[arm].pop(GENERAL), timings[f"draw {arm}"]["made"].pop(f"arms/{arm}-general.png")
        timings[f"draw {arm}"]["inputs"] = "of an earlier version"
    del timings["draw english"], scores["english"], scores["trained_minus_english"]
    timings["score"]["inputs"] = "of an earlier version"
    write_json(folder / "timings.json", timings)
    write_json(folder / "scores.json", scores)
    before = _stamps(folder)
    again = quickstart(folder, say=lambda _: None, suite=suite)
    assert again.scores == done[0].scores
    after = _stamps(folder)
    assert {name for name in after if after[name] != before.get(name)} == {"scores.json", *(n for n in after if n.startswith("arms/"))}
    assert set(after) - set(before) == {f"arms/{arm}-general.png" for arm in ARMS}


def test_the_page_reads_on_a_phone_and_in_the_dark(done: tuple[QuickstartOutcome, list[str]], browser: "Browser") -> None:
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")):
        with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True) as context:
            page = context.new_page()
            page.goto(done[0].report.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing runs out at the side"
            assert page.locator("section", has_text="일반 한국어 프롬프트").locator("img").first.is_visible()


class TestLedger:
    @staticmethod
    def work(folder: Path, inputs: dict[str, Any]) -> bool:
        """One stage that writes one file; whether it had to."""
        with Ledger(folder).stage("stage", inputs, folder / "file") as todo:
            if todo:
                (folder / "file").write_text("made")
        return todo

    def test_work_is_done_once(self, tmp_path: Path) -> None:
        assert [self.work(tmp_path, {"a": 1}), self.work(tmp_path, {"a": 1})] == [True, False]

    def test_other_inputs_are_other_work(self, tmp_path: Path) -> None:
        assert [self.work(tmp_path, {"a": 1}), self.work(tmp_path, {"a": 2}), self.work(tmp_path, {"a": 1})] == [True] * 3

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": 3}', '{"stage": {"inputs": "x", "surprise": 1}}'])
    def test_a_damaged_ledger_only_costs_time(self, content: str, tmp_path: Path) -> None:
        self.work(tmp_path, {})
        (tmp_path / "timings.json").write_text(content)
        assert self.work(tmp_path, {})
        assert not self.work(tmp_path, {})

    def test_a_file_changed_by_hand_is_made_again(self, tmp_path: Path) -> None:
        self.work(tmp_path, {})
        (tmp_path / "file").write_text("changed")
        assert self.work(tmp_path, {})
        assert (tmp_path / "file").read_text() == "made"

    def test_a_killed_attempt_is_counted(self, tmp_path: Path) -> None:
        stage = Ledger(tmp_path).stage("stage", {}, tmp_path / "file")
        stage.__enter__()  # and the process is gone
        assert self.work(tmp_path, {})
        assert Ledger(tmp_path).entries["stage"].attempts == 2


def test_missing_weights_are_told_before_anything_is_done(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere.*missing.*Reinstall"):
        quickstart(tmp_path / "quickstart", suite=replace(suite, recogniser=str(tmp_path / "nowhere")))
    assert not (tmp_path / "quickstart").exists()


def test_a_folder_that_cannot_be_written_is_told(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        quickstart(tmp_path / "file", suite=suite)
