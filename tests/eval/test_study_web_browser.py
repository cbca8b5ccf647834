"""The rating pages in a real browser: keys and fingers, a cut connection, two windows, and a booth."""

import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from kimchi.eval.study.store import open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SIZES = {"phone": (360, 740), "tablet": (820, 1180), "laptop": (1366, 768)}


def _bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_load", Path(__file__).parents[1] / "benchmarks" / "study_load.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_load"] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.make_study(tmp_path_factory.mktemp("study"), raters=30, prompts=2, conditions=("aurora", "basalt"))


@pytest.fixture(scope="module")
def server(study: Path) -> Iterator[Any]:
    running = bench.Server(study)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def visit(browser: "Browser", server: Any) -> "Iterator[Callable[..., BrowserContext]]":
    """A person's browser; at the end, any error of a page or any address but the server's has failed the test."""
    faults, contexts = list[str](), list[Any]()

    def opened(size: str = "laptop", locale: str = "ko-KR", **more: Any) -> "BrowserContext":
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, has_touch=size != "laptop", **more)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
        context.on("request", lambda request: None if "//127.0.0.1:" in request.url else faults.append(request.url))
        contexts.append(context)
        return context

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def begin(context: "BrowserContext", server: Any) -> "Page":
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.locator("a.button").click()
    page.get_by_role("checkbox").first.check()
    page.locator("form button.button").click()
    page.locator("a.button").click()
    ready(page)
    return page


def ready(page: "Page") -> None:
    page.locator("#picture:not([hidden])").wait_for()


def by_keys(page: "Page", value: int = 4) -> None:
    """One screen as a quick hand does it."""
    ready(page)
    for _ in range(page.locator("#asked fieldset").count()):
        page.keyboard.press(str(value))
    page.keyboard.press("Enter")


def finish(page: "Page", value: int = 4) -> None:
    for _ in range(30):
        page.locator("#stage:visible, #practised:visible, #pause:visible, #end:visible, fieldset.choice").first.wait_for()
        if page.locator("#practised, #pause").locator("visible=true").count():
            page.locator("#practised button:visible, #pause button:visible").click()
        elif page.locator("#stage").is_visible():
            by_keys(page, value)
        else:
            break
    page.wait_for_url("**/exit")
    page.get_by_role("radio").nth(2).check()
    page.locator("form button.button").click()
    page.wait_for_url("**/thanks")


def stored(study: Path) -> list[tuple[str, int, int]]:
    database = sqlite3.connect(f"file:{study / 'study.db'}?mode=ro", uri=True)
    found = database.execute("SELECT criterion, value, rev FROM rating ORDER BY id").fetchall()
    database.close()
    return found


def settled(page: "Page", study: Path) -> int:
    """How many answers are stored once this page has none left to send."""
    until(page, lambda: page.evaluate("waiting.length") == 0)
    return len(stored(study))


