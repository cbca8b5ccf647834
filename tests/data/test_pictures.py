"""Whatever the bytes are: an upright RGB picture, or a DataError."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kimchi.data import pictures
from kimchi.errors import DataError


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    values = np.add.outer(np.arange(height) * 2, np.arange(width)).astype(np.uint8)
    return Image.fromarray(np.stack([values, values[::-1], values // 2], axis=-1))


JPEG = encode(gradient(), "JPEG", quality=90)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_formats(kind: str) -> None:
    image = pictures.decode(encode(gradient(), kind), "a")
    assert (image.mode, image.size) == ("RGB", (64, 48))


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn clockwise
    image = pictures.decode(encode(gradient(), "JPEG", exif=exif, quality=95), "a")
    assert image.size == (48, 64)
    expected = np.asarray(gradient().rotate(-90, expand=True), dtype=int)
    assert np.abs(np.asarray(image, dtype=int) - expected).mean() < 4


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    image = np.asarray(pictures.decode(encode(Image.fromarray(values)), "a"))
    assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255 and abs(int(image[8, 0, 0]) - 128) < 2


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert pictures.decode(encode(clear), "a").getpixel((5, 5)) == (255, 255, 255)
    palette = Image.new("P", (20, 20), 0)
    assert pictures.decode(encode(palette, transparency=0), "a").getpixel((5, 5)) == (255, 255, 255)
    assert pictures.decode(encode(palette, transparency=bytes([0, 255])), "a").mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "RGBA"])
def test_modes(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert pictures.decode(encode(gradient().convert("RGB" if mode == "LA" else mode).convert(mode), kind), "a").mode == "RGB"


def _huge_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_thirty_thousand_pixels_square_are_refused_unread(side: int) -> None:
    with pytest.raises(DataError, match="the limit"):
        pictures.decode(_huge_png(side, side), "huge.png")


@pytest.mark.parametrize("content", [b"", b"<html>", JPEG[: len(JPEG) // 2], encode(gradient())[:100], b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_a_data_error(content: bytes) -> None:
    with pytest.raises(DataError, match=r"kimchi\.jpg: "):
        pictures.decode(content, "kimchi.jpg")


@settings(deadline=None)  # other work may share the cores
@given(st.sampled_from([JPEG, encode(gradient()), encode(gradient(), "GIF"), encode(gradient(), "TIFF")]), st.data())
def test_damaged_bytes_give_a_picture_or_a_data_error(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        assert pictures.decode(bytes(damaged), "a").mode == "RGB"


whole_numbers = st.integers(-(10**7), 10**7)


@settings(deadline=None)  # other work may share the cores
@given(st.tuples(whole_numbers, whole_numbers, whole_numbers, whole_numbers), st.integers(1, 5000), st.integers(1, 5000))
def test_a_fitted_box_is_ordered_inside_and_not_tiny(box: pictures.Box, width: int, height: int) -> None:
    fitted = pictures.fit_box(box, width, height)
    if fitted is not None:
        x1, y1, x2, y2 = fitted
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert (x2 - x1) * (y2 - y1) >= pictures.MIN_AREA_SHARE * width * height
        assert pictures.fit_box(fitted, width, height) == fitted


@pytest.mark.parametrize(
    ("box", "size"),
    [
        (None, (64, 48)), ((10, 5, 40, 35), (30, 30)), ((40, 35, 10, 5), (30, 30)), 
        ((-9, -9, 30, 30), (30, 30)), ((5, 5, 8, 40), (64, 48)), ((90, 90, 120, 120), (64, 48)),
    ],
)  # fmt: skip
def test_crop_sorts_clips_and_falls_back_to_the_whole(box: pictures.Box | None, size: tuple[int, int]) -> None:
    assert pictures.crop(gradient(), box).size == size


def test_difference_hash_is_near_for_a_recompressed_copy_and_far_for_another_picture() -> None:
    def bits(a: str, b: str) -> int:
        return (int(a, 16) ^ int(b, 16)).bit_count()

    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((300, 300), Image.Resampling.BICUBIC)
    other = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((300, 300), Image.Resampling.BICUBIC)
    copy = pictures.decode(encode(photo.resize((211, 211)), "JPEG", quality=50), "a")
    hashed = pictures.difference_hash(photo)
    assert len(hashed) == 64
    assert bits(hashed, pictures.difference_hash(copy)) <= 10 < 60 < bits(hashed, pictures.difference_hash(other))
