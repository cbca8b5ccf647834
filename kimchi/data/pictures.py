"""Bytes of unknown origin => an upright RGB picture, or a DataError that says what is wrong with them."""

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from math import ceil

import numpy as np
from PIL import Image, UnidentifiedImageError

from kimchi.errors import DataError

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the upright picture; x2 and y2 are exclusive."""

MAX_PIXELS = 130_000_000
"""Largest picture that is decoded; phones reach 108 million, and RGB takes three bytes for each."""
MIN_SIDE_PX = 16
"""Shortest side of a crop, pixels."""
MIN_AREA_SHARE = 0.02
"""Smallest crop as a share of the picture's area; providers' boxes are often a few stray pixels."""
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_HASH_SIDE, _MARGIN = 16, 4
_SHARPNESS_SIDE = 256


def _sixteen_bit(image: Image.Image) -> Image.Image:
    # convert("RGB") clips 16-bit grey at 255, which turns a whole picture white without a word.
    values = np.asarray(image).astype(np.float64)
    scale = 257.0 if values.max(initial=0) > 255 else 1.0
    return Image.fromarray(np.clip(values / scale, 0, 255).astype(np.uint8))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _sixteen_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        # What lies under full transparency is arbitrary, mostly black; a cut-out dish belongs on white.
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""EXIF orientation => what turns the stored picture upright (EXIF 2.32, tag 0x0112)."""


@contextmanager
def _told(name: str) -> Generator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and of sizes; the sizes are judged here
            yield
    except DataError as error:
        raise DataError(f"{name}: {error}.") from error
    except UnidentifiedImageError as error:
        # Pillow's own words name an address in memory, and no two runs would give one reason.
        raise DataError(f"{name}: cannot be decoded as a picture (it is none of {', '.join(_FORMATS)}). Fetch it again, or leave it out.") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more than {MAX_PIXELS:,} pixels, which is the limit. Make it smaller.") from error
    except (Exception, MemoryError) as error:  # damaged bytes make Pillow raise nearly anything, SyntaxError and struct.error among them
        raise DataError(f"{name}: cannot be decoded as a picture ({error}). Fetch it again, or leave it out.") from error


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # EXIF that cannot be read turns nothing; the picture itself may be whole
        return 1
    return found if isinstance(found, int) and found in _UPRIGHT else 1


class Photo:
    """A picture whose sizes are known and whose pixels are decoded when asked for, once."""

    stored_size: tuple[int, int]
    """Width and height as the file holds it, pixels."""
    orientation: int
    """1 to 8, as in EXIF; 1 is upright."""
    size: tuple[int, int]
    """Width and height when upright, pixels."""

    def __init__(self, content: bytes, name: str) -> None:
        """Read the header.

        Args:
            content: a JPEG, PNG, GIF, BMP, WebP or TIFF file.
            name: named in errors.

        Raises:
            DataError: not a picture, or of more than MAX_PIXELS.
        """
        self.name = name
        with _told(name):
            self._image = Image.open(io.BytesIO(content), formats=_FORMATS)
            width, height = self.stored_size = self._image.size
            if width * height > MAX_PIXELS:
                raise DataError(f"{width:,} x {height:,} pixels, and the limit is {MAX_PIXELS:,} in all. Make it smaller")
            if self._image.format not in ("JPEG", "MPO"):
                self._image.load()  # a PNG may name its orientation after its pixels
            self.orientation = _orientation(self._image)
        self.size = (height, width) if self.orientation >= 5 else (width, height)

    def decode(self, box: Box | None = None, least_px: int = 0) -> Image.Image:
        """RGB, uint8 [0, 255], upright, transparency on white, the first frame of several, cut to a box.

        Args:
            box: what to keep, in pixels of the upright picture at full size; None for all of it.
            least_px: when above 0, a JPEG may come at a half, a quarter or an eighth of its size, decoded several times faster, as
                long as the longest side of what is kept has this many pixels.

        Raises:
            DataError: truncated or damaged.
        """
        with _told(self.name):
            x1, y1, x2, y2 = box or (0, 0, *self.size)
            if least_px and self._image.format in ("JPEG", "MPO"):
                share = least_px / max(x2 - x1, y2 - y1, 1)
                self._image.draft(None, (ceil(self.stored_size[0] * share), ceil(self.stored_size[1] * share)))  # pyright: ignore[reportArgumentType]
            self._image.load()
            image = _rgb(self._image)
            if self.orientation != 1:
                image = image.transpose(_UPRIGHT[self.orientation])
            if box is None:
                return image
            across, down = image.width / self.size[0], image.height / self.size[1]
            return image.crop((round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down)))


def decode(content: bytes, name: str) -> Image.Image:
    """File content => RGB, uint8 [0, 255], turned upright by EXIF, transparency on white; the first frame of several.

    Args:
        content: a JPEG, PNG, GIF, BMP, WebP or TIFF file.
        name: named in the error.

    Raises:
        DataError: not a picture, truncated, or of more than MAX_PIXELS.
    """
    return Photo(content, name).decode()


def upright_box(box: Box, stored_size: tuple[int, int], orientation: int) -> Box:
    """A box in pixels of the stored picture => the same region in pixels of the upright one."""
    width, height = stored_size
    corners = [_turned(x, y, width, height, orientation) for x, y in ((box[0], box[1]), (box[2], box[3]))]
    (x1, x2), (y1, y2) = (sorted(values) for values in zip(*corners, strict=True))
    return x1, y1, x2, y2


def _turned(x: int, y: int, width: int, height: int, orientation: int) -> tuple[int, int]:
    left, up = width - x, height - y
    places = {1: (x, y), 2: (left, y), 3: (left, up), 4: (x, up), 5: (y, x), 6: (up, x), 7: (up, left), 8: (y, left)}
    return places[orientation]


def fit_box(box: Box | None, width: int, height: int) -> Box | None:
    """A provider's box with corners in order and within the picture; None, the whole picture, when too little is left."""
    if box is None:
        return None
    x1, x2 = (min(max(x, 0), width) for x in sorted((box[0], box[2])))
    y1, y2 = (min(max(y, 0), height) for y in sorted((box[1], box[3])))
    too_thin = x2 - x1 < MIN_SIDE_PX or y2 - y1 < MIN_SIDE_PX
    too_small = (x2 - x1) * (y2 - y1) < MIN_AREA_SHARE * width * height
    whole = (x1, y1, x2, y2) == (0, 0, width, height)
    return None if too_thin or too_small or whole else (x1, y1, x2, y2)


def crop(image: Image.Image, box: Box | None) -> Image.Image:
    """The part of a picture inside a box, or the whole where the box is None or unusable."""
    fitted = fit_box(box, *image.size)
    return image if fitted is None else image.crop(fitted)


def difference_hash(image: Image.Image) -> str:
    """Whether each of 16 x 16 cells is brighter than its right neighbour: 256 bits as 64 hex digits.

    Near-identical pictures differ in a few bits, whatever their size and compression; "brighter" asks for _MARGIN levels, or noise
    in flat areas would decide. Source: N. Krawetz, "Kind of Like That",
    hackerfactor.com, 2013 (dHash), there with 8 x 8 cells.
    """
    grey = np.asarray(image.convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:] + _MARGIN).tobytes().hex()


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of a picture, grey [0, 255], its longest side at 256 px; low when it is blurred.

    Source: J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000, LAPV.
    """
    share = _SHARPNESS_SIDE / max(image.size)
    small = image.convert("L").resize((max(3, round(image.width * share)), max(3, round(image.height * share))), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return round(float(laplacian.var()), 3)
