"""Marks on pictures that leave: seen on any ground at any size, and read back from the bytes."""

import io
from typing import Any

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from kimchi import __version__
from kimchi.generation import mark
from kimchi.generation.mark import TEXTS, marked, marked_png
from kimchi.generation.provenance import KINDS, SOURCE_TYPE, read_provenance


def _record() -> dict[str, Any]:
    made = {kind: {str: "", int: 0, dict: {}, bool: True}.get(kind, 0) for kind in (str, int, dict, bool)}
    record = {key: made.get(kind, 0.0) if isinstance(kind, type) else 0.0 for key, kind in KINDS.items()}
    return record | {"prompt": "파란 한복", "seed": 7, "miniature": True, "made_by": {"version": __version__}, "DigitalSourceType": SOURCE_TYPE}


@pytest.mark.parametrize("side", [128, 512, 1024])
@pytest.mark.parametrize("ground", [(250, 250, 246), (8, 8, 10), (128, 128, 128)])
@pytest.mark.parametrize("language", [*TEXTS, "xx"])
def test_it_can_be_read_on_any_ground(side: int, ground: tuple[int, int, int], language: str) -> None:
    plain = Image.new("RGB", (side, side), ground)
    seen = np.asarray(marked(plain, language).convert("L"), dtype=float)
    changed = np.argwhere(np.abs(seen - np.asarray(plain.convert("L"), dtype=float)) > 3)
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert bottom - top >= 14 and top > side * 0.8, "letters of at least 12 px, in the lower corner"
    assert right < side and left > side * 0.25
    inside = seen[top : bottom + 1, left : right + 1]
    assert np.percentile(inside, 97) > 235 and np.percentile(inside, 30) < 80, "light letters on a dark plate: a contrast of more than 7 to 1"
    assert plain.getpixel((side - 6, side - 6)) == ground, "the picture given stays as it is"


def test_words_differ_and_the_font_has_their_signs() -> None:
    drawn = {marked(Image.new("RGB", (256, 256)), language).tobytes() for language in TEXTS}
    assert len(drawn) == len(TEXTS)
    signs = set(TTFont(mark.resources.files("kimchi.generation") / "font" / "KimchiMark-Bold.otf").getBestCmap())
    assert {ord(sign) for text in TEXTS.values() for sign in text} <= signs


@pytest.mark.parametrize("size", [(16, 16), (64, 8), (8, 64), (1, 1), (640, 200)])
def test_any_size_and_mode(size: tuple[int, int]) -> None:
    assert marked(Image.new("RGBA", size), "en").size == size
    assert marked(Image.new("L", size)).mode == "RGB"


def test_both_marks_are_read_back(tmp_path: Any) -> None:
    png = marked_png(Image.new("RGB", (128, 128), "white"), _record(), "ko")
    assert png == marked_png(Image.new("RGB", (128, 128), "white"), _record(), "ko"), "nothing in it tells the time"
    with Image.open(io.BytesIO(png)) as image:
        assert SOURCE_TYPE in image.info["XML:com.adobe.xmp"] and image.info["DigitalSourceType"] == SOURCE_TYPE
        assert image.convert("L").getextrema()[0] < 80
    (tmp_path / "taken.png").write_bytes(png)
    record = read_provenance(tmp_path / "taken.png")
    assert record["visible_mark"] == "AI 생성" and record["miniature"] is True and record["prompt"] == "파란 한복"
