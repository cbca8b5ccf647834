"""A picture of any origin => one that tells nothing but what it shows: one size, one codec, no metadata."""

import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageCms

from kimchi.data.pictures import Photo
from kimchi.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_BYTES = 100 * 2**20
"""Largest file that is read."""
LEAST_PX = 64
"""Shortest side that can be judged."""
_PADDING = 2048
"""What every serving has beyond the longest of its prompt's pictures, at least: no length is left bare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blinded:
    """A picture as raters see it."""

    png: bytes
    width: int
    height: int


def read_picture(path: Path, name: str) -> bytes:
    """The bytes of a plain file.

    Args:
        path: of the file.
        name: in errors.

    Raises:
        DataError: a link, a device, a folder, too large, or not readable.
    """
    try:
        # Opening a named pipe would wait for ever, and a link may show a file of the operator's that was never meant to be shown.
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{name}: is {'a link' if stat.S_ISLNK(about.st_mode) else 'no plain file'}; copy the picture itself there")
        if about.st_size > MAX_BYTES:
            raise DataError(f"{name}: {about.st_size / 2**20:,.0f} MiB, and the limit is {MAX_BYTES // 2**20}; make it smaller")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror}); fetch it again") from error


def measure(content: bytes, name: str) -> tuple[int, int]:
    """Width and height when upright, pixels.

    Raises:
        DataError: not a picture, damaged, too large or too small.
    """
    photo = Photo(content, name)
    photo.decode()
    if min(photo.size) < LEAST_PX:
        raise DataError(f"{name}: {photo.size[0]} x {photo.size[1]} px, and nothing below {LEAST_PX} can be judged; give a larger one")
    return photo.size


def blind(content: bytes, name: str, side_px: int) -> Blinded:
    """Decode, sRGB, centre square, one side, PNG without metadata. The same picture gives the same bytes.

    Args:
        content: a PNG, JPEG or WebP file.
        name: in errors.
        side_px: of what comes back; at most the picture's own shorter side.

    Raises:
        DataError: not a picture, or damaged.
    """
    image = _square(_srgb(Photo(content, name).decode(), content))
    if image.width != side_px:
        image = image.resize((side_px, side_px), Image.Resampling.LANCZOS)
    return of_image(image)


def of_image(image: Image.Image) -> Blinded:
    """RGB pixels => PNG, and nothing else."""
    buffer = io.BytesIO()
    # A fresh picture from the pixels alone: Pillow carries a profile or a comment over from what it has read.
    Image.frombytes("RGB", image.size, image.tobytes()).save(buffer, "PNG", compress_level=6)
    return Blinded(png=buffer.getvalue(), width=image.width, height=image.height)


def padded_bytes(lengths: list[int]) -> int:
    """What all pictures of one prompt are padded to, of their lengths: no length then tells them apart."""
    return -(-(max(lengths) + _PADDING) // 1024) * 1024


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _srgb(image: Image.Image, content: bytes) -> Image.Image:
    """Colours as a browser would show the original; phones save Display P3, and without this a photograph turns pale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the picture's size, which was judged when it was decoded
        profile = Image.open(io.BytesIO(content)).info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[16:20] != b"RGB ":
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image  # a damaged profile is what browsers ignore too
