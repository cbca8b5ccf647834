"""Bytes of unknown origin => an upright RGB picture, or a DataError that says what is wrong with them."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

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


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"{width:,} x {height:,} pixels, and the limit is {MAX_PIXELS:,} in all. Make it smaller")
    image.load()
    return image


def decode(content: bytes, name: str) -> Image.Image:
    """File content => RGB, uint8 [0, 255], turned upright by EXIF, transparency on white; the first frame of several.

    Args:
        content: a JPEG, PNG, GIF, BMP, WebP or TIFF file.
        name: named in the error.

    Raises:
        DataError: not a picture, truncated, or of more than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and of sizes; the sizes are judged here
            return _rgb(ImageOps.exif_transpose(_open(content)))
    except DataError as error:
        raise DataError(f"{name}: {error}.") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more than {MAX_PIXELS:,} pixels, which is the limit. Make it smaller.") from error
    except (Exception, MemoryError) as error:  # damaged bytes make Pillow raise nearly anything, SyntaxError and struct.error among them
        raise DataError(f"{name}: cannot be decoded as a picture ({error}). Fetch it again, or leave it out.") from error


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
