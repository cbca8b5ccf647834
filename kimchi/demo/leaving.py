"""A picture that leaves the booth."""

from typing import Any

from PIL import Image

from kimchi.generation.provenance import png_bytes


def labelled(image: Image.Image, provenance: dict[str, Any]) -> bytes:
    """The PNG that a visitor takes home."""
    return png_bytes(image, provenance)
