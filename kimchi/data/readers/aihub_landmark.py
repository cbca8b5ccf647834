"""AIHub's landmark images of 2020, 랜드마크 이미지: pictures in parts by region, [원천]서울특별시_001 ..., and one label tree for each region.

Labels have the keys of COCO, but a box is x1, y1, x2, y2, not x, y, width, height. About 508,000 pictures of 2,500 places: the index of
their labels and names takes some 300 MB of memory, the pixels none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kimchi.data.archives import Member
from kimchi.data.readers._boxes import largest
from kimchi.data.readers._labels import Table, corners, count_labelled, distinct, first, pair, read_labelled, tables, text, unknown_layout
from kimchi.data.readers._members import name_of, stem
from kimchi.data.reading import Known
from kimchi.records import DroppedRecord, ImageRecord

SOURCE = "aihub-landmark-2020"
CREDIT = (
    "이 결과물은 과학기술정보통신부의 재원으로 한국지능정보사회진흥원(NIA)의 지원을 받아 구축된 "
    "AI 허브(aihub.or.kr) 「랜드마크 이미지」 데이터를 활용하였습니다. "
    "Made with the data set 'Landmark images' of AI-Hub, National Information Society Agency (NIA), Republic of Korea."
)


def parse_label(value: Any, picture: str, path: str) -> Known:
    """The label of one picture => what it says.

    Args:
        value: the label's JSON.
        picture: the picture's file name; chooses among several images of one label.
        path: the label's path, for errors.

    Raises:
        DataError: neither images nor categories; the keys met are listed.
    """
    whole = first(value)
    images, categories = tables(whole.get("images")), tables(whole.get("categories"))
    if not images or not categories:
        raise unknown_layout(path, value, "`images`, `annotations` and `categories`")
    image = next((image for image in images if stem(text(image.get("file_name"))) == stem(picture)), images[0])
    boxes = [item for item in tables(whole.get("annotations")) if text(item.get("image_id")) == text(image.get("image_id")) or len(images) == 1]
    box, chosen = largest([(corners(item.get("bbox")), item) for item in boxes])
    category = next((item for item in categories if text(item.get("id")) == text(chosen.get("category_id"))), categories[0])
    return Known(labels=_names(category), box=box, size=pair(image.get("width"), image.get("height")), description=_description(category))


def _names(category: Table) -> tuple[str, ...]:
    about = first(category.get("metainfo"))
    name = text(category.get("name")) or text(about.get("name_kr"))
    return distinct(text(category.get("supercategory")) or text(about.get("Type1")), text(about.get("Type2")), name.replace("_", " "))


def _description(category: Table) -> str:
    about = first(category.get("metainfo"))
    place = text(about.get("add")) or " ".join(distinct(text(about.get("location1")), text(about.get("location2"))))
    return "\n".join(distinct(text(about.get("name_kr")), text(about.get("Type2")), place))


def _reading(value: Any, member: Member, path: str) -> Known:
    return parse_label(value, name_of(member), path)


class Reader:
    """The delivery of the landmark images, zipped or unpacked, whole or some of its regions."""

    def credit(self, source: Path) -> str:
        """The line AIHub's terms ask for."""
        return CREDIT

    def count(self, source: Path) -> int:
        """Records that read() will give."""
        return count_labelled(source)

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture, labelled (kind, kind below it, place), in the order of the delivery; then what has no picture or no use.

        Raises:
            DataError: the delivery as a whole cannot be opened.
        """
        return read_labelled(source, SOURCE, _reading)
