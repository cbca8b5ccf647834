"""The booth's Korean fonts: whole, licensed, and able to write whatever is typed and whatever we say."""

import re
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from kimchi.data.fonts import SYLLABLES, common_signs, cut
from kimchi.errors import DataError

pytest.importorskip("brotli", reason="needs brotli, without which woff2 cannot be opened: pip install -e '.[dev]'")
FONTS = Path(__file__).parents[2] / "kimchi" / "demo" / "static" / "font"


@pytest.mark.parametrize(("style", "weight"), [("Regular", 400), ("Bold", 700)])
def test_each_is_whole_and_says_what_it_is(style: str, weight: int) -> None:
    path = FONTS / f"KimchiKR-{style}.woff2"
    font = TTFont(path)
    signs = {chr(code) for code in font.getBestCmap()}
    assert path.stat().st_size < 700_000 and path.read_bytes()[:4] == b"wOF2"
    assert sum("가" <= sign <= "힣" for sign in signs) == {"Regular": 11_172, "Bold": 2_350}[style]
    assert set(map(chr, range(0x20, 0x7F))) | set("ㄱㅎㅏㅣ·…“”‘’「」①★♥→₩％") <= signs
    assert font["OS/2"].usWeightClass == weight
    names = {record.nameID: str(record) for record in font["name"].names}
    assert names[1] == "Kimchi KR" and names[2] == style and "Adobe" in names[0] and "Open Font License" in names[13]
    assert not any("noto" in names[number].lower() for number in (1, 3, 4, 6)), "a changed font has another name"


def test_regular_writes_every_syllable() -> None:
    assert {ord(sign) for sign in SYLLABLES} <= set(TTFont(FONTS / "KimchiKR-Regular.woff2").getBestCmap())


def test_what_the_pages_say_can_be_written(root: Path) -> None:
    files = [path for folder in ("texts", "templates") for path in (root / "kimchi" / "demo" / folder).glob("*.*")]
    said = {sign for path in files for sign in path.read_text(encoding="utf-8") if sign.isprintable()}
    bold = {chr(code) for code in TTFont(FONTS / "KimchiKR-Bold.woff2").getBestCmap()}
    assert {sign for sign in said if "가" <= sign <= "힣"} <= bold


def test_the_licence_lies_beside_every_font(root: Path) -> None:
    folders = {path.parent for kind in ("woff2", "woff", "otf", "ttf") for path in (root / "kimchi").rglob(f"*.{kind}")}
    assert len(folders) >= 2
    for folder in folders:
        text = (folder / "OFL.txt").read_text(encoding="utf-8")
        assert "SIL OPEN FONT LICENSE Version 1.1" in text and "Copyright 2014-2021 Adobe" in text
        for path in folder.glob("Kimchi*"):
            assert path.name in text and re.search(r"Modified Versions?", text)


def test_the_program_cuts_a_font_and_names_it_anew() -> None:
    source = FONTS / "KimchiKR-Bold.woff2"
    made = cut(source, frozenset("가나A"), family="Trial", style="Bold", flavor=None)
    assert made == cut(source, frozenset("가나A"), family="Trial", style="Bold", flavor=None) and len(made) < 5_000
    with pytest.raises(DataError, match="cannot be read as a font"):
        cut(FONTS / "OFL.txt", frozenset("A"), family="Trial")
    assert 3_000 < len(common_signs()) < 4_000
