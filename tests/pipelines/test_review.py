"""review.html: what people decide on it, in a real browser, is what `kimchi prepare` reads from then on."""

import base64
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from kimchi.data.cultures import Culture, load_culture
from kimchi.data.jsonl import read_records, write_records
from kimchi.data.readers import reader
from kimchi.data.sample_world.delivery import write_delivery
from kimchi.errors import DataError
from kimchi.pipelines.corrections import CORRECTIONS, Correction, read_corrections
from kimchi.pipelines.reading import unlike
from kimchi.pipelines.review import write_review
from kimchi.pipelines.run import prepare
from kimchi.recipes import PrepareRecipe
from kimchi.records import CaptionedRecord, Draft, DroppedRecord, ImageRecord, MadeBy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> & \u2028 라면 {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def culture() -> Culture:
    return load_culture("ko")


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("delivery") / "kfood.zip"
    write_delivery(path, ["ramyeon", "baechu_kimchi", "gimbap"], 6, seed=0)
    return path


@dataclass
class Run:
    folder: Path
    records: list[ImageRecord]
    captions: list[CaptionedRecord]
    rescuable: ImageRecord


def captioned(record: ImageRecord, culture: Culture, text: str = "", **changes: Any) -> CaptionedRecord:
    noun = culture.noun(record.labels[-1])
    return CaptionedRecord(
        id=record.id, path=record.path, labels=record.labels, box=record.box, caption_noun=noun, caption_ko=text or f"{noun}, 하얀 그릇에 담긴 음식",
        caption_en="a dish in a white bowl", caption_romanised="romanised", made_by=MadeBy(part="refiner:llama"), **changes,
    )  # fmt: skip


@pytest.fixture
def run(delivery: Path, culture: Culture, tmp_path: Path) -> Run:
    """A run folder as `prepare` leaves it: 17 captions, one that no model managed, and what the reader refused."""
    found = list(unlike(reader("aihub_food").read(delivery)))
    records = [record for record in found if isinstance(record, ImageRecord)]
    rescuable, *others = records
    captions = [captioned(record, culture, group=others[0].id if i < 2 else record.id, split="test" if i < 2 else "train") for i, record in enumerate(others)]
    unread = [record for record in found if isinstance(record, DroppedRecord)]
    folder = tmp_path / "run"
    write_records(folder / "records.jsonl", records)
    write_records(folder / "drafts.jsonl", [Draft(id=record.id, text_en="A bowl on a table.") for record in records])
    write_records(folder / "captions.jsonl", captions)
    write_records(folder / "captions.dropped.jsonl", [*unread, DroppedRecord(path=rescuable.path, reason="no noun in it.", labels=rescuable.labels)])
    return Run(folder, records, captions, rescuable)


def data_of(page: Path) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found)


def cards_of(page: Path) -> list[dict[str, Any]]:
    return data_of(page)["cards"]


def test_the_page_holds_every_picture_kept_or_dropped(run: Run, culture: Culture) -> None:
    page = write_review(run.folder, culture, tries={run.captions[3].id: 2})
    cards, data = cards_of(page), data_of(page)
    assert page == run.folder / "review.html" and not list(run.folder.glob(".*.part"))
    assert (data["kept"], data["dropped"], len(cards)) == (17, 3, 20) and data["run"] == str(run.folder)
    by_id = {card["id"]: card for card in cards if card["id"]}
    assert len(by_id) == 18  # what the reader refused has no id, and no correction can name it
    card = by_id[run.captions[3].id]
    assert (card["tries"], card["draft"], card["by"], card["split"]) == (2, "A bowl on a table.", "refiner:llama", "train")
    assert by_id[run.rescuable.id]["reason"] == "no noun in it." and by_id[run.rescuable.id]["noun"] == culture.noun(run.rescuable.labels[-1])
    with Image.open(io.BytesIO(base64.b64decode(card["picture"]))) as image:
        assert image.format == "JPEG" and max(image.size) <= 160


