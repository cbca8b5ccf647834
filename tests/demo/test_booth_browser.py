"""The booth in real Chromium: what visitors and staff see, both languages, keys and fingers, and a server that goes away."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PIN, SIZES, Booth, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*no_silent_downcasting")
PROMPT = "노을 진 바닷가의 거북선"
# Every word that a person sees, hears read out, or finds in an empty field; what visitors typed themselves is left out.
SEEN = """() => {
  const said = [document.title];
  for (const one of document.querySelectorAll("#booth *")) {
    if (!one.checkVisibility() || one.closest("#words, #picture")) continue;
    const own = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim()).join(" ").trim();
    said.push(own, ...["aria-label", "placeholder", "alt"].map((name) => one.getAttribute(name) ?? ""));
  }
  return said.filter((text) => /\\p{L}/u.test(text));
}"""
# Before and after one click's own dispatch: nothing that the page hears from the server can come between.
AROUND = f"""() => {{
  const seen = {SEEN};
  addEventListener("click", () => {{ window.before = seen(); }}, {{ capture: true, once: true }});
  addEventListener("click", () => {{ window.after = seen(); }}, {{ once: true }});
}}"""
SAME = {"KIMCHI", "AI"}


def draw(page: "Page", prompt: str = PROMPT, done: bool = True) -> None:
    page.locator("#prompt").fill(prompt)
    page.locator("#draw").click()
    if done:
        page.locator("#after:not([hidden])").wait_for(timeout=120_000)


def serious(page: "Page") -> list[str]:
    """What axe-core finds serious or worse."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")]


def turned(page: "Page", by_key: bool = False) -> None:
    """Switch the language, and see that every word changed."""
    page.evaluate(AROUND)
    page.locator("#language").press("Enter") if by_key else page.locator("#language").click()
    before, after = page.evaluate("() => [window.before, window.after]")
    assert len(before) == len(after)
    unchanged = [text for text, then in zip(before, after, strict=True) if text == then and text not in SAME]
    assert unchanged == []
    language = page.locator("html").get_attribute("lang")
    korean = [text for text in after if re.search("[가-힣]", text)]
    if language == "en":
        assert [text for text in korean if text != "한국어"] == []


def test_a_visit_from_the_first_tap_to_the_picture(visit: "Callable[..., Page]", comparing: Booth) -> None:
    page = visit("laptop", comparing.url)
    # The page says that it is an AI service before anything is asked.
    assert "인공지능(AI)" in page.locator(".ai").inner_text()
    page.locator("#chips .chip", has_text="한옥").click()
    assert page.locator("#prompt").input_value() == "산속의 한옥"
    page.locator("#draw").click()
    page.locator("#picture.forming").wait_for()
    assert page.locator("#words").inner_text() == "산속의 한옥" and page.locator("#cancel").is_visible()
    page.locator("#after:not([hidden])").wait_for(timeout=120_000)
    for arm in ("base", "translated"):
        assert page.locator(f"#other-{arm} img").get_attribute("src").startswith("data:image/webp")  # pyright: ignore[reportOptionalMemberAccess]
    assert "번역" in page.locator("#other-translated .note").inner_text()
    # The slider: by hand and by key, over each of the others.
    page.locator("#other-translated").click()
    assert page.locator("#tag-left").inner_text() == "번역 + 기본 모델" and page.locator("#slider").input_value() == "50"
    page.locator("#slider").press("ArrowRight")
    assert page.locator("#slider").input_value() == "51" and "51%" in page.locator("#frame").get_attribute("style")  # pyright: ignore[reportOperatorIssue]
    page.locator("#slider").press("Home")
    assert page.locator("#tag-left").is_hidden()
    # One tap rates, and says thank you.
    page.locator(".rate").first.click()
    page.locator("#rated:not([hidden])").wait_for()
    assert json.loads((comparing.folder / "booth_ratings.jsonl").read_text(encoding="utf-8").splitlines()[-1])["value"] == 3
    page.locator("#take-qr").click()
    # It comes from the server.
    page.locator("#qr svg").wait_for()
    page.locator("#take [data-close]").click()
    with page.expect_download() as saved:
        page.locator("#take-file").click()
    assert saved.value.suggested_filename == "kimchi.png" and Path(saved.value.path()).read_bytes()[:4] == b"\x89PNG"
    page.locator("#new").click()
    assert page.locator("#prompt").input_value() == ""
    page.locator("#hung img").first.wait_for()


