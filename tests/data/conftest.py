"""Deliveries in their true layouts, built small: names in CP949 without a flag, zips in zips, tars with parts."""

import io
import json
import tarfile
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kimchi.data.readers import reader
from kimchi.records import DroppedRecord, ImageRecord


class Cp949(zipfile.ZipInfo):
    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp949"), self.flag_bits & ~0x800


class Make:
    """What tests of readers build and read with."""

    @staticmethod
    def jpeg(seed: int = 0, width: int = 80, height: int = 60, orientation: int = 1, side: int = 8) -> bytes:
        values = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", exif=exif)
        return file.getvalue()

    @staticmethod
    def zipped(entries: dict[str, bytes], utf8: bool = False) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in entries.items():
                archive.writestr((zipfile.ZipInfo if utf8 else Cp949)(name), content)
        return file.getvalue()

    @staticmethod
    def tar(entries: dict[str, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
            for name, content in entries.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return file.getvalue()

    @staticmethod
    def parts(name: str, content: bytes, size: int, numbers: str = "count") -> dict[str, bytes]:
        """A file cut up; numbered 0, 1, 2 ..., or by the byte a part begins at, as aihubshell numbers them."""
        return {f"{name}.part{at if numbers == 'offset' else at // size}": content[at : at + size] for at in range(0, len(content), size)}

    @staticmethod
    def unpacked(root: Path, entries: dict[str, bytes], nfd: bool = False) -> Path:
        for name, content in entries.items():
            path = root / (unicodedata.normalize("NFD", name) if nfd else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    @staticmethod
    def put(path: Path, content: bytes) -> Path:
        path.write_bytes(content)
        return path

    @staticmethod
    def label(value: Any, bom: bool = False, encoding: str = "utf-8") -> bytes:
        return (b"\xef\xbb\xbf" if bom else b"") + json.dumps(value, ensure_ascii=False).encode(encoding)

    @staticmethod
    def read(name: str, source: Path) -> tuple[list[ImageRecord], list[DroppedRecord]]:
        found = list(reader(name).read(source))
        assert len(found) == reader(name).count(source)
        return [r for r in found if isinstance(r, ImageRecord)], [r for r in found if isinstance(r, DroppedRecord)]


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make