def test_a_picture_that_cannot_be_read_says_why(run: Run, culture: Culture) -> None:
    lost = captioned(ImageRecord(id="lost", path="gone.zip!a.jpg", labels=("면", "라면")), culture)
    write_records(run.folder / "captions.jsonl", [*run.captions, lost])
    cards = cards_of(write_review(run.folder, culture))
    [card] = [card for card in cards if card["id"] == "lost"]
    assert not card["picture"] and card["unseen"].startswith("no such file")
    assert [card["unseen"] != "" for card in cards].count(True) == 2  # and the delivery's own cut picture


def test_hostile_text_stays_text(run: Run, culture: Culture) -> None:
    hostile = captioned(run.records[1], culture, HOSTILE, group=HOSTILE)
    write_records(run.folder / "captions.jsonl", [hostile])
    write_records(run.folder / CORRECTIONS, [Correction(id="__proto__", caption_ko=HOSTILE, note=HOSTILE)])
    page = write_review(run.folder, culture, credit=HOSTILE)
    assert "<img" not in page.read_text(encoding="utf-8") and data_of(page)["terms"]["credit"] == HOSTILE
    assert data_of(page)["corrections"][0]["caption_ko"] == HOSTILE
    assert [card["text"] for card in cards_of(page) if card["id"] == hostile.id] == [HOSTILE]


def test_a_second_member_of_a_kept_ones_name_does_not_answer_to_its_id(run: Run, culture: Culture) -> None:
    twin = DroppedRecord(path=run.captions[0].path, reason="a second member of this name", labels=run.captions[0].labels)
    write_records(run.folder / "captions.dropped.jsonl", [twin])
    cards = cards_of(write_review(run.folder, culture))
    assert [card["id"] for card in cards if card["dropped"]] == [""]


def shown(run: Run, culture: Culture, limit: int, **more: Any) -> list[dict[str, Any]]:
    cards = cards_of(write_review(run.folder, culture, limit=limit, thumb_px=16, **more))
    assert len(cards) == limit
    return cards


def test_a_sample_takes_what_asks_for_attention_then_evenly_over_labels(run: Run, culture: Culture) -> None:
    flagged, retried, corrected = run.captions[8], run.captions[9], run.captions[10]
    write_records(run.folder / "records.jsonl", [record if record.id != flagged.id else flag(record) for record in run.records])
    write_records(run.folder / CORRECTIONS, [Correction(id=corrected.id, drop=True)])
    cards = shown(run, culture, 12, tries={retried.id: 3})
    assert {flagged.id, retried.id, corrected.id, run.rescuable.id} <= {card["id"] for card in cards}
    assert sum(card["dropped"] for card in cards) == 3
    others = [card["noun"] for card in cards if not card["dropped"] and card["id"] not in (flagged.id, retried.id, corrected.id)]
    assert sorted(others.count(noun) for noun in set(others)) == [2, 2, 2]
    assert shown(run, culture, 12, tries={retried.id: 3}) == cards
    # Too many that ask for attention: the ones a person decided stay, and a quarter is left to the others.
    few = shown(run, culture, 4, tries={retried.id: 3})
    assert corrected.id in {card["id"] for card in few} and flagged.id in {card["id"] for card in few}
    assert sum(card["id"] not in (corrected.id, flagged.id, retried.id) for card in few) == 1


def flag(record: ImageRecord) -> ImageRecord:
    return ImageRecord(id=record.id, path=record.path, labels=record.labels, box=record.box, flags=("face",))


def test_terms_come_from_the_manifest(run: Run, culture: Culture) -> None:
    assert data_of(write_review(run.folder, culture))["terms"] == {"credit": "", "sample": False}
    (run.folder / "manifest.json").write_text(json.dumps({"credit": "AIHub"}))
    assert data_of(write_review(run.folder, culture))["terms"] == {"credit": "AIHub", "sample": False}
    credit = "KIMCHI sample world: drawings"
    assert data_of(write_review(run.folder, culture, credit=credit))["terms"] == {"credit": credit, "sample": True}


def test_without_captions_it_says_so(culture: Culture, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"captions\.jsonl: cannot be read"):
        write_review(tmp_path, culture)


