"""The booth's parts, each by itself."""

import json
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kimchi.data.cultures import load_culture
from kimchi.data.sample_world import worlds
from kimchi.demo import check, words
from kimchi.demo.chips import Offer
from kimchi.demo.gallery import Gallery
from kimchi.demo.journal import Journal
from kimchi.demo.keepsakes import Keepsakes, qr_svg
from kimchi.demo.offline import tidy
from kimchi.demo.settings import Settings
from kimchi.demo.staff import Door, new_pin, temperatures
from kimchi.errors import OutputError, PromptError, RequestError

TEXTS = Path(words.__file__).parent / "texts"


def test_every_text_exists_in_both_languages_with_the_same_slots() -> None:
    import re

    ko, en = (json.loads((TEXTS / f"{tag}.json").read_text(encoding="utf-8")) for tag in ("ko", "en"))
    assert list(ko) == list(en)
    for key, text in ko.items():
        assert text.strip() and en[key].strip()
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", en[key])), key
        if key not in ("switch_language", "arm_kimchi", "title"):
            assert re.search("[가-힣]", text), key
    # Names of buttons and marks apart, nothing Korean is left on the English page.
    assert {key for key, text in en.items() if re.search("[가-힣]", text)} == {"switch_language"}


def test_the_fonts_hold_every_sign_of_the_texts_and_every_syllable_that_is_typed() -> None:
    ttlib = pytest.importorskip("fontTools.ttLib", reason="needs fontTools: pip install -e '.[eval]'")
    regular, bold = (set(ttlib.TTFont(TEXTS.parent / "static" / "font" / f"KimchiKR-{weight}.woff2").getBestCmap()) for weight in ("Regular", "Bold"))
    said = {ord(sign) for tag in ("ko", "en") for text in words.words(tag).values() for sign in text if sign != "\n"}
    assert {chr(one) for one in said - regular} == set() and {chr(one) for one in said - bold} == set()
    assert set(range(ord("가"), ord("힣") + 1)) <= regular


def test_what_the_miniature_is_offered_it_knows(guard: object) -> None:
    offer = Offer(load_culture("ko"), miniature=True)
    known = [concept.ko for concept in worlds("korean")]
    for one in offer.suggestions():
        assert sum(name in one.text for name in known) == 1, one.text
    assert [len(chosen) for _, chosen in offer.themes] == [4, 4, 4]
    assert {style.name for style in offer.styles} == {"노을", "밤"}


@pytest.mark.parametrize("culture", ["ko", "ja"])
def test_suggestions_are_never_blocked_and_always_name_something(culture: str, guard: object) -> None:
    from kimchi.generation.prompts import as_drawn
    from kimchi.generation.safety import Guard

    assert isinstance(guard, Guard)
    offer = Offer(load_culture(culture), miniature=False)
    assert offer.suggestions()
    for one in offer.suggestions():
        guard.check_prompts([one.text, one.en])
        assert as_drawn(one.text)
        for style in offer.styles:
            guard.check_prompts([offer.styled(one.text, style.name)])


def test_a_style_is_laid_over_what_is_asked_for_not_over_the_request() -> None:
    offer = Offer(load_culture("ko"), miniature=False)
    assert offer.styled("한국의 라면을 그려줘", "수묵화") == "수묵화로 그린 한국의 라면"
    assert offer.styled("한국의 라면을 그려줘", "없는 것") == "한국의 라면을 그려줘"
    with pytest.raises(PromptError):
        offer.styled("그려줘", "수묵화")


def test_the_gallery_is_bounded_and_keeps_no_words() -> None:
    from PIL import Image

    gallery = Gallery(3)
    for shade in range(5):
        gallery.add(Image.new("RGB", (640, 640), (shade, 0, 0)))
    assert gallery.numbers() == [5, 4, 3] and gallery.get(1) is None
    assert gallery.remove(4) and not gallery.remove(4) and gallery.numbers() == [5, 3]
    hung = gallery.get(5)
    assert hung and b"trainedAlgorithmicMedia" in hung and b"prompt" not in hung