def until(page: "Page", true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came")


def test_keys_fingers_and_second_thoughts(visit: "Callable[..., BrowserContext]", server: Any, study: Path) -> None:
    page = begin(visit("phone"), server)
    assert page.locator("#practice").is_visible() and page.locator("#where").inner_text() == "연습"
    by_keys(page)
    page.locator("#practised button").click()
    ready(page)
    before = settled(page, study)
    # Nothing can be skipped, and the page says what is missing.
    page.locator("#next").dispatch_event("click")
    assert page.locator("#where").inner_text().startswith("1 /") and "답하지 않은" in page.locator("#announced").inner_text()
    for name, value in (("alignment", 5), ("reality", 0), ("alignment", 2)):
        page.locator(f"#asked input[name={name}][value='{value}']").locator("xpath=..").tap()
    # A Korean input method sends other characters; the place of the key counts.
    page.evaluate("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ㅂ', code: 'Digit3', bubbles: true}))")
    until(page, lambda: len(stored(study)) == before + 4)
    assert stored(study)[before:] == [("alignment", 5, 1), ("reality", 0, 1), ("alignment", 2, 2), ("suitability", 3, 1)]
    page.keyboard.press("Enter")
    ready(page)
    page.locator("#previous").click()
    ready(page)
    assert page.locator("#asked input:checked").evaluate_all("all => all.map(one => one.value)") == ["2", "0", "3"]
    # Words, with a digit in them that answers nothing.
    page.locator("#comment summary").click()
    page.locator("#words").fill("")
    page.locator("#words").press_sequentially("손가락이 5개 <b>아님</b>")
    page.locator("#keep-words").click()
    page.reload()
    ready(page)
    assert page.locator("#where").inner_text().startswith("2 /")
    finish(page)
    assert page.locator(".code").inner_text().replace(" ", "").isdigit()


def test_answers_given_without_a_connection_arrive_later(visit: "Callable[..., BrowserContext]", server: Any, study: Path) -> None:
    context = visit("tablet")
    page = begin(context, server)
    by_keys(page)
    page.locator("#practised button").click()
    ready(page)
    page.wait_for_timeout(300)  # the next pictures are loaded ahead
    before = settled(page, study)
    context.set_offline(True)
    by_keys(page, 3)
    ready(page)
    by_keys(page, 2)
    page.locator("#network:not([hidden])").wait_for()
    assert "6개" in page.locator("#network").inner_text() and len(stored(study)) == before
    context.set_offline(False)
    until(page, lambda: len(stored(study)) == before + 6)
    page.locator("#network").wait_for(state="hidden")

    # Kept over a crash of the page, too: what waited in IndexedDB is sent by the next one.
    context.route("**/api/tap", lambda route: route.abort())
    page.keyboard.press("5")
    until(page, lambda: page.evaluate("waiting.length") == 1)
    page.wait_for_timeout(200)
    context.unroute("**/api/tap")
    page.reload()
    until(page, lambda: len(stored(study)) == before + 7)
    ready(page)
    assert page.locator("#asked input:checked").evaluate_all("all => all.map(one => one.value)") == ["5"]


def test_a_refused_answer_is_shown(visit: "Callable[..., BrowserContext]", server: Any) -> None:
    page = begin(visit("laptop", "en-US"), server)
    page.evaluate("plan.screens[0].trial = 999999")
    page.keyboard.press("4")
    page.locator("#rejected:not([hidden])").wait_for()
    assert "not saved" in page.locator("#rejected").inner_text()


def test_a_second_window_only_looks(visit: "Callable[..., BrowserContext]", server: Any) -> None:
    context = visit()
    first = begin(context, server)
    second = context.new_page()
    second.goto(first.url)
    second.locator("#second:not([hidden])").wait_for()
    assert "다른 창" in second.locator("#second").inner_text() and second.locator("#asked fieldset:enabled").count() == 0
    second.keyboard.press("3")
    assert second.locator("#asked input:checked").count() == 0
    second.locator("#take").click()
    second.locator("#second").wait_for(state="hidden")
    ready(second)
    first.evaluate("claim(false)")
    first.locator("#second:not([hidden])").wait_for()


def test_another_device_goes_on_by_the_code(visit: "Callable[..., BrowserContext]", server: Any) -> None:
    phone = begin(visit("phone"), server)
    by_keys(phone)
    phone.locator("#practised button").click()
    by_keys(phone, 5)
    ready(phone)
    phone.goto(f"http://127.0.0.1:{server.port}/code")
    code = phone.locator(".code").inner_text()
    laptop = visit("laptop").new_page()
    laptop.goto(f"http://127.0.0.1:{server.port}/")
    laptop.locator("summary").click()
    laptop.get_by_label("참여 코드").fill(code)
    laptop.locator("details button").click()
    ready(laptop)
    assert laptop.locator("#where").inner_text().startswith("2 /")
    laptop.locator("#previous").click()
    ready(laptop)
    assert laptop.locator("#asked input:checked").evaluate_all("all => all.map(one => one.value)") == ["5", "5", "5"]


@pytest.mark.parametrize(("size", "locale"), [("phone", "ko-KR"), ("phone", "en-US"), ("tablet", "ko-KR"), ("laptop", "en-US")])
def test_it_fits_and_everybody_can_use_it(visit: "Callable[..., BrowserContext]", server: Any, size: str, locale: str) -> None:
    """WCAG 2.2 AA, what of it a machine can see: names, languages, target sizes, contrast, reflow, focus."""
    page = visit(size, locale, reduced_motion="reduce").new_page()
    for path in ("/", "/consent", "/withdraw", "/rate"):
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        if path == "/rate":
            page.close()
            page = begin(page.context, server)
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0], path
        assert page.locator("html").get_attribute("lang") == locale[:2] and page.locator("h1:visible").count() == 1
        assert page.evaluate("getComputedStyle(document.body).wordBreak") == "keep-all"
        assert page.evaluate(_NAMELESS) == [] and page.evaluate(_SMALL) == [] and page.evaluate(_PALE) == [], path
    assert page.locator("#asked fieldset > legend").count() == page.locator("#asked fieldset").count() == 3
    assert page.locator("#picture").get_attribute("alt") and page.locator("#prompt").get_attribute("lang") == locale[:2]
    assert page.evaluate("getComputedStyle(document.querySelector('.point span')).transitionDuration") == "0s"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