def test_both_languages_say_the_same_things() -> None:
    texts = json.loads((Path(__file__).parents[2] / "kimchi/pipelines/templates/review_texts.json").read_text(encoding="utf-8"))
    assert texts["ko"].keys() == texts["en"].keys()
    for key, text in texts["ko"].items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", texts["en"][key])), key


# In a browser


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    opened = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 900}, offline=True)
    # A headless browser has no dialog to choose a file in.
    opened.add_init_script("delete window.showSaveFilePicker")
    yield opened
    opened.close()


@pytest.fixture
def faults(context: "BrowserContext") -> Iterator[list[str]]:
    """Every error of a page and every request that is not its own file; a test with any has failed."""
    found: list[str] = []
    context.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda error: found.append(str(error.error)))
    context.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else found.append(request.url))
    yield found
    assert found == []


def opened(context: "BrowserContext", path: Path) -> "Page":
    page = context.new_page()
    page.goto(path.as_uri())
    return page


def card(page: "Page", record: CaptionedRecord | ImageRecord) -> Any:
    number = page.evaluate("id => data.cards.findIndex(card => card.id === id)", record.id)
    return page.locator(f'.card[data-number="{number}"]')


def count(page: "Page") -> int:
    return page.locator(".card:not([hidden])").count()


def saved(page: "Page", to: Path) -> dict[str, Correction]:
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == CORRECTIONS
    download.value.save_as(to)
    page.locator("#saved button").click()
    return read_corrections(to)


def expecting(page: "Page", selector: str, text: str) -> None:
    page.locator(selector, has_text=text).first.wait_for(timeout=5000)


