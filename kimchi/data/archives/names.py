"""Names as they were meant: encodings, normal forms, and what a name must not do."""

import re
import unicodedata
import zipfile

_UTF8 = 0x800


def nfc(text: str) -> str:
    """Composed Hangul: what macOS takes apart and everybody else writes whole."""
    return unicodedata.normalize("NFC", text)


def decode_raw(raw: bytes) -> str:
    """The bytes of a name => NFC text: UTF-8, else CP949; what is neither comes escaped."""
    for encoding in ("utf-8", "cp949"):
        try:
            return nfc(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return nfc(raw.decode("utf-8", "backslashreplace"))


def decode_name(info: zipfile.ZipInfo) -> str:
    """An entry's name as it was meant, NFC, with forward slashes: UTF-8 by flag bit 0x800, else UTF-8 or CP949 by trial."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        raw = name.encode("cp437", errors="replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    # No CP949 character has a backslash for its second byte, so this is safe once decoded (it is not on raw Shift-JIS).
    return nfc(name).replace("\\", "/")


def unsafe(name: str) -> str:
    """Why a name must not be used; empty when it may be."""
    if "\0" in name or not name.strip("/"):
        return "its name holds a NUL or nothing; left out, as no tool would write it."
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "its name climbs out of the archive; left out, as an honest delivery never does that. Fetch the archive again from AIHub."
    return ""


def steps(name: str) -> tuple[str, ...]:
    """Folder by folder, the file last, spaces at either end gone."""
    return tuple(part.strip() for part in name.split("/") if part not in ("", "."))


def is_archive(name: str) -> bool:
    """Whether a file of this name is looked into; the "._" companions that macOS writes are none."""
    return name.lower().endswith((".zip", ".tar")) and not name.rsplit("/", 1)[-1].startswith("._") and "__MACOSX" not in name.split("/")


def stem(name: str) -> str:
    """An archive's name as a folder."""
    return name[:-4] if name.lower().endswith((".zip", ".tar")) else name
