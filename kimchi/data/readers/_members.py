"""What the files of a delivery are: pictures, labels, litter; and when two of them belong together."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from kimchi.data import archives
from kimchi.data.archives import Member

PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")


def members(source: Path) -> Iterator[Member]:
    """The members of a delivery without what desktops leave behind.

    Raises:
        DataError: the delivery as a whole cannot be opened.
    """
    return (member for member in archives.members(source) if not _litter(member))


def _litter(member: Member) -> bool:
    name = member.parts[-1] if member.parts else ""
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini") or "__MACOSX" in member.parts


def name_of(member: Member) -> str:
    """The file's own name; empty for a member whose name is refused as empty."""
    return member.parts[-1] if member.parts else ""


def ends(member: Member, *endings: str) -> bool:
    """Whether a member that may be read has one of these endings, in any case."""
    return not member.refusal and name_of(member).casefold().endswith(endings)


def is_picture(member: Member) -> bool:
    """Whether a member is named as a picture and may be read."""
    return ends(member, *PICTURES)


def stem(name: str) -> str:
    """The key under which labels and pictures meet: NFC, no picture's or label's ending, no case, no spaces.

    Names of one picture differ in all of these between the two trees of one delivery, a space before the underscore among them.
    """
    name = "".join(unicodedata.normalize("NFC", name).casefold().split())
    return next((name.removesuffix(ending) for ending in (*PICTURES, ".json", ".txt") if name.endswith(ending)), name)


def folder(member: Member) -> str:
    """The name of the folder or archive that directly holds a member; empty at the top."""
    return member.parts[-2] if len(member.parts) > 1 else ""
