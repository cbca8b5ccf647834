"""What one looks at: progress pictures that a resumed run draws again byte for byte, and the page, in a real browser."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from kimchi.data.cultures import load_culture
from kimchi.models import lora
from kimchi.models.load import Model, load_base, with_encoder
from kimchi.models.recogniser import Network, Recogniser
from kimchi.recipes import Lora, LoraRecipe
from kimchi.training.watch.charts import Chart, Line, smooth, svg, thinned
from kimchi.training.watch.held_out import Measurement
from kimchi.training.watch.intervals import Estimate
from kimchi.training.watch.log import Reading
from kimchi.training.watch.meter import Speed
from kimchi.training.watch.page import About, RunPage, machine
from kimchi.training.watch.prompts import Prompt, progress_prompts
from kimchi.training.watch.samples import SHOWN, Samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> & 라면 {{ 7 * 7 }}"
PROMPTS = tuple(
    Prompt(text=t, kind=k, seed=7 + i, slug=s)
    for i, (t, k, s) in enumerate((("한복", "culture", "hanbok"), ("기모노", "look-alike", "kimono"), ("x", "own", "")))
)


def _model(base_folder: Path, encoder_folder: Path) -> Model:
    model = with_encoder(load_base(str(base_folder)), str(encoder_folder), "tiny")
    torch.manual_seed(0)
    for name, parameter in lora.add(model.unet, Lora(rank=2, alpha=2)).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def _samples(model: Model, recogniser: Recogniser | None = None) -> Samples:
    return Samples(model, PROMPTS, size_px=64, steps=2, recogniser=recogniser, batch=2)


@pytest.fixture(scope="module")
def model(base_folder: Path, encoder_folder: Path) -> Model:
    return _model(base_folder, encoder_folder)


@pytest.fixture(scope="module")
def run(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with progress pictures of two steps."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(1)
    for step in (0, 300):
        _samples(model, Recogniser(Network())).draw(folder, step)
    return folder


def test_a_resumed_run_draws_the_same_bytes(run: Path, base_folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    model = _model(base_folder, encoder_folder)
    torch.manual_seed(1234)
    model.unet.train()
    name = _samples(model).draw(tmp_path, 300)
    assert name == "samples/step-0000300.png"
    with Image.open(tmp_path / name) as ours, Image.open(run / name) as theirs:
        assert ours.tobytes() == theirs.tobytes()
    before = {p.name: p.read_bytes() for p in (tmp_path / "samples").iterdir()}
    _samples(model).draw(tmp_path, 300)
    assert {p.name: p.read_bytes() for p in (tmp_path / "samples").iterdir()} == before


def test_drawing_leaves_no_trace_in_the_training(model: Model, tmp_path: Path) -> None:
    model.unet.train()
    before = torch.get_rng_state(), random.getstate(), [p.requires_grad for p in model.unet.parameters()]
    _samples(model).draw(tmp_path, 10)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert [p.requires_grad for p in model.unet.parameters()] == before[2] and model.unet.training and not model.vae.training
    # Nothing of inference mode is left in it either: it still learns.
    model.unet(torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 77, 128)).sample.sum().backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.unet.parameters())
    model.unet.zero_grad(set_to_none=True)
    model.unet.eval()


def test_the_adapter_is_in_the_pictures(model: Model, run: Path, tmp_path: Path) -> None:
    model.unet.disable_adapters()
    name = _samples(model).draw(tmp_path, 300)
    model.unet.enable_adapters()
    with Image.open(tmp_path / name) as without, Image.open(run / name) as adapted:
        assert without.tobytes() != adapted.tobytes()


def test_a_sheet_says_what_is_on_it_and_that_it_chose_nothing(run: Path) -> None:
    record = json.loads((run / "samples/step-0000300.json").read_text())
    assert [(p["prompt"], p["seed"], p["kind"]) for p in record["pictures"]] == [(p.text, p.seed, p.kind) for p in PROMPTS]
    assert record["note"] == SHOWN and record["recognised"].keys() == {"culture", "look-alike"}
    with Image.open(run / "samples/step-0000300.png") as sheet:
        assert sheet.size == (192, 64)
        assert json.loads(sheet.info["kimchi-samples"]) == record and "trainedAlgorithmicMedia" in sheet.info["DigitalSourceType"]


def _recipe(**section: Any) -> LoraRecipe:
    return LoraRecipe.model_validate(
        {"kind": "lora", "name": "x", "steps": 1, "sources": [{"captions": "sample-world:korean", "share": 1}], "samples": section}
    )


@pytest.mark.parametrize("miniature", [True, False])
def test_the_list_shows_the_culture_its_look_alikes_and_general_things(miniature: bool) -> None:
    prompts = progress_prompts(_recipe(seed=3), miniature)
    assert [p.seed for p in prompts] == list(range(3, 3 + len(prompts))) and len({p.text for p in prompts}) == len(prompts) == 16
    assert [sum(p.kind == kind for p in prompts) for kind in ("culture", "look-alike", "general")] == [6, 6, 4]
    assert all(bool(p.slug) == miniature for p in prompts)


def test_the_list_of_a_real_base_is_of_the_cultures_own_file() -> None:
    culture = load_culture("ko")
    texts = {kind: [p.text for p in progress_prompts(_recipe(), False) if p.kind == kind] for kind in ("culture", "look-alike")}
    assert all(theirs in culture.look_alikes and ours in culture.look_alikes[theirs] for ours, theirs in zip(*texts.values(), strict=True))


def test_another_culture_shows_its_own_things() -> None:
    recipe = LoraRecipe.model_validate(_recipe().model_dump() | {"culture": "ja"})
    culture, prompts = load_culture("ja"), progress_prompts(recipe, False)
    ours = {p.text for p in prompts if p.kind == "culture"}
    assert ours and ours <= culture.names and all(p.text.isascii() for p in prompts if p.kind == "general")


def test_a_recipe_may_list_its_own() -> None:
    assert [(p.text, p.kind, p.slug) for p in progress_prompts(_recipe(prompts=["라면", "산속의 호수"]), True)] == [
        ("라면", "own", "ramyeon"),
        ("산속의 호수", "own", ""),
    ]


# The page.


def _readings(steps: int = 400) -> list[Reading]:
    readings: list[Reading] = []
    for step in range(0, steps + 1, 20):
        value = 0.3 - step / 4000
        held_out = Measurement(
            losses={"korean": (value, value + 0.02), "general": (value, value + 0.01)}, weights={"korean": 0.7, "general": 0.3},
            levels={250: Estimate(value=value, low=value - 0.1, high=value + 0.1)},
        )  # fmt: skip
        speed = Speed(pictures_per_second=168, waiting=0.001, mfu=None, memory_gib=3.2, seconds_left=240, seconds=60)
        readings.append(
            Reading(
                step=step,
                steps=1000,
                loss=0.2 if step else None,
                learning_rate=1e-4 if step else None,
                held_out=held_out if step % 100 == 0 else None,
                best=step in (100, 200, 300),
                samples=f"samples/step-{step:07d}.png" if step in (0, 300) else "",
                speed=speed,
            )
        )
    return readings


def _about() -> About:
    facts = {"base": "tiny", "text encoder": HOSTILE, "machine": machine(torch.device("cpu"))}
    return About(name=f"run {HOSTILE}", facts=facts, recipe=f"name: {HOSTILE}\n", hashes={"unet": "0123456789abcdef"}, miniature=True)


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    yield page
    context.close()


def _open(page: "Page", run: Path) -> tuple[list[str], list[str]]:
    """Open the page; every address it asks for, and everything that goes wrong in it."""
    asked, wrong = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((run / "run.html").as_uri())
    return asked, wrong


def test_the_page_opens_and_asks_for_nothing_outside_its_folder(run: Path, page: "Page") -> None:
    assert RunPage(run, _about()).show(_readings())
    asked, wrong = _open(page, run)
    assert wrong == [] and all(url.startswith(run.as_uri()) for url in asked)
    assert {url.rsplit("/", 1)[1] for url in asked} == {"run.html", "step-0000000.png", "step-0000300.png"}
    assert page.locator("svg.chart").count() == 4 and page.locator(".cell").count() == 6
    text = page.locator("main").inner_text()
    for said in ("step 400 of 1,000", "4 min left", "This is the miniature", "step 300", "n/a", SHOWN, "lower beyond chance"):
        assert said in text


def test_what_a_recipe_says_is_text_and_never_code(run: Path, page: "Page") -> None:
    RunPage(run, _about()).show(_readings())
    _open(page, run)
    assert page.title().startswith("run </script>") and page.locator("img").count() == 0
    assert page.locator("h1").inner_text() == f"run {HOSTILE}"


def test_the_page_reads_itself_again_while_it_trains_and_not_after(run: Path, page: "Page") -> None:
    written = RunPage(run, _about(), clock=lambda: 0.0)
    written.show(_readings(100))
    _open(page, run)
    RunPage(run, _about()).show(_readings(400), "finished")
    page.clock.fast_forward(11_000)
    page.locator("#state.finished").wait_for()
    assert "step 400 of 1,000" in page.locator("main").inner_text() and "left" not in page.locator(".under").inner_text()
    RunPage(run, _about()).show(_readings(100), "failed", "the loss is not a number")
    page.clock.fast_forward(60_000)
    assert page.locator("#state").inner_text() == "finished"


def test_a_run_that_was_killed_is_seen_to_be_silent(run: Path, page: "Page") -> None:
    RunPage(run, _about()).show(_readings(100))
    _open(page, run)
    page.clock.fast_forward(9_000)
    assert page.locator("#state").inner_text() == "training"
    # The same file, opened ten minutes later.
    page.clock.fast_forward(600_000)
    page.locator("#state.silent").wait_for()


def test_why_a_run_failed_stands_on_its_page(run: Path, page: "Page") -> None:
    RunPage(run, _about()).show(_readings(100), "failed", f"the loss of step 101 is nan: {HOSTILE}")
    _open(page, run)
    assert "It failed. the loss of step 101 is nan" in page.locator(".note").first.inner_text()


def test_a_page_without_a_single_line_opens(tmp_path: Path, page: "Page") -> None:
    assert RunPage(tmp_path, _about()).show([])
    _, wrong = _open(page, tmp_path)
    assert wrong == [] and "getting ready" in page.locator("main").inner_text()


def test_the_page_is_written_now_and_then_and_at_the_end_always(tmp_path: Path) -> None:
    now = 0.0

    def clock() -> float:
        return now

    page = RunPage(tmp_path, _about(), clock)
    assert page.show(_readings(100)) and not page.show(_readings(120))
    now = 2.9
    assert not page.show(_readings(140))
    now = 3.1
    assert page.show(_readings(160)) and page.show(_readings(160), "stopped")


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.html").mkdir()
    assert not RunPage(tmp_path, _about()).show(_readings(100))


def test_a_chart_of_a_long_run_stays_small_and_true() -> None:
    points = [(step, 1 / (1 + step / 10_000)) for step in range(100_000)]
    drawn = svg(Chart(label="loss", lines=[Line(points=points, name="raw"), Line(points=smooth(points), name="mean")], last_step=100_000))
    assert len(drawn) < 20_000
    few = thinned(points, 300)
    assert len(few) == 300 and all(v == pytest.approx(1 / (1 + s / 10_000), rel=1e-3) for s, v in few)


@pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [float("nan"), 1.0], [1e-7, 2e-7], [1e9, 3e9], [-1.0, 1.0]])
def test_a_chart_of_anything_is_drawn(values: list[float]) -> None:
    drawn = svg(Chart(label="x <y>", lines=[Line(points=list(enumerate(values)), name="mean", dots=True)], last_step=len(values)))
    assert "nan" not in drawn and "x &lt;y&gt;" in drawn