def test_every_word_changes_with_the_language_in_every_phase(visit: "Callable[..., Page]", comparing: Booth, hogged: Callable[[int], list[Any]]) -> None:
    page = visit("laptop", comparing.url)
    page.locator("#more summary").click()
    turned(page)
    turned(page, by_key=True)
    page.locator("#draw").click()
    page.locator("#refusal:not([hidden])").wait_for()
    turned(page)
    held = hogged(1)
    draw(page, done=False)
    page.get_by_text("People ahead of you: 1").wait_for()
    turned(page)
    assert page.locator("#now").inner_text() == "앞에 1분이 기다리고 있습니다"
    for ticket in held:
        ticket.cancel()
    page.locator("#picture.forming").wait_for()
    page.locator("#after:not([hidden])").wait_for(timeout=120_000)
    page.locator("#other-base").click()
    turned(page)
    page.locator("#take-qr").click()
    page.locator("#qr svg").wait_for()


@pytest.mark.parametrize("size", ["phone", "laptop", "kiosk"])
@pytest.mark.parametrize("hall", ["bright", "dark"])
def test_nothing_serious_for_axe_and_every_target_is_thumb_sized(size: str, hall: str, visit: "Callable[..., Page]", booth: Booth) -> None:
    booth.desk.set_hall(hall)
    try:
        page = visit(size)
        until(lambda: page.wait_for_timeout(100) or page.locator("#booth").get_attribute("data-hall") == hall)
        page.locator("#more summary").click()
        assert serious(page) == [] and _small(page) == [] and _wide(page) == 0
        draw(page)
        assert serious(page) == [] and _small(page) == [] and _wide(page) == 0
    finally:
        booth.desk.set_hall("bright")


def _small(page: "Page") -> list[str]:
    """Things to touch that are under 48 px high or wide; a radio button is as large as its pill."""
    return page.evaluate("""() => [...document.querySelectorAll("#booth button, #booth a:not(.skip), #booth input, #booth summary")]
      .filter((one) => one.checkVisibility())
      .filter((one) => { const box = one.getBoundingClientRect(); return Math.min(Math.round(box.width), Math.round(box.height)) < 48; })
      .map((one) => one.outerHTML.slice(0, 120))""")


def _wide(page: "Page") -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.mark.parametrize("size", ["laptop", "kiosk"])
def test_a_laptop_and_a_kiosk_show_everything_without_scrolling(size: str, visit: "Callable[..., Page]", comparing: Booth) -> None:
    page = visit(size, comparing.url)
    high = "document.documentElement.scrollHeight - innerHeight"
    assert page.evaluate(high) <= 0
    draw(page)
    assert page.evaluate(high) <= 0, SIZES[size]


def test_by_keys_alone(visit: "Callable[..., Page]") -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.locator("#prompt").focus()
    page.keyboard.type("hanbok")
    page.keyboard.press("Enter")
    page.locator("#after:not([hidden])").wait_for(timeout=120_000)
    page.locator(".rate").first.focus()
    page.keyboard.press("Enter")
    page.locator("#rated:not([hidden])").wait_for()
    reached = set[str]()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"new", "again", "take-qr", "take-file", "language"} <= reached


def test_markup_and_tricks_stay_words(visit: "Callable[..., Page]") -> None:
    page = visit()
    trick = "<img src=x onerror=document.title='gone'> 한복 <b>굵게</b> {n} ${1}"
    draw(page, trick)
    assert page.locator("#words").inner_text() == trick and page.locator("#words *").count() == 0
    assert page.title() == "KIMCHI · 한국을 그리는 인공지능" and page.locator("#picture").get_attribute("alt") == trick


def test_a_long_text_does_not_fit_and_a_wrong_seed_is_told(visit: "Callable[..., Page]") -> None:
    page = visit()
    page.locator("#prompt").evaluate("one => { one.removeAttribute('maxlength'); one.value = '가'.repeat(10000); }")
    page.locator("#draw").click()
    page.get_by_text("300자 안으로").wait_for()
    page.locator("#cancel").click()
    page.locator("#more summary").click()
    page.locator("#seed").fill("일곱")
    page.locator("#prompt").fill(PROMPT)
    page.locator("#draw").click()
    assert "정수" in page.locator("#refusal").inner_text()