def test_keepsakes_have_long_names_and_a_time() -> None:
    now = [0.0]
    kept = Keepsakes(2, 10, lambda: now[0])
    first, second, third = (kept.add(bytes([n])) for n in range(3))
    assert kept.get(first) is None and kept.get(second) == b"\x01" and kept.get(third) == b"\x02"
    assert len(set((first, second, third))) == 3 and min(map(len, (first, second, third))) >= 22
    now[0] = 11
    assert kept.get(third) is None
    assert qr_svg("http://192.0.2.7:7860/booth/take/x").startswith("<svg")


def test_the_journal_survives_being_killed_and_turns_the_day(tmp_path: Path) -> None:
    now = [datetime(2027, 1, 7, 23, 59).astimezone()]
    journal = Journal(tmp_path, lambda: now[0])
    journal.rate(3, seed=7, model="mini")
    journal.count("drawn")
    journal.closed, journal.hall = True, "dark"
    journal.keep()
    again = Journal(tmp_path, lambda: now[0])
    assert again.closed and again.hall == "dark" and again.counts()["drawn"] == 1 and again.counts()["rated"] == 1
    (line,) = (tmp_path / "booth_ratings.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert told["value"] == 3 and told["booth"] is True and "prompt" not in told
    now[0] += timedelta(minutes=2)
    assert again.counts()["drawn"] == 0
    (tmp_path / "booth_state.json").write_text('{"closed": tr', encoding="utf-8")
    assert not Journal(tmp_path, lambda: now[0]).closed


def test_a_full_disk_is_told_for_a_rating(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "booth_ratings.jsonl").mkdir()
    with pytest.raises(OutputError, match="--out"):
        journal.rate(1)


def test_a_booth_never_shares_a_study_s_folder(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    with pytest.raises(RequestError, match="study"):
        Settings(folder=tmp_path)


@pytest.mark.parametrize("pin", ["123", "0000", "가가가가"])
def test_an_easy_pin_is_refused_and_none_is_printed_by_accident(pin: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="PIN"):
        Settings(folder=tmp_path, pin=pin)
    assert "4821" not in repr(Settings(folder=tmp_path, pin="48215"))


def test_the_door_shuts_for_longer_and_longer() -> None:
    now = [0.0]
    door = Door("4821", lambda: now[0])
    assert not Door("").there and not Door("").enter("")
    session = door.enter("4821")
    assert session and door.knows(session) and not door.knows("x")
    assert [door.enter(f"{n}") for n in range(5)] == [""] * 5 and door.pause_s() == 30
    assert not door.enter("4821"), "shut for the right PIN too"
    now[0] = 31
    assert not door.enter("0") and door.pause_s() == 60
    now[0] = 92
    assert door.enter("4821") and door.pause_s() == 0
    now[0] = 92 + 13 * 3600
    assert not door.knows(session)
    assert len(new_pin()) == 6


def test_temperatures_are_read_where_there_are_any(tmp_path: Path) -> None:
    for number, (kind, value) in enumerate((("x86_pkg_temp", "61000"), ("broken", "-1"), ("iwlwifi", "text"))):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{value}\n")
    assert temperatures(tmp_path) == {"x86_pkg_temp": 61.0} and temperatures(tmp_path / "none") == {}


def test_empty_folders_are_tidied_and_full_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "picture.png").touch()
    assert tidy(tmp_path) == 3 and [path.name for path in tmp_path.iterdir()] == ["d"]


def test_whoever_asks_another_machine_is_stopped_and_named() -> None:
    with check.no_outside() as outside:
        for reach in (lambda: socket.create_connection(("192.0.2.1", 80), 1), lambda: socket.getaddrinfo("example.invalid", 80)):
            with pytest.raises(OSError, match="no other machine"):
                reach()
        with socket.socket() as listening, socket.socket() as near:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            near.connect(listening.getsockname())
    assert outside.tried == ["192.0.2.1", "example.invalid"]
