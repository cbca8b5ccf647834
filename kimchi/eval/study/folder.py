"""Where things lie in a study's folder."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from kimchi.errors import StudyError

from .schema import Protocol
from .store import Store, open_store


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study's folder. The collecting server reads protocol, lock, database and pictures, and never the vault."""

    path: Path

    @property
    def protocol(self) -> Path:
        """What was decided: YAML."""
        return self.path / "protocol.yaml"

    @property
    def lock(self) -> Path:
        """What must not change any more; its existence means that the study collects."""
        return self.path / "lock.json"

    @property
    def database(self) -> Path:
        """What is collected."""
        return self.path / "study.db"

    @property
    def pictures(self) -> Path:
        """The blinded pictures: ID.png, and nothing else."""
        return self.path / "pictures"

    @property
    def vault(self) -> Path:
        """Which picture is whose. For the analysis, and for nobody else."""
        return self.path / "vault" / "vault.db"

    @property
    def invitations(self) -> Path:
        """Codes to hand out, where the study is by invitation."""
        return self.path / "vault" / "invitations.txt"

    @property
    def analysis(self) -> Path:
        """What `kimchi study analyse` writes."""
        return self.path / "analysis"

    @property
    def purged(self) -> Path:
        """What `kimchi study purge` destroyed, and when."""
        return self.path / "purged.json"

    def picture(self, stimulus: str) -> Path:
        """The file of a blinded picture."""
        return self.pictures / f"{stimulus}.png"

    def store(self, *, read_only: bool = False) -> Store:
        """The database, opened.

        Raises:
            StudyError: there is none.
        """
        self.check()
        return open_store(self.database, read_only=read_only)

    def check(self) -> None:
        """Refuse what is no study.

        Raises:
            StudyError: no study lies here, or it was purged.
        """
        if self.purged.is_file():
            raise StudyError(f"{self.path}: was purged; purged.json says when and what. Its answers are gone. Make a new study: kimchi study new.")
        if not self.protocol.is_file():
            raise StudyError(f"{self.path}: holds no protocol.yaml, so it is no study. Name the folder that `kimchi study new` made.")

    def read_protocol(self) -> Protocol:
        """What was decided.

        Raises:
            StudyError: no study lies here, or its protocol cannot be read.
        """
        self.check()
        try:
            return Protocol.model_validate(yaml.safe_load(self.protocol.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            said = " ".join(str(error).split())[:300]
            raise StudyError(
                f"{self.protocol}: cannot be read ({said}). It is never edited; make a new study from the instrument: kimchi study new."
            ) from error
