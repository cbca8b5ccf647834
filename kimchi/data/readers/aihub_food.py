"""AIHub data set 79, 한국 이미지(음식), as delivered: kfood.zip, one stored zip for each category, CP949 names, crop_area.properties.

The class of a picture is the name of the folder that holds it, and nothing else: extraction tools add levels above it.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from kimchi.data import archives, pictures
from kimchi.data.archives import Member
from kimchi.data.readers._members import PICTURES, is_picture, members, name_of
from kimchi.data.reading import Known, dropped, in_order, record_of
from kimchi.errors import DataError
from kimchi.records import DroppedRecord, ImageRecord

SOURCE = "aihub-79"
CREDIT = (
    "이 결과물은 과학기술정보통신부의 재원으로 한국지능정보사회진흥원(NIA)의 지원을 받아 구축된 "
    "AI 허브(aihub.or.kr) 「한국 이미지(음식)」 데이터를 활용하였습니다. "
    "Made with the data set 'Korean images (food)' of AI-Hub, National Information Society Agency (NIA), Republic of Korea."
)
SAMPLE_MARK = "KIMCHI sample world"
"""How the comment of the sample world's own delivery begins: nobody shall take its drawings for AIHub's, or credit AIHub for them."""
CROPS = "crop_area.properties"
_NUMBER = re.compile(r"\s*(-?[0-9]{1,7})(?:\.[0-9]*)?(?:\s.*)?$", re.DOTALL)
Crops = dict[str, pictures.Box]


def _stem(name: str) -> str:
    # Keys differ from file names in case, in normal form, and now and then by an extension.
    name = unicodedata.normalize("NFC", name).strip().casefold()
    return next((name.removesuffix(ending) for ending in PICTURES if name.endswith(ending)), name)


def parse_crop(value: str) -> pictures.Box | None:
    """The value of a crop line => box, or None when it says nothing usable.

    "x,y,w,h" is the rule. Two numbers are w,h from the corner, and so they are after an empty or a worded first item
    (",w,h", "dissimilar,w,h", "open,w,h"). Anything after a space that follows a number is junk.
    """
    items = value.strip().split(",")
    if not re.search("[0-9]", items[0]):
        items = items[1:3]
    matches = [_NUMBER.match(item) for item in items]
    numbers = [int(match.group(1)) for match in matches if match]
    if len(numbers) != len(matches) or len(numbers) not in (2, 4):
        return None
    x, y, width, height = numbers if len(numbers) == 4 else (0, 0, *numbers)
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def parse_crops(text: str) -> Crops:
    """crop_area.properties => boxes by picture stem; lines without a key or a usable box are passed over."""
    boxes: Crops = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        # One tool rewrites these files with [sections] between the lines.
        if not equals or key.lstrip().startswith(("[", "#")):
            continue
        if (box := parse_crop(value)) is not None:
            boxes[_stem(key)] = box
    return boxes


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _is_crops(member: Member) -> bool:
    return name_of(member).casefold() == CROPS


def labels(member: Member, source: Path) -> tuple[str, ...]:
    """(category, dish) from where a picture lies; (dish,) where nothing stands above the dish's folder; () where no folder holds it."""
    folders = member.parts[:-1]
    if not folders and source.is_dir():
        folders = (unicodedata.normalize("NFC", source.resolve().name),)
    return folders[-2:]


def _all_crops(source: Path) -> dict[str, Crops]:
    """Boxes by folder, read before any picture: an archive may list the file after its pictures."""
    found: dict[str, Crops] = {}
    for member in members(source):
        if _is_crops(member):
            try:
                found["/".join(member.parts[:-1])] = parse_crops(_text(member.read(limit=2**24)))
            except DataError:
                continue  # no boxes: the whole pictures are used
    return found


class Reader:
    """The delivery of data set 79, zipped or unpacked."""

    def credit(self, source: Path) -> str:
        """The line AIHub's terms ask for; the sample world's own delivery says what it is instead."""
        comment = archives.comment(source)
        return comment if comment.startswith(SAMPLE_MARK) else CREDIT

    def count(self, source: Path) -> int:
        """Records that read() will give."""
        return sum(1 for member in members(source) if not _is_crops(member))

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture, labelled (category, dish), in the order of the delivery; the boxes take about 250 bytes of memory each.

        Raises:
            DataError: the delivery as a whole cannot be opened.
        """
        crops = _all_crops(source)
        yield from in_order(lambda member: _record(member, source, crops), (member for member in members(source) if not _is_crops(member)))


def _record(member: Member, source: Path, crops: dict[str, Crops]) -> ImageRecord | DroppedRecord:
    names = labels(member, source)
    if member.refusal or not is_picture(member):
        return dropped(member, member.refusal or f"is none of {', '.join(PICTURES)}.", names)
    if not names:
        return dropped(member, "no folder holds it, so its dish is not known.")
    box = crops.get("/".join(member.parts[:-1]), {}).get(_stem(member.parts[-1]))
    return record_of(member, Known(labels=names, box=box), SOURCE)
