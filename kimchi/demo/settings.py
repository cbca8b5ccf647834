"""How one booth is set up; nothing here changes while it runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kimchi.errors import RequestError

Hall = Literal["bright", "dark"]
"""The light around the screen: paper under lamps, or ink in a dark hall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One booth."""

    folder: Path = Path("runs/booth")
    """Where ratings and the day's counts are kept. Never a study's folder."""
    language: str = "ko"
    """Which language the page opens in: the culture's own tag, or "en"."""
    culture: str = "ko"
    """Whose suggestions are offered: a name from data/cultures, or a YAML file."""
    hall: Hall = "bright"
    """The light it starts in; the staff change it on their page."""
    kiosk: bool = False
    """A screen of the booth's own: larger, no downloads onto it, back to the start when nobody is there."""
    lan_url: str = ""
    """Where phones in the same network reach this booth, without a slash at the end; empty: they do not, and no QR code is shown."""
    compare: bool = True
    """Also draw what the base makes of the same words, as they are and translated, where the engine can."""
    keep_prompts: bool = False
    """Write down what visitors typed; the page tells them."""
    idle_s: int = 90
    """Without a touch for so long, the page goes back to its start. 0: never."""
    gallery: int = 18
    """The most pictures of the day on the page."""
    keepsakes: int = 60
    """The most pictures that can still be fetched to take home."""
    keepsake_s: int = 2 * 60 * 60
    """How long one can be fetched."""
    pin: str = field(default="", repr=False)
    """Opens the staff page; empty: there is none."""
    secure: bool = False
    """Whether the staff's cookie may travel over https only."""

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            RequestError: a number out of range, a PIN that is too easy, a folder that belongs to a study.
        """
        if self.pin and (len(self.pin) < 4 or len(set(self.pin)) < 2):
            raise RequestError("The staff PIN needs at least four signs that are not all the same. Set KIMCHI_BOOTH_PIN, or leave it unset for one by lot.")
        if not 0 <= self.idle_s <= 3600:
            raise RequestError(f"idle {self.idle_s}: must be seconds from 0 (never) to 3600.")
        if (self.folder / "lock.json").exists() or (self.folder / "study.db").exists():
            raise RequestError(f"{self.folder}: is a study's folder, and a booth's ratings are never mixed with a study's. Name another with --out.")
