"""The sample world's food as a delivery of AIHub data set 79: kfood.zip, a stored zip for each category, CP949 names without a flag.

It carries that delivery's faults too, few and known: malformed crop lines, a picture that cannot be decoded, an exact duplicate.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from kimchi.data.files import atomic_path
from kimchi.data.readers.aihub_food import SAMPLE_MARK
from kimchi.errors import DataError

from .concepts import CONCEPTS, Concept
from .pictures import picture

_COMMENT = f"{SAMPLE_MARK}: drawings in the layout of AIHub data set 79, made by kimchi; no AIHub data."
_CLASS_NUMBERS = {"배추김치": 33, "송편": 48, "라면": 50, "김밥": 69, "비빔밥": 72, "떡볶이": 82, "파전": 103, "삼계탕": 138}
"""The NNN of Img_NNN_MMMM for the dishes that the sample world draws; others are numbered from 150."""
_CRACKED = (
    "{key}=128,128", "{key}=dissimilar,128,128", "{key}=,128,128", "{key}=", "{key}=0, 0, 128, 128 checked", "{key} 0,0,128,128",
)  # fmt: skip
"""Malformed crop lines as the real files have them; each must come out as the whole picture."""


class _RawName(zipfile.ZipInfo):
    """An entry whose name is written as CP949 bytes, bit 0x800 unset, as Korean Windows tools write it."""

    def __init__(self, name: str) -> None:
        # One date and one system for all, or the bytes would differ from run to run and machine to machine.
        super().__init__(name, date_time=(2018, 1, 1, 0, 0, 0))
        self.create_system = 0
        self.external_attr = 0
        self.compress_type = zipfile.ZIP_STORED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp949"), self.flag_bits & ~0x800


def _jpeg(concept: Concept, seed: int) -> bytes:
    file = io.BytesIO()
    picture(concept, seed).render().save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def _number(concept: Concept, slugs: Sequence[str]) -> int:
    return _CLASS_NUMBERS.get(concept.label[-1], 150 + list(slugs).index(concept.slug))


def _crop_lines(stem: str, count: int) -> str:
    lines: list[str] = []
    for i in range(count):
        key = f"{stem}_{i:04d}"
        if i % 10 == 7:
            lines.append(f"{key.lower()}=2,2,124,124")
        elif i % 10 == 3:
            lines.append(_CRACKED[i // 10 % len(_CRACKED)].format(key=key))
        elif i % 10 != 5:  # and some pictures have no line
            lines.append(f"{key}=0,0,128,128")
    return "\n".join(lines) + "\n"


def _write_dish(archive: zipfile.ZipFile, concept: Concept, number: int, per_concept: int, seed: int, faults: bool) -> None:
    folder, stem = concept.label[-1], f"Img_{number:03d}"
    archive.writestr(_RawName(f"{folder}/crop_area.properties"), _crop_lines(stem, per_concept))
    content = b""
    for i in range(per_concept):
        content = _jpeg(concept, seed + i)
        archive.writestr(_RawName(f"{folder}/{stem}_{i:04d}.jpg"), content)
    if faults:
        archive.writestr(_RawName(f"{folder}/{stem}_{per_concept:04d}.jpg"), content[: len(content) // 2])
        archive.writestr(_RawName(f"{folder}/{stem}_{per_concept + 1:04d}.JPG"), content)


def _chosen(slugs: Sequence[str]) -> dict[str, list[Concept]]:
    categories: dict[str, list[Concept]] = {}
    for slug in slugs:
        concept = CONCEPTS.get(slug)
        if concept is None or len(concept.label) != 2 or concept.category != "food":
            known = ", ".join(c.slug for c in CONCEPTS.values() if c.category == "food" and len(c.label) == 2)
            raise DataError(f"{slug!r} is no Korean food of the sample world. Choose among: {known}.")
        categories.setdefault(concept.label[0], []).append(concept)
    return categories


def write_delivery(path: Path, slugs: Sequence[str], per_concept: int, seed: int) -> int:
    """Write kfood.zip; the same arguments always give the same bytes.

    Args:
        path: the archive to write, whole or not at all.
        slugs: Korean food concepts of the sample world, labelled (category, dish).
        per_concept: good pictures drawn of each; their picture seeds are seed .. seed + per_concept - 1.
        seed: the first picture's seed.

    Returns:
        How many good pictures it holds. A cut one and a duplicate of the first dish come on top.

    Raises:
        DataError: a slug that is no Korean food.
        OutputError: the place cannot be written.
    """
    slugs = list(dict.fromkeys(slugs))
    first, categories = next(iter(slugs), ""), _chosen(slugs)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as outer:
        outer.comment = _COMMENT.encode()
        for category, concepts in categories.items():
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as archive:
                for concept in concepts:
                    _write_dish(archive, concept, _number(concept, slugs), per_concept, seed, concept.slug == first)
            outer.writestr(_RawName(f"{category}.zip"), inner.getvalue())
    return len(slugs) * per_concept
