"""How a picture was made: a dictionary that rides in the PNG and lies beside it as JSON, and from which the picture can be made again."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kimchi.data.files import write_bytes, write_json
from kimchi.errors import DataError, OutputError

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for "made by a trained model"; viewers and platforms look for it in the XMP packet."""
CHUNK = "kimchi"
"""Keyword of the iTXt chunk that holds the whole record as JSON."""
KINDS: dict[str, type | tuple[type, ...]] = {
    "prompt_typed": str,  # as it came, in NFC
    "prompt": str,  # the noun phrase that was drawn
    "cut": str,  # its tail beyond the encoder's limit, which was not heard
    "negative": str,
    "seed": int,
    "steps": int,
    "guidance": (int, float),
    "scheduler": str,
    "size_px": int,  # side of the square picture
    "batch": int,  # pictures denoised together: the last bits depend on how many,
    "position": int,  # and perhaps on which of them this is
    "device": str,
    "precision": str,  # of the UNet and the VAE: fp32 or bf16
    "model": str,
    "hashes": dict,  # weights by part: unet, vae, text_encoder, tokenizer, adapter
    "miniature": bool,  # a miniature is never passed off as the full model
    "made_by": dict,  # records.MadeBy
    "DigitalSourceType": str,
}
"""Every key of the record and its type."""

_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><Iptc4xmpExt:DigitalSourceType>'
    f'{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A picture and how it was made."""

    image: Image.Image
    """RGB, square."""
    provenance: dict[str, Any]
    """How it was made: the keys of KINDS."""

    @property
    def cut(self) -> str:
        """The tail of the prompt beyond the encoder's limit, which was not drawn; empty when everything was heard."""
        return self.provenance["cut"]

    def save(self, path: str | Path) -> Path:
        """Write the PNG and its sidecar JSON; the PNG's path comes back.

        Raises:
            OutputError: the place cannot be written, or the suffix is not .png.
        """
        return save(self.image, self.provenance, Path(path).expanduser())


def png_bytes(image: Image.Image, provenance: dict[str, Any]) -> bytes:
    """The picture as PNG with its record in iTXt chunks. The same picture and record give the same bytes: nothing here tells the time."""
    chunks = PngInfo()
    chunks.add_itxt("Description", provenance["prompt"])
    chunks.add_itxt("Software", f"KIMCHI {provenance['made_by']['version']}")
    chunks.add_itxt("DigitalSourceType", SOURCE_TYPE)
    chunks.add_itxt("XML:com.adobe.xmp", _XMP)
    chunks.add_itxt(CHUNK, json.dumps(provenance, ensure_ascii=False))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def save(image: Image.Image, provenance: dict[str, Any], path: Path) -> Path:
    """Write the PNG, then its sidecar JSON beside it; each whole or not at all.

    Returns:
        The PNG's path: `path`, with .png added where it has no suffix.

    Raises:
        OutputError: a suffix other than .png, a folder in the picture's place, or a place that cannot be written.
    """
    png = path if path.suffix else path.with_name(f"{path.name}.png")
    if png.suffix.lower() != ".png":
        raise OutputError(f"{path}: pictures are saved as PNG, which carries how they were made. Use {path.with_suffix('.png').name}.")
    write_bytes(png, png_bytes(image, provenance))
    write_json(png.with_suffix(".json"), provenance)
    return png


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The record of a picture, from its PNG or its sidecar JSON.

    Raises:
        DataError: no such file, not one of ours, or a damaged record.
    """
    place = Path(path).expanduser()
    try:
        text = place.read_text(encoding="utf-8") if place.suffix.lower() == ".json" else _chunk(place)
        record: Any = json.loads(text)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{place}: cannot be read as a picture or sidecar ({error}). Give the PNG that KIMCHI saved, or the JSON beside it.") from error
    _check(place, record)
    return record


def _chunk(place: Path) -> str:
    with Image.open(place) as image:
        text = image.info.get(CHUNK)
    if not isinstance(text, str):
        raise DataError(
            f"{place}: carries no KIMCHI record; a chat or an editor may have removed it. Give the sidecar {place.with_suffix('.json').name} instead."
        )
    return text


def _check(place: Path, record: Any) -> None:
    held: dict[str, Any] = record if isinstance(record, dict) else {}
    # Records older than the choice say nothing of it.
    held.setdefault("precision", "fp32")
    wrong = [key for key, kind in KINDS.items() if not isinstance(held.get(key), kind)]
    if wrong:
        raise DataError(f"{place}: {', '.join(wrong)} missing or of the wrong kind in its record. Give the PNG or sidecar as KIMCHI saved it.")
