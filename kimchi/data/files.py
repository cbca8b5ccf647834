"""Writes that are whole or absent, and hashes that name content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kimchi.errors import OutputError


@contextmanager
def atomic_path(final: Path) -> Generator[Path]:
    """A temporary path beside `final`, renamed onto it when the block ends well and removed when it does not.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        # mkstemp makes the file private to its owner; an artefact has the rights any new file of this user has.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be written ({error.strerror or error}). Choose a folder that exists, is yours and has room.") from error
    finally:
        if temporary is not None and temporary.exists():
            temporary.unlink()


def write_bytes(final: Path, content: bytes) -> None:
    """Write bytes whole or not at all."""
    with atomic_path(final) as temporary:
        temporary.write_bytes(content)


def write_text(final: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(final, text.encode())


def write_json(final: Path, value: Any) -> None:
    """Write JSON, Korean readable, whole or not at all."""
    write_text(final, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def sha256(content: bytes, digits: int = 16) -> str:
    """The first hex digits of the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()[:digits]


def hash_files(paths: Iterable[Path], digits: int = 16) -> str:
    """One hash over names and contents of files, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:digits]


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