def test_a_person_corrects_and_drops_and_it_is_kept(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    corrected, dropped = run.captions[5], run.captions[7]
    before = [Correction(id=run.captions[2].id, caption_ko="전에 고친 라면"), Correction(id="not on the page", drop=True, note="전에")]
    write_records(run.folder / CORRECTIONS, before)
    path = write_review(run.folder, culture)
    page = opened(context, path)

    # Filter
    assert count(page) == 20
    page.locator("#search").fill("김밥")
    expecting(page, "#count", "20장 중 6장")
    page.locator("#search").fill("")
    page.locator("#state").select_option("dropped")
    assert count(page) == 3
    page.locator("#clear").click()
    assert count(page) == 20

    # Correct one by the keyboard, drop one
    card(page, corrected).click()
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("고친 <b>캡션</b>")
    expecting(page, ".warning", corrected.caption_noun)
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(f"고친 {corrected.caption_noun}, <b>'큰 그릇'</b>")
    page.keyboard.press("Enter")
    card(page, dropped).click()
    page.keyboard.press("d")
    card(page, dropped).locator("input.why").fill("흐리다")

    # Still there after a reload
    page.locator("#search").focus()
    page.reload()
    assert card(page, corrected).locator(".caption").inner_text() == f"고친 {corrected.caption_noun}, <b>'큰 그릇'</b>"
    assert "뺌" in card(page, dropped).inner_text() and page.locator("#save").inner_text() == "저장 · 2건"
    page.locator("#state").select_option("mine")
    assert count(page) == 2

    # Save, and put it where it belongs
    found = saved(page, run.folder / CORRECTIONS)
    assert found == {
        **{correction.id: correction for correction in before},
        corrected.id: Correction(id=corrected.id, caption_ko=f"고친 {corrected.caption_noun}, <b>'큰 그릇'</b>", caption_en="a dish in a white bowl"),
        dropped.id: Correction(id=dropped.id, drop=True, note="흐리다"),
    }
    assert page.locator("#save").inner_text() == "저장"

    # The next page knows them as decided before, and has nothing of its own to save
    write_review(run.folder, culture)
    page.reload()
    assert "전에 고침" in card(page, corrected).inner_text() and "전에 뺌" in card(page, dropped).inner_text()
    assert page.locator("#save").inner_text() == "저장" and saved(page, run.folder / "again.jsonl") == found


def test_undo_rescue_and_taking_back(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    taken_back = run.captions[2]
    write_records(run.folder / CORRECTIONS, [Correction(id=taken_back.id, drop=True)])
    page = opened(context, write_review(run.folder, culture))
    for record in run.captions[4:6]:
        card(page, record).click()
        page.keyboard.press("d")
    page.reload()
    card(page, run.captions[9]).click()
    page.keyboard.press("u")  # the last decision, wherever one is and even after a reload
    card(page, taken_back).locator("button.keep").click()
    card(page, run.rescuable).locator("button.edit").click()
    page.keyboard.insert_text("   ")
    page.keyboard.press("Enter")
    expecting(page, ".warning", "비어")
    page.keyboard.insert_text("되살린 캡션")
    page.keyboard.press("Enter")
    assert "되살림" in card(page, run.rescuable).inner_text()
    expected = [Correction(id=run.captions[4].id, drop=True), Correction(id=run.rescuable.id, caption_ko="되살린 캡션")]
    assert saved(page, run.folder / CORRECTIONS) == {correction.id: correction for correction in expected}


def test_decisions_outlive_new_captions_and_a_lost_browser(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    first, second = run.captions[4:6]
    page = opened(context, write_review(run.folder, culture))
    card(page, first).locator("button.drop").click()
    write_records(run.folder / "captions.jsonl", run.captions[:-1])  # another set of captions, and nothing was saved
    write_review(run.folder, culture)
    page.reload()
    assert page.locator(".card.changed").count() == 0
    page.locator("#bring").click()
    assert page.locator(".card.changed").count() == 1 and not page.locator("#left-over").is_visible()

    old = run.folder / "old.jsonl"
    write_records(old, [Correction(id=first.id, caption_ko="다른 결정"), Correction(id=second.id, drop=True)])
    page.locator("#file").set_input_files(old)
    expecting(page, "#said", "결정 1건을 가져왔습니다. 1건은")
    assert saved(page, run.folder / CORRECTIONS) == {record.id: Correction(id=record.id, drop=True) for record in (first, second)}
    old.write_text('{"id": "x"}\nnot a correction\n')
    page.locator("#file").set_input_files(old)
    expecting(page, "#said", "2번째 줄")


def test_search_and_filters(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    late = captioned(run.records[-1], culture, "둥근 하얀 접시에 담긴 음식, 김밥")
    write_records(run.folder / "captions.jsonl", [*run.captions[:-1], late])
    page = opened(context, write_review(run.folder, culture))
    for typed, hits in (("김밥", 6), (unicodedata.normalize("NFD", "김밥"), 6), ("김바", 6), ("김ㅂ", 12), ("ROMANISED", 17)):
        page.locator("#search").fill(typed)
        expecting(page, "#count", f"20장 중 {hits}장")
        assert count(page) == hits, typed
    page.locator("#clear").click()
    page.locator("#late").check()
    assert count(page) == 1
    page.locator("#clear").click()
    page.locator("#split").select_option("test")
    assert count(page) == 2
    page.locator("#clear").click()
    page.locator("#shortest").fill(str(len(late.caption_ko)))
    page.locator("#longest").fill(str(len(late.caption_ko)))
    assert late.caption_noun in page.locator(".card:not([hidden])").first.inner_text()
    page.locator("#clear").click()
    page.locator("#scenes").check()
    assert page.locator("main > h2").all_inner_texts() == ["같은 장면 2장", "한 장뿐인 장면"]


@pytest.mark.parametrize(("width", "locale", "title"), [(390, "ko-KR", "캡션"), (390, "en-US", "Edit"), (1280, "en-US", "Edit")])
def test_it_speaks_both_languages_at_any_width(run: Run, culture: Culture, browser: "Browser", width: int, locale: str, title: str) -> None:
    with browser.new_context(locale=locale, viewport={"width": width, "height": 844}, offline=True) as context:
        page = opened(context, write_review(run.folder, culture))
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("html").get_attribute("lang") == locale[:2]
        assert title in page.locator("body").inner_text()
        other = "en" if locale.startswith("ko") else "ko"
        page.locator(f"#to-{other}").click()
        page.reload()
        assert page.locator("html").get_attribute("lang") == other and page.title() != "KIMCHI"
        controls = "[...document.querySelectorAll('button, input:not([hidden]), select')]"
        assert page.evaluate(f"{controls}.filter(one => !(one.textContent || one.ariaLabel || one.labels?.length)).length") == 0


def test_hostile_text_runs_nothing_and_a_korean_keyboard_works(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    hostile = captioned(run.records[1], culture, HOSTILE, group=HOSTILE)
    write_records(run.folder / "captions.jsonl", [hostile])
    page = opened(context, write_review(run.folder, culture, credit=HOSTILE))
    assert "<img src=x" in card(page, hostile).locator(".caption").inner_text() and page.title() == "KIMCHI 캡션 검수"
    assert page.locator("img:not(.picture img)").count() == 0
    page.locator(".card").first.focus()
    press = "key => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: key[0], code: key[1], bubbles: true}))"
    card(page, hostile).focus()
    page.evaluate(press, ["ㅇ", "KeyD"])
    assert "뺌" in card(page, hostile).inner_text()


def test_a_chosen_place_is_written_and_a_refusal_is_told(run: Run, culture: Culture, browser: "Browser") -> None:
    with browser.new_context(locale="ko-KR") as context:
        context.add_init_script("""window.written = []; window.showSaveFilePicker = async () => ({createWritable: async () => ({
            write: async text => { if (window.full) throw new Error("full"); written.push(text) }, close: async () => {}})})""")
        page = opened(context, write_review(run.folder, culture))
        card(page, run.captions[0]).locator("button.drop").click()
        page.evaluate("window.full = true")
        page.locator("#save").click()
        expecting(page, "#said", "full")
        page.evaluate("window.full = false")
        page.locator("#save").click()
        expecting(page, "#saved", "저장했습니다")
        assert [json.loads(text)["id"] for text in page.evaluate("written")] == [run.captions[0].id]
        assert str(run.folder) in page.locator("#saved").inner_text()


def test_two_thousand_pictures_stay_quick(run: Run, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    many: Sequence[CaptionedRecord] = [
        CaptionedRecord(id=f"{i:016x}", path=run.captions[i % 17].path, labels=("면", "라면"), caption_noun="라면", caption_ko=f"라면 {i}") for i in range(2500)
    ]
    write_records(run.folder / "captions.jsonl", many)
    page = opened(context, write_review(run.folder, culture))
    assert count(page) == 2000 and "2,503장 가운데 2,000장" in page.locator("#sample").inner_text()
    assert page.locator(".card img[src]").count() < 200  # those near the window, no more
    spent = page.evaluate(
        "() => { const began = performance.now(); at('search').value = '라면 7'; filter(); document.body.offsetHeight; return performance.now() - began }"
    )
    assert spent < 1000  # 30 ms on an idle machine


def test_a_correction_wins_when_prepare_runs_again(delivery: Path, tmp_path: Path, culture: Culture, context: "BrowserContext", faults: list[str]) -> None:
    job = PrepareRecipe.model_validate({"kind": "prepare", "name": "t", "reader": "aihub_food", "source": str(delivery), "out": str(tmp_path / "run")})
    folder = prepare(job).folder
    first, second, *others = list(read_records(folder / "captions.jsonl", CaptionedRecord))
    page = opened(context, folder / "review.html")
    card(page, first).locator("button.edit").click()
    page.locator("textarea[name=caption_ko]").fill("사람이 고친 라면")
    page.locator("button.apply").click()
    card(page, second).locator("button.drop").click()
    saved(page, folder / CORRECTIONS)
    prepare(job)
    after = list(read_records(folder / "captions.jsonl", CaptionedRecord))
    assert (after[0].id, after[0].caption_ko, after[0].made_by.part) == (first.id, "사람이 고친 라면", "person")
    assert [record.id for record in after[1:]] == [record.id for record in others]
    page.reload()
    assert "전에 고침" in card(page, first).inner_text() and "전에 뺌" in card(page, second).inner_text()
    card(page, second).locator("button.keep").click()  # a person may think again
    saved(page, folder / CORRECTIONS)
    prepare(job)
    assert {record.id for record in read_records(folder / "captions.jsonl", CaptionedRecord)} == {first.id, second.id, *(one.id for one in others)}