def test_twenty_taps_and_a_change_of_mind(visit: "Callable[..., Page]", booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    page, before = visit(), booth.engine.stats()
    hogged(0)
    page.locator("#prompt").fill(PROMPT)
    page.evaluate("() => { for (let n = 0; n < 20; n++) document.getElementById('draw').click(); }")
    page.get_by_text("바로 다음 차례입니다").wait_for()
    assert booth.engine.stats().waiting == 1
    page.locator("#cancel").click()
    assert page.locator("#home").is_visible() and page.locator("#prompt").input_value() == PROMPT
    until(lambda: booth.engine.stats().waiting == 0 and booth.engine.stats().cancelled > before.cancelled)


def test_a_closed_window_frees_the_brush(visit: "Callable[..., Page]", booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    page = visit()
    hogged(0)
    draw(page, done=False)
    until(lambda: booth.engine.stats().waiting == 1)
    page.close()
    until(lambda: booth.engine.stats().waiting == 0)


def test_a_full_queue_is_friendly_and_tries_again(visit: "Callable[..., Page]", booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    page = visit()
    held = hogged(8)
    draw(page, done=False)
    page.get_by_text("잠시 후 다시").first.wait_for()
    assert "9번째입니다" in page.locator("#then").inner_text()
    for ticket in held:
        ticket.cancel()
    page.locator("#after:not([hidden])").wait_for(timeout=120_000)


def test_the_staff_close_the_booth_and_open_it(visit: "Callable[..., Page]", browser: "Browser", booth: Booth) -> None:
    page = visit()
    staff = browser.new_context(viewport={"width": 1000, "height": 900}).new_page()
    staff.goto(f"{booth.url}/booth/staff")
    staff.locator("#pin").fill("0000")
    staff.locator(".button").click()
    staff.get_by_text("PIN이 맞지 않습니다.").wait_for()
    assert serious(staff) == []
    staff.locator("#pin").fill(PIN)
    staff.locator(".button").click()
    staff.get_by_text("열려 있음").wait_for()
    staff.on("dialog", lambda dialog: dialog.accept())
    try:
        staff.locator("#close").click()
        page.get_by_text("잠시 쉬어 갑니다").wait_for()
        staff.locator("#word").fill("호박")
        staff.locator("#block button").first.click()
        staff.locator("#blocked li", has_text="호박").locator("button").click()
        until(lambda: staff.locator("#blocked li").count() == 0)
        staff.locator("[data-hall-to=dark]").click()
        until(lambda: page.wait_for_timeout(100) or page.locator("#booth").get_attribute("data-hall") == "dark")
        assert serious(staff) == []
        staff.locator("[data-hall-to=bright]").click()
    finally:
        staff.locator("#reopen").click()
    page.locator("#home:not([hidden])").wait_for()
    staff.goto(f"{booth.url}/booth/staff?lang=en")
    staff.get_by_text("Stop drawing and close").wait_for()
    assert not [text for text in staff.locator("main").inner_text().splitlines() if re.search("[가-힣]", text)]
    staff.context.close()


def test_nobody_there_and_the_page_begins_anew(visit: "Callable[..., Page]", engine: Any, guard: Any, tmp_path: Path) -> None:
    kiosk = Booth(engine, guard, tmp_path / "kiosk", compare=False, kiosk=True, idle_s=4, lan_url="")
    try:
        page = visit("kiosk", kiosk.url)
        page.locator("#language").click()
        page.locator("#prompt").fill("남의 문장")
        page.locator("#idle[open]").wait_for()
        page.get_by_text("Are you still there?").wait_for()
        page.locator("#idle [data-close]").click()
        page.locator("#idle[open]").wait_for()
        until(lambda: page.wait_for_timeout(100) or page.locator("#prompt").input_value() == "", 20)
        assert page.locator("html").get_attribute("lang") == "ko" and page.locator("#home").is_visible()
        draw(page)
        assert page.locator("#take-file").count() == 0 and page.locator("#take-qr").count() == 0, "nothing is saved onto the booth's own screen"
    finally:
        kiosk.stop()


def test_a_server_that_comes_back_is_found_again(visit: "Callable[..., Page]", engine: Any, guard: Any, tmp_path: Path) -> None:
    first = Booth(engine, guard, tmp_path / "first", compare=False)
    page = visit("laptop", first.url)
    page.locator("#prompt").fill(PROMPT)
    first.stop()
    page.get_by_text("연결이 잠시 끊겼습니다").wait_for()
    second = Booth(engine, guard, tmp_path / "first", compare=False, port=first.port)
    try:
        page.locator("#chips .chip").first.wait_for()
        until(lambda: page.wait_for_timeout(100) or (page.locator("#network").is_hidden() and page.locator("#prompt").input_value() == PROMPT), 30)
        page.locator("#draw").click()
        page.locator("#after:not([hidden])").wait_for(timeout=120_000)
    finally:
        second.stop()
