"""A whole study by its commands: made, sealed, served, rated by sixty, withdrawn from, watched, analysed.

The raters are simulated, but blind: each looks at the picture that the server sends, and judges by what is in it.
"""

import asyncio
import csv
import hashlib
import importlib.util
import io
import json
import random
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kimchi.cli import main
from kimchi.data.sample_world import CONCEPTS, picture
from kimchi.recipes import load_recipe

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RATERS, WITHDRAW, AGREE_EVERY = 60, 2, 3
BROWSERS = (((360, 740), "ko-KR"), ((1366, 768), "ko-KR"), ((360, 740), "en-US"))
CARELESS = 2
"""Of the HTTP clients: they always answer the same and read no instruction."""
DISHES, THINGS = 12, 4
_PATIENCE_S = 420
"""On a machine that does much else; on two free cores everybody is done in half a minute."""
pytestmark = pytest.mark.timeout(900)


def _bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_load", Path(__file__).parents[1] / "benchmarks" / "study_load.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_load"] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()


def arms(folder: Path) -> None:
    """Three conditions that an eye tells apart, in files of three kinds and sizes: in colour, in grey, and blurred beyond recognition."""
    recipe = load_recipe("eval/mini_2026.yaml", kind="study")
    for prompt in recipe.prompts:
        drawn = picture(CONCEPTS[prompt.id], 3).render(160)
        for condition, image in (("kimchi", drawn), ("grey", drawn.convert("L").resize((128, 128))), ("blur", drawn.filter(ImageFilter.GaussianBlur(16)))):
            (folder / condition).mkdir(parents=True, exist_ok=True)
            image.save(folder / condition / (f"{prompt.id}.jpg" if condition == "blur" else f"{prompt.id}.png"), quality=90)


def instrument(path: Path) -> None:
    """The shipped one, shortened."""
    recipe = load_recipe("eval/mini_2026.yaml", kind="study").model_dump(mode="json")
    culture, general = ([p for p in recipe["prompts"] if p["domain"] == domain] for domain in ("culture", "general"))
    recipe["prompts"] = culture[:DISHES] + general[:THINGS]
    path.write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")


def judge(colour: float, edges: float, criterion: str, dice: random.Random) -> int:
    """What a rater says of a picture with so much colour and so sharp edges."""
    best = (4 if colour > 15 else 3) if edges > 1.15 else 1
    value = min(5, max(1, best + dice.choice((-1, 0, 0, 1))))
    return 6 - value if criterion == "errors" else value


