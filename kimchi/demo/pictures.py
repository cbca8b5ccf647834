"""Pictures as the page shows them: small files in memory, as data URLs or bytes. Nothing is written to disk."""

import base64
import io

from PIL import Image

from kimchi.generation.provenance import SOURCE_TYPE

THUMB_PX = 320
"""Side of a picture in the gallery; smaller ones stay as they are."""
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><Iptc4xmpExt:DigitalSourceType>'
    f"{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def preview_url(image: Image.Image) -> str:
    """A step on the way: as small as it can be, since it is replaced in a moment."""
    return _url(_encoded(image, "JPEG", quality=80), "image/jpeg")


def shown_url(image: Image.Image) -> str:
    """A finished picture on the screen. It says in its metadata that a model made it, and holds no visitor's words."""
    return _url(_webp(image, 92), "image/webp")


def thumb(image: Image.Image) -> bytes:
    """A picture of the gallery, WebP, with the same metadata."""
    small = image.copy()
    small.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    return _webp(small, 84)


def _webp(image: Image.Image, quality: int) -> bytes:
    return _encoded(image, "WEBP", quality=quality, method=2, xmp=_XMP.encode())


def _encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, form, **settings)
    return buffer.getvalue()


def _url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
