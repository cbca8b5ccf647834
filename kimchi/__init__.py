"""KIMCHI teaches Stable Diffusion Korean. `from kimchi import Kimchi` is all that drawing needs."""

import importlib
from typing import TYPE_CHECKING, Any

from kimchi.records import CaptionedRecord, DroppedRecord, ImageRecord, MadeBy

if TYPE_CHECKING:
    from kimchi.generation.generate import GeneratedImage, Kimchi

__version__ = "0.1.0"
__all__ = ["CaptionedRecord", "DroppedRecord", "GeneratedImage", "ImageRecord", "Kimchi", "MadeBy", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the drawing side only when it is asked for: it brings torch, and `import kimchi` must stay light."""
    if name in ("GeneratedImage", "Kimchi"):
        return getattr(importlib.import_module("kimchi.generation.generate"), name)
    raise AttributeError(f"module 'kimchi' has no attribute {name!r}")