def look(content: bytes) -> tuple[float, float]:
    """How colourful a picture is, and how sharp, in steps of 255."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)
    return float(np.ptp(pixels, axis=2).mean()), float(np.abs(np.diff(pixels.mean(2), axis=1)).mean())


_LOOK = """() => {
    const image = document.getElementById('picture'), n = image.naturalWidth, canvas = document.createElement('canvas');
    canvas.width = canvas.height = n;
    const ink = canvas.getContext('2d'); ink.drawImage(image, 0, 0); const d = ink.getImageData(0, 0, n, n).data; let colour = 0, edges = 0;
    const grey = i => (d[i] + d[i + 1] + d[i + 2]) / 3;
    for (let i = 0; i < d.length; i += 4) { colour += Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]); }
    for (let y = 0; y < n; y++) for (let x = 1; x < n; x++) edges += Math.abs(grey(4 * (y * n + x)) - grey(4 * (y * n + x - 1)));
    return [colour / (n * n), edges / (n * (n - 1))]; }"""


async def person(number: int, port: int, codes: list[str]) -> None:
    """One HTTP client from consent to thanks; it goes on when the server is gone for a while."""
    client, dice, careless = bench.Client(port), random.Random(number), number < CARELESS
    more = {"release": "1"} if number % AGREE_EVERY == 0 else {}
    plan = await bench._patient(lambda: bench.take_part(client, **more), 0.2)
    for screen in plan["screens"]:
        address = screen["picture_url"]
        seen = look((await bench._patient(lambda address=address: client.get(address), 0.2)).body)
        told = re.search(r"‘(\d)", screen["prompt"])
        for criterion in screen["criteria"]:
            value = 4 if careless else int(told[1]) if told else judge(*seen, criterion, dice)
            body = {**bench.tap(plan, screen, criterion, value), "rt_ms": dice.uniform(1500, 6000)}
            answer = await bench._patient(lambda body=body: client.post("/api/tap", body), 0.2)
            assert answer.status == 200, answer.body
            await asyncio.sleep(0.02)  # still fifty times a person's pace
    await bench._patient(lambda: client.post("/api/comment", words(plan, number)), 0.2)
    assert (await bench._patient(lambda: client.form("/exit", guess="no"), 0.2)).status == 303
    if not careless:  # of these two will withdraw; the careless must stay to be found out
        codes.append(client.cookies["code"])
    client.close()


def words(plan: dict[str, Any], number: int) -> dict[str, Any]:
    return {"seat": plan["seat"], "trial": plan["screens"][1]["trial"], "text": f"<b>의견</b> {number}", "client_uuid": f"words-of-rater-{number:04d}"}


async def everybody(server: Any, codes: list[str], back: threading.Event) -> None:
    """All HTTP clients at once; in the middle of it the server is killed and started again."""

    async def accident() -> None:
        await asyncio.sleep(2)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        back.set()

    # They try for ever to reach a server that a failure of the test has ended.
    async with asyncio.timeout(_PATIENCE_S):
        await asyncio.gather(accident(), *(person(number, server.port, codes) for number in range(RATERS - len(BROWSERS))))


def in_a_browser(page: "Page", port: int) -> None:
    """One rater with eyes, fingers on the keyboard, and a screen."""
    dice = random.Random(page.viewport_size["width"] if page.viewport_size else 0)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("a.button").click()
    page.get_by_role("checkbox").first.check()
    page.locator("form button.button").click()
    page.locator("a.button").click()
    for _ in range(300):
        page.locator("#picture:visible, #practised:visible, #pause:visible, #end:visible, fieldset.choice").first.wait_for()
        if page.locator("fieldset.choice").count() or page.locator("#end").is_visible():
            break
        if (onward := page.locator("#practised button:visible, #pause button:visible")).count():
            onward.click()
        # Between two screens nothing is visible: then look again.
        if not page.locator("#picture").is_visible():
            page.wait_for_timeout(50)
            continue
        seen, told = page.evaluate(_LOOK), re.search(r"[‘“](\d)", page.locator("#prompt").inner_text())
        for criterion in page.locator("#asked fieldset").evaluate_all("all => all.map(one => one.dataset.name)"):
            page.keyboard.press(str(told[1] if told else judge(*seen, criterion, dice)))
        page.keyboard.press("Enter")
    page.wait_for_url("**/exit")
    page.get_by_role("radio").nth(2).check()
    page.locator("form button.button").click()
    page.wait_for_url("**/thanks")


async def withdraw(port: int, code: str) -> None:
    client = bench.Client(port)
    answer = await client.form("/withdraw", code=code, sure="1")
    assert answer.status == 200 and "지웠습니다" in answer.body.decode()
    client.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, browser: "Browser") -> Path:
    """The study once it is rated: two raters have withdrawn, one on the page and one through the operator."""
    home = tmp_path_factory.mktemp("whole")
    arms(home / "arms")
    instrument(home / "mini.yaml")
    folder, numbers = home / "study", f"raters={RATERS}"
    options = [f"assignment.{numbers}", "domains.culture.per_rater=2", "domains.general.per_rater=1"]
    assert main(["study", "new", str(home / "mini.yaml"), "--images", str(home / "arms"), "--out", str(folder), *(f"--set={one}" for one in options)]) == 0
    assert main(["study", "serve", str(folder)]) == 1, "not before the lock"
    assert main(["study", "lock", str(folder)]) == 0
    server, codes, back = bench.Server(folder), list[str](), threading.Event()
    server.start()
    with ThreadPoolExecutor(1) as beside:  # playwright has the event loop of this thread
        others = beside.submit(lambda: asyncio.run(everybody(server, codes, back)))
        try:
            assert back.wait(_PATIENCE_S)
            for (width, height), locale in BROWSERS:
                with browser.new_context(viewport={"width": width, "height": height}, locale=locale) as context:
                    context.set_default_timeout(1000 * _PATIENCE_S)
                    in_a_browser(context.new_page(), server.port)
            others.result()
            beside.submit(lambda: asyncio.run(withdraw(server.port, codes[0]))).result()
        finally:
            server.stop()
    assert main(["study", "purge", str(folder), "--code", codes[1]]) == 0
    return folder


@pytest.fixture(scope="module")
def analysed(study: Path) -> Path:
    assert main(["study", "analyse", str(study)]) == 0
    return study / "analysis"


def test_status_counts_everybody(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "status", str(study), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out.splitlines()[-1])
    assert (found["done"], found["withdrawn"], found["active"]) == (RATERS - WITHDRAW, WITHDRAW, 0)
    assert found["chain"]["broken"] == [] and found["chain"]["erased"] > WITHDRAW * 30 and found["watch"]["rejected"] == 0
    assert found["coverage"]["rated"] == found["coverage"]["pictures"] == 3 * (DISHES + THINGS)
    assert "links hold" in said.out and said.err.startswith("Next: ")


def test_the_results_are_what_the_raters_saw(analysed: Path) -> None:
    read = json.loads((analysed / "results.json").read_text(encoding="utf-8"))
    audit = read["audit"]
    assert audit["raters"] == audit["complete"] == RATERS - WITHDRAW and audit["given"] == audit["asked"] and audit["doubled"] == 0
    assert audit["balance"]["worst"] < 0.1 and audit["chain"]["broken"] == []
    outcomes = {one["rule"]: len(one["failed"]) for one in read["exclusions"]["outcomes"]}
    # The careless fail in several ways; a robot at the keyboard may be too quick to have looked, which depends on the machine.
    assert outcomes["trap"] >= 1 and outcomes["line"] >= 1 and outcomes["speed"] <= len(BROWSERS)
    culture, general = read["domains"]
    assert (culture["inference"], general["inference"]) == ("prompts like these", "these prompts"), "four prompts carry no claim about others"
    gaps = gaps_of(culture)
    assert gaps["alignment", "blur"] > gaps["alignment", "grey"] > 0.5 and gaps["alignment", "blur"] > 2
    assert gaps_of(general, "these prompts")["errors", "blur"] > 1, "fewer errors, after turning"


def gaps_of(domain: dict[str, Any], inference: str = "prompts like these") -> dict[tuple[str, str], float]:
    """(criterion, other condition) => points by which KIMCHI is ahead, where that is beyond chance."""
    every = [(c["criterion"], one) for c in domain["analysis"]["criteria"] for one in c["contrasts"] if one["inference"] == inference]
    return {(criterion, one["second"]): one["estimate"]["value"] for criterion, one in every if one["p_holm"] is not None and one["p_holm"] < 0.01}


def test_the_release_holds_who_agreed_and_has_not_withdrawn(study: Path, analysed: Path) -> None:
    with (analysed / "release" / "ratings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    agreed = len(range(0, RATERS - len(BROWSERS), AGREE_EVERY))
    assert agreed - WITHDRAW <= len({row["rater"] for row in rows}) <= agreed
    assert {row["condition"] for row in rows} == {"kimchi", "grey", "blur"}
    sealed = json.loads((study / "lock.json").read_text(encoding="utf-8"))["protocol"]
    assert hashlib.sha256((analysed / "release" / "protocol.yaml").read_bytes()).hexdigest() == sealed


@pytest.mark.parametrize(("language", "width"), [("ko", 360), ("en", 1366)])
def test_the_report_is_read_in_a_browser(analysed: Path, browser: "Browser", language: str, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}, offline=True) as context:
        page = context.new_page()
        page.goto((analysed / f"report.{language}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("html").get_attribute("lang") == language and page.locator("svg").count() > 6
        assert "의견" not in page.locator("body").inner_text() or language == "ko"
