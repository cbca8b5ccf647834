"""vault.db: which picture is whose. Written by `new`, read by the analysis, and by nothing that serves raters."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select

from kimchi.errors import StudyError

from .store.engine import Database

_METADATA = MetaData()


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRow:
    """Where a blinded picture comes from."""

    stimulus: str
    """Its id in study.db, and its file in pictures/."""
    condition: str
    """The folder of arms/ it lay in; empty for the practice picture."""
    prompt: str
    """Whose picture it is."""
    path: str
    """Of the original, as it was given."""
    sha256: str
    """Of the original."""
    width: int
    """Of the original, pixels."""
    height: int
    generator: str = ""
    """Model with revision and hash, where a sidecar says it."""
    seed: str = ""
    """Of the drawing, likewise."""
    prompt_used: str = ""
    """What the model was given, likewise."""
    licence: str = ""
    """What licence.txt of the condition's folder says."""


_INTEGERS = ("width", "height")
_TABLE = Table(
    "vault",
    _METADATA,
    *(
        Column(field.name, Integer if field.name in _INTEGERS else Text, primary_key=field.name == "stimulus", nullable=False)
        for field in dataclasses.fields(VaultRow)
    ),
    sqlite_strict=True,
)


def write_vault(path: Path, rows: list[VaultRow]) -> None:
    """Write the vault.

    Raises:
        OutputError: it cannot be written.
    """
    # One file, which can be carried away and read where nothing may be written.
    database = Database(path, log=False)
    with database.write() as connection:
        _METADATA.create_all(connection)
        connection.execute(insert(_TABLE), [dataclasses.asdict(row) for row in rows])
    database.close()


def read_vault(path: Path) -> dict[str, VaultRow]:
    """Stimulus => where it comes from. Whoever calls this has unblinded the study, and says so in its events.

    Raises:
        StudyError: there is no vault.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such file; without the vault nobody knows which picture is whose. Bring it back beside the study.")
    database = Database(path, read_only=True)
    try:
        with database.read() as connection:
            rows = [VaultRow(**row) for row in connection.execute(select(_TABLE).order_by(_TABLE.c.stimulus)).mappings()]
    finally:
        database.close()
    return {row.stimulus: row for row in rows}
