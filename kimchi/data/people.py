"""Faces and number plates in pictures, found so that a person looks at them: AIHub asks that personal data be reported and deleted.

Cascades of OpenCV (Viola and Jones 2001): quick, no weights to fetch, and far from sure. They flag; they drop nothing, and no flag is no promise.
"""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kimchi.errors import RecipeError

LOOK_PX = 800
"""Longest side at which pictures are searched, pixels; smaller faces than about 40 px there are missed."""
CASCADES = {"face": ("haarcascade_frontalface_default.xml", "haarcascade_profileface.xml"), "plate": ("haarcascade_russian_plate_number.xml",)}
"""What can be looked for. The plates are any dark letters on a light bar of that shape."""
_NEIGHBOURS = {"face": 6, "plate": 5}
_LEAST_PX = {"face": (40, 40), "plate": (60, 20)}


def flags(image: Image.Image, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Which of `wanted` ("face", "plate") seem to be in a picture.

    Raises:
        RecipeError: OpenCV is not installed.
    """
    grey = image.convert("L")
    grey.thumbnail((LOOK_PX, LOOK_PX))
    return tuple(name for name in wanted if any(_found(cascade, np.asarray(grey), name) for cascade in CASCADES[name]))


def _found(cascade: str, grey_HW: Any, name: str) -> bool:
    detector = library().CascadeClassifier(str(Path(library().data.haarcascades) / cascade))
    return len(detector.detectMultiScale(grey_HW, scaleFactor=1.1, minNeighbors=_NEIGHBOURS[name], minSize=_LEAST_PX[name])) > 0


@cache
def library() -> Any:
    """OpenCV, loaded once.

    Raises:
        RecipeError: missing, or of a version without cascades.
    """
    try:
        cv2 = importlib.import_module("cv2")
        _ = cv2.CascadeClassifier, cv2.data.haarcascades  # OpenCV 5 has neither
    except (ImportError, AttributeError) as error:
        raise RecipeError(
            f"flag: faces and number plates are found by OpenCV 4, which is missing here ({error}). "
            "Install it with pip install 'kimchi-diffusion[scale]', or leave `flag` empty."
        ) from error
    # Pictures are looked at by several threads already.
    cv2.setNumThreads(1)
    return cv2
