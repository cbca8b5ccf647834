"""The mark on a picture that leaves: "AI 생성" in a corner, for people, and DigitalSourceType in its metadata, for machines.

Korea's AI Basic Act, Article 31, asks that generated pictures be labelled; by the ministry's guideline of January 2026 a mark that people can see is
one way once a file is downloaded or shared, and this is that way. The EU's AI Act, Article 50(2), asks for a machine-readable mark: the XMP packet
with IPTC's DigitalSourceType is one. It is not signed, and there is no invisible watermark, both of which the EU's Code of Practice wants as well; anybody
can crop the one and strip the other. A signature (C2PA) would go over the finished file, after `marked_png`.
"""

from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .provenance import png_bytes

TEXTS = {"ko": "AI 생성", "en": "AI-generated", "ja": "AI生成"}
"""What the mark says, by language; English where a language has none. The font that ships beside this file holds exactly these signs."""
_SHARE, _LEAST_PX = 0.034, 12
"""Height of the letters: a share of the shorter side, and the fewest pixels at which Hangul can be read."""
_SMOOTH = 4
"""The plate is drawn so much larger and made smaller, for round corners."""


def marked(image: Image.Image, language: str = "ko") -> Image.Image:
    """The picture with the visible mark in its lower right corner: white letters on a dark plate with a light rim, to be seen on snow and at night.

    Args:
        image: any size; RGB comes back, and the one given stays as it is.
        language: a key of TEXTS.
    """
    picture = image.convert("RGB") if image.mode != "RGB" else image.copy()
    plate = _plate(TEXTS.get(language, TEXTS["en"]), max(_LEAST_PX, round(min(picture.size) * _SHARE)))
    if plate.width > picture.width:  # narrower than the words: a thumbnail
        plate = plate.resize((picture.width, max(1, plate.height * picture.width // plate.width)), Image.Resampling.LANCZOS)
    edge = min(max(2, min(picture.size) // 64), picture.width - plate.width, max(0, picture.height - plate.height))
    picture.paste(plate, (picture.width - plate.width - edge, picture.height - plate.height - edge), plate)
    return picture


def marked_png(image: Image.Image, provenance: dict[str, Any], language: str = "ko") -> bytes:
    """A picture to take home: PNG with the visible mark, the machine-readable one, and its record, which says if a miniature drew it."""
    return png_bytes(marked(image, language), {**provenance, "visible_mark": TEXTS.get(language, TEXTS["en"])})


@cache
def _plate(text: str, letters_px: int) -> Image.Image:
    """RGBA."""
    font = _font(letters_px)
    left, top, right, bottom = font.getbbox(text)
    beside, above = round(letters_px * 0.55), round(letters_px * 0.36)
    # Not this text's own height: a plate without descenders would be lower than one with.
    size = (round(right - left) + 2 * beside, letters_px + 2 * above)
    plate = _rounded(size, round(size[1] * 0.32), max(1, letters_px // 14))
    at = ((size[0] - (right - left)) / 2 - left, (size[1] - (bottom - top)) / 2 - top)
    ImageDraw.Draw(plate).text(at, text, font=font, fill=(255, 255, 255, 255))
    return plate


def _rounded(size: tuple[int, int], radius: int, rim: int) -> Image.Image:
    large = Image.new("RGBA", (size[0] * _SMOOTH, size[1] * _SMOOTH))
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, large.width - 1, large.height - 1), radius * _SMOOTH, fill=(18, 18, 20, 214), outline=(255, 255, 255, 150), width=rim * _SMOOTH
    )
    return large.resize(size, Image.Resampling.LANCZOS)


@cache
def _font(letters_px: int) -> ImageFont.FreeTypeFont:
    file = resources.files("kimchi.generation") / "font" / "KimchiMark-Bold.otf"
    return ImageFont.truetype(BytesIO(file.read_bytes()), letters_px)
