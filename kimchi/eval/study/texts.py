"""Consent and privacy texts: templates of eval/texts/ with their blanks filled."""

import re
from pathlib import Path

from kimchi import recipes
from kimchi.errors import StudyError

from .schema import Consent, Instrument

KINDS = ("consent", "privacy")
_BLANK = re.compile(r"\{([a-z_]+)\}")


def find_texts(consent: Consent) -> Path:
    """The folder of the templates.

    Raises:
        StudyError: there is none.
    """
    own, shipped = Path(consent.texts).expanduser(), recipes.HOME / "eval" / "texts"
    for folder in (own, shipped / consent.texts):
        if (folder / "consent.ko.md").is_file() or any(folder.glob("consent.*.md")):
            return folder
    known = ", ".join(sorted(one.name for one in shipped.iterdir() if one.is_dir()))
    raise StudyError(f"consent.texts {consent.texts!r}: no folder with consent.LANGUAGE.md. Use {known}, or copy that folder and name yours.")


def fill(instrument: Instrument, kind: str, language: str, known: dict[str, str]) -> str:
    """One text with its blanks filled; those that nobody has filled stay, in braces.

    Raises:
        StudyError: the template is not there.
    """
    path = find_texts(instrument.consent) / f"{kind}.{language}.md"
    if not path.is_file():
        raise StudyError(f"{path}: no such file, and raters may read {language}. Write it, or take {language} out of `languages`.")
    blanks = {name: value for name, value in ({**known, **instrument.consent.blanks}).items() if value.strip()}
    # Comments in a template speak to the operator, not to raters.
    text = re.sub(r"<!--.*?-->\n*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return _BLANK.sub(lambda found: blanks.get(found[1], found[0]), text)


def blanks(text: str) -> list[str]:
    """Blanks that nobody has filled."""
    return sorted({found[1] for found in _BLANK.finditer(text)})
