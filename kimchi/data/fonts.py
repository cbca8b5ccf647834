r"""Korean fonts that ship with the package, cut from Noto Sans CJK: only the signs that are needed, under a name of our own.

Made again, with Debian's fonts-noto-cjk and `pip install fonttools brotli`, by

    python -m kimchi.data.fonts NotoSansCJK-Regular.ttc kimchi/demo/static/font/KimchiKR-Regular.woff2
    python -m kimchi.data.fonts NotoSansCJK-Bold.ttc kimchi/demo/static/font/KimchiKR-Bold.woff2 --style Bold --signs common
    python -m kimchi.data.fonts NotoSansCJK-Bold.ttc kimchi/generation/font/KimchiMark-Bold.otf --family "Kimchi Mark" --style Bold \
        --signs "AI 생성-generated生成"

The OFL asks that its text and the copyright go along, and that no reserved name is kept. Noto CJK reserves none; "Noto" is a trademark, so
that a changed font has another name.
"""

import argparse
import io
from pathlib import Path
from typing import Any, cast

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.ttLib.ttCollection import TTCollection

from kimchi.data.files import write_bytes
from kimchi.errors import DataError

SYLLABLES = frozenset(chr(code) for code in range(0xAC00, 0xD7A4))
"""All 11,172 syllables of Hangul: what a visitor may type."""
_LATIN = frozenset(chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x180)))
_MORE = frozenset("–—‘’“”†‡•…‰′″‹›€₩№™−≈●○■□▲△▶◀◆◇★☆♥♡♪✓✗←↑→↓↔「」『』〈〉《》【】〔〕、。・～")
_KEPT_NAMES = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14]
"""Copyright, family, style, the other names, version, trademark, licence and its address: the OFL wants the first and the last two kept."""


def common_signs() -> frozenset[str]:
    """KS X 1001 without its Chinese characters (2,350 syllables, single letters, signs, Greek, kana, Cyrillic), Latin, and signs of a page."""
    pairs = (bytes((high, low)).decode("euc_kr", "ignore") for high in range(0xA1, 0xFF) for low in range(0xA1, 0xFF))
    korean = {sign for sign in pairs if sign and not _is_chinese(sign)}
    return frozenset(korean | _LATIN | _MORE)


def cut(source: Path, signs: frozenset[str], *, family: str, style: str = "Regular", flavor: str | None = "woff2") -> bytes:
    """The Korean face of a font file with these signs alone, renamed.

    Args:
        source: a .ttc whose faces include a Korean one, or a font of one face.
        family: its new name.
        style: Regular or Bold; must be what `source` is.
        flavor: woff2, woff, or None for bare OpenType.

    Returns:
        The file; the same fontTools makes the same bytes.

    Raises:
        DataError: no such file, no font, or no Korean face in it.
    """
    font = _korean_face(source)
    _rename(font, family, style)
    # Without subroutines: brotli then finds the repetition itself, and the file is a tenth smaller.
    options = subset.Options(layout_features=["kern"], hinting=False, flavor=flavor, recalc_timestamp=False, desubroutinize=True)
    options.name_IDs = _KEPT_NAMES
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE"]  # of vertical lines, which none of ours are
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=sorted(map(ord, signs)))
    cutter.subset(font)
    file = io.BytesIO()
    subset.save_font(font, file, options)
    return file.getvalue()


def _is_chinese(sign: str) -> bool:
    return "\u4e00" <= sign <= "\u9fff" or "\uf900" <= sign <= "\ufaff"


def _korean_face(source: Path) -> TTFont:
    try:
        # Tables are read when they are used, so that the faces which are not meant cost nothing.
        faces = cast(list[TTFont], TTCollection(str(source), lazy=True).fonts) if source.suffix == ".ttc" else [TTFont(source, recalcTimestamp=False)]
    except Exception as error:
        raise DataError(f"{source}: cannot be read as a font ({error}). Give NotoSansCJK-Regular.ttc, for example.") from error
    for face in faces:
        face.recalcTimestamp = False
        if len(faces) == 1 or str(cast(Any, face["name"]).getDebugName(1)).endswith(" KR"):
            return face
    raise DataError(f"{source}: none of its {len(faces)} faces is called ... KR. Give NotoSansCJK-Regular.ttc, for example.")


def _rename(font: TTFont, family: str, style: str) -> None:
    names = cast(Any, font["name"])
    # A second language's name would still be Noto's.
    names.names = [record for record in names.names if record.langID == 0x409]
    plain = f"{family.replace(' ', '')}-{style}"
    for number, name in ((1, family), (2, style), (3, plain), (4, f"{family} {style}"), (6, plain)):
        names.setName(name, number, 3, 1, 0x409)
    if "CFF " in font:
        table = cast(Any, font["CFF "]).cff
        table.fontNames = [plain]
        table[0].FullName, table[0].FamilyName = f"{family} {style}", family


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kimchi.data.fonts", description="Cut a Korean font to what is needed of it.")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, help="its suffix says the format: .woff2, .woff or .otf")
    parser.add_argument("--family", default="Kimchi KR")
    parser.add_argument("--style", default="Regular")
    parser.add_argument("--signs", default="all", help="all: every syllable of Hangul; common: those of KS X 1001; or the very text that must be written")
    given = parser.parse_args()
    signs = {"all": common_signs() | SYLLABLES, "common": common_signs()}.get(given.signs, frozenset(given.signs))
    flavor = None if given.out.suffix == ".otf" else given.out.suffix.removeprefix(".")
    content = cut(given.source, signs, family=given.family, style=given.style, flavor=flavor)
    write_bytes(given.out, content)
    print(f"{given.out}: {len(signs):,} signs, {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    _main()
