"""Text as shapes: how wide a line is, and its outlines, from the font that ships beside this file.

A figure goes into papers and onto machines that have no Korean font. Outlines of our own font look the same on all of them.
"""

import base64
import io
from functools import cache
from importlib import resources
from typing import Any

from fontTools import subset
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont

FAMILY = "Kimchi Report KR"
"""A subset of Noto Sans CJK KR under the SIL Open Font License; font/OFL.txt says what it holds."""
_WIDE, _NARROW = 0.92, 0.56
"""Widths in ems, for signs that the font does not have: those of Hangul, and of all others."""


def width(words: str, size: float) -> float:
    """Of one line set in this size, in the units of the size."""
    return sum(_advance(sign) for sign in words) * size


def lacking(words: str) -> set[str]:
    """Signs that the font has no glyph for."""
    return {sign for sign in words if ord(sign) not in _font()[1]}


def advances(words: str) -> list[tuple[str, float]]:
    """Each sign's name in the font and where it starts, in the font's own units."""
    _, names, _, em = _font()
    made: list[tuple[str, float]] = []
    x = 0.0
    for sign in words:
        made.append((names[ord(sign)], x))
        x += _advance(sign) * em
    return made


@cache
def outline(name: str) -> str:
    """The `d` of a path that draws a glyph, in the font's own units, y upwards; empty for a space."""
    glyphs = _font()[0]
    pen = SVGPathPen(glyphs, ntos=lambda number: f"{number:.0f}")
    glyphs[name].draw(pen)
    return pen.getCommands()


def units() -> float:
    """Of the font, to one em."""
    return _font()[3]


def font_face(words: str) -> str:
    """An @font-face of the glyphs that a text needs, as CSS with the font inside; the same bytes for the same text."""
    font, known = _read(), _font()[1]
    options = subset.Options(layout_features=["kern"], hinting=False, flavor="woff", recalc_timestamp=False)
    options.name_IDs = [0, 1, 2, 13, 14]
    cut = subset.Subsetter(options)
    cut.populate(unicodes=sorted(ord(sign) for sign in {*words, "\u00a0", "?"} if ord(sign) in known))
    cut.subset(font)
    file = io.BytesIO()
    subset.save_font(font, file, options)
    address = base64.b64encode(file.getvalue()).decode()
    return f'@font-face {{ font-family: "{FAMILY}"; src: url(data:font/woff;base64,{address}) format("woff"); }}'


def _read() -> TTFont:
    file = resources.files("kimchi.eval.study.report") / "font" / "KimchiReportKR.woff"
    return TTFont(io.BytesIO(file.read_bytes()), recalcTimestamp=False)


@cache
def _font() -> tuple[Any, dict[int, str], Any, float]:
    """Glyphs, sign -> name, advances, units an em."""
    font = _read()
    head: Any = font["head"]
    return font.getGlyphSet(), font.getBestCmap() or {}, font["hmtx"], float(head.unitsPerEm)


@cache
def _advance(sign: str) -> float:
    _, names, advances, em = _font()
    if ord(sign) in names:
        return advances[names[ord(sign)]][0] / em
    return _WIDE if ord(sign) >= 0x1100 else _NARROW