_NAMELESS = """[...document.querySelectorAll('button, a, input:not([type=hidden]), textarea, img')].filter(one => one.checkVisibility())
    .filter(one => !(one.textContent.trim() || one.ariaLabel || one.alt || one.labels?.length)).map(one => one.outerHTML)"""
_SMALL = """[...document.querySelectorAll('button, .top a, .point span, .check, summary, input:not([type=hidden]):not([type=checkbox]):not([type=radio])')]
    .filter(one => one.checkVisibility()).map(one => [one.getBoundingClientRect(), one.outerHTML])
    .filter(([box]) => Math.min(box.width, box.height) < 43.9).map(([box, html]) => `${box.width} x ${box.height} ${html}`)"""
_PALE = """(() => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
    const ground = one => !one ? 'rgb(255, 255, 255)' : getComputedStyle(one).backgroundColor.endsWith(', 0)') ? ground(one.parentElement)
        : getComputedStyle(one).backgroundColor;
    return [...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(one => !one.closest('[disabled], [aria-disabled=true], .skip, .unseen, noscript'))
        .map(one => [one, light(getComputedStyle(one).color), light(ground(one))])
        .filter(([, a, b]) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5).map(([one]) => one.outerHTML.slice(0, 120));
})()"""


def test_a_booth_forgets_who_was_there(tmp_path: Path, visit: "Callable[..., BrowserContext]") -> None:
    study = bench.make_study(tmp_path, raters=4, prompts=2, conditions=("aurora", "basalt"))
    server = bench.Server(study)
    server.start(kiosk=True)
    context = visit("tablet")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    assert page.locator("input").count() == 0  # no code is typed here
    page.locator("a.button").click()
    page.get_by_role("checkbox").first.check()
    page.locator("form button.button").click()
    page.wait_for_url("**/rate")
    finish(page)
    page.locator("form button.button").click()
    page.wait_for_url(f"http://127.0.0.1:{server.port}/")
    assert context.cookies() == []
    page.goto(f"http://127.0.0.1:{server.port}/consent")
    page.get_by_role("checkbox").first.check()
    page.locator("form button.button").click()
    page.wait_for_url("**/rate")
    ready(page)
    page.evaluate("plan.idle_seconds = 0.2; plan.grace_seconds = 1; awake()")
    page.locator("#idle[open]").wait_for()
    assert "초 뒤" in page.locator("#idling").inner_text()
    page.wait_for_url(f"http://127.0.0.1:{server.port}/")
    server.stop()
    assert {row["device_class"] for row in open_store(study / "study.db").sessions()} == {"kiosk"}
