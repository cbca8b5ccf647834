"""The nouns of KIMCHI. Stages read and write these; nothing here imports anything of ours."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBy:
    """How an artefact was made, the same small stamp on everything we write."""

    part: str
    """Which part made it: "captioner:label", "train", "generate"."""
    model: str = ""
    """Name of the model used, with its revision; empty when none was."""
    model_hash: str = ""
    """First 16 hex digits of the SHA-256 over its weight files; of an endpoint, over its address and the model's name there."""
    prompt_hash: str = ""
    """First 16 hex digits of the SHA-256 of the prompt's file."""
    recipe_hash: str = ""
    """First 16 hex digits of the SHA-256 of the resolved recipe."""
    version: str = ""
    """Version of kimchi."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One source picture, before anyone has described it."""

    id: str
    """Stable across reruns: the first 16 hex digits of the file's SHA-256."""
    path: str
    """Where the bytes are. "!" separates archive members: "kfood.zip!김치.zip!배추김치/Img_033_0001.jpg"."""
    labels: tuple[str, ...] = ()
    """The provider's Korean category labels, broadest first, NFC: ("김치", "배추김치")."""
    box: tuple[int, int, int, int] | None = None
    """Region of interest in pixels, x1, y1, x2, y2 in the upright picture; None for the whole."""
    source: str = ""
    """Which data set: "aihub-79"."""
    dhash: str = ""
    """Difference hash of what is learned from (the upright picture, cropped to the box): 256 bits as 64 hex digits; empty when none was taken."""
    looks: str = ""
    """What it looks like to a vision model, 256 bits as 64 hex digits; empty when none looked."""
    size_px: tuple[int, int] = (0, 0)
    """Width and height of what is learned from, pixels; zeros where the reader does not say."""
    sharpness: float = 0.0
    """Variance of the Laplacian of what is learned from, grey [0, 255], longest side 256 px."""
    flags: tuple[str, ...] = ()
    """What a person should look at before it is shown to anyone: "face", "plate"."""
    description: str = ""
    """What the provider says about the thing, as it came: encyclopedia text, address, question and answer; uncleaned."""
    caption: str = ""
    """A caption that came with the picture, as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a captioner saw in a picture: one line of drafts.jsonl."""

    id: str
    """Of the picture."""
    text_en: str
    """A plain English description; it knows no name of the culture."""
    made_by: MadeBy = field(default_factory=lambda: MadeBy(part=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedRecord:
    """A picture with its four caption forms: one line of captions.jsonl."""

    id: str
    path: str
    labels: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    caption_noun: str
    """The noun alone, in the culture's language: "라면"."""
    caption_ko: str
    """The rich caption in the culture's language."""
    caption_en: str = ""
    """Its meaning in English; empty where nothing knows it."""
    caption_romanised: str = ""
    """The noun in Latin letters: "ramyeon"."""
    split: str = "train"
    """train, validation or test."""
    group: str = ""
    """Pictures of one scene share a group, and a group never straddles two splits."""
    made_by: MadeBy = field(default_factory=lambda: MadeBy(part=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedRecord:
    """A picture that will not be learned from, and why."""

    path: str
    reason: str
    labels: tuple[str, ...] = ()
