"""AIHub data set 144, 한국형 사물 이미지: heritage buildings, landmarks and goods; a JSON of the same stem beside each picture.

A heritage folder's name says what it holds: HF010785_유적건조물_교통통신_교통통신시설_우체국_인천우체국 (code, kind, three classes, name). The
description of a thing is mostly encyclopedia text, whose own rights are a matter of their own: it is passed on as it came, for a person or a
refiner to use with care. The index of labels and names takes
about 600 bytes of memory a picture.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kimchi.data.archives import Member
from kimchi.data.readers._boxes import largest
from kimchi.data.readers._labels import Table, corners, count_labelled, distinct, first, numbers, pair, read_labelled, tables, text, unknown_layout
from kimchi.data.reading import Known
from kimchi.records import DroppedRecord, ImageRecord

SOURCE = "aihub-144"
CREDIT = (
    "이 결과물은 과학기술정보통신부의 재원으로 한국지능정보사회진흥원(NIA)의 지원을 받아 구축된 "
    "AI 허브(aihub.or.kr) 「한국형 사물 이미지」 데이터를 활용하였습니다. "
    "Made with the data set 'Korean object images' of AI-Hub, National Information Society Agency (NIA), Republic of Korea."
)
KINDS = ("유적건조물", "랜드마크", "상품")
_CODE = re.compile(r"[A-Z]{2}[0-9]{4,}$")


def folder_labels(parts: tuple[str, ...], region_class: str = "") -> tuple[str, ...]:
    """Where a picture lies => its labels, broadest first.

    A coded folder tells everything. Any other folder is the class, below its kind; a folder of digits is an archive's number, and the
    class of the region stands in for it.
    """
    name = parts[-2] if len(parts) > 1 else ""
    fields = [field.strip() for field in name.split("_", 5)]
    if len(fields) > 1 and _CODE.match(fields[0]):
        return distinct(*fields[1:-1], fields[-1].replace("_", " "))
    kind = next((kind for part in reversed(parts[:-1]) for kind in KINDS if kind in part), "")
    return distinct(kind, name if re.search("[가-힣]", name) and name != kind else region_class or name)


def parse_label(value: Any, parts: tuple[str, ...], path: str) -> Known:
    """The label of one picture => what it says.

    Args:
        value: the label's JSON.
        parts: where the picture lies, folder by folder, its own name last.
        path: the label's path, for errors.

    Raises:
        DataError: neither an image nor regions; the keys met are listed.
    """
    whole = first(value)
    image, regions = first(whole.get("image")), tables(whole.get("regions"))
    if not image and not regions:
        raise unknown_layout(path, value, "`image` and `regions`")
    size = numbers(image.get("imsize"), 2)
    box, chosen = largest([(corners(region.get("boxcorners")), region) for region in regions])
    return Known(
        labels=folder_labels(parts, text(chosen.get("class"))), box=box, size=pair(*size) if size else None, description=_description([chosen, *regions])
    )


def _description(regions: list[Table]) -> str:
    """Description, address and related term, a line each, of the first region that has any."""
    for region in regions:
        if lines := distinct(*(text(item.get("value")) for item in tables(region.get("sem_ext")))):
            return "\n".join(lines)
    return ""


def _reading(value: Any, member: Member, path: str) -> Known:
    return parse_label(value, member.parts, path)


class Reader:
    """The delivery of data set 144, zipped or unpacked, whole or some of its zips."""

    def credit(self, source: Path) -> str:
        """The line AIHub's terms ask for."""
        return CREDIT

    def count(self, source: Path) -> int:
        """Records that read() will give."""
        return count_labelled(source)

    def read(self, source: Path) -> Iterator[ImageRecord | DroppedRecord]:
        """Every picture, labelled by its folder, in the order of the delivery; then what has no picture or no use.

        Raises:
            DataError: the delivery as a whole cannot be opened.
        """
        return read_labelled(source, SOURCE, _reading)
