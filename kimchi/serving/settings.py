"""What a server is told before it starts: from the command line, else from KIMCHI_* in the environment, else these defaults."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kimchi.errors import ServeError

_MODEL_ID = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything about serving that is not about drawing. Each field can be set in the environment: KIMCHI_PORT=8000."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for the whole network."""
    port: int = 8000
    """0 to 65535; 0 takes a free one."""
    model_id: str = "kimchi"
    """What clients call the model: letters, digits, dots, dashes and underscores, at most 100."""
    keys_file: Path | None = None
    """Hashed API keys. Where the file is, a key is asked for."""
    api_keys: tuple[str, ...] = ()
    """Keys from the environment, each NAME=KEY or KEY, separated by commas."""
    behind_backendai: bool = False
    """Backend.AI's proxy has checked the token already: an unknown Bearer is not refused."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call: https://example.org. None by default."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-* headers are believed."""
    public_url: str = ""
    """How clients reach this server, for picture addresses; empty, as the request came."""
    compare: bool = True
    """Whether POST /v1/images/compare may load what the model was taught on; that takes memory for another one."""
    rate_per_minute: int = 0
    """Pictures a minute for each key, or each address where no key is asked for; 0 for no limit."""
    max_n: int = 10
    """Most pictures of one request, 1 to 10."""
    max_steps: int = 100
    """Most denoising steps of one request, 1 to 1000."""
    max_size_px: int = 0
    """Longest side that may be asked for, pixels; 0 for twice the model's own."""
    prompt_chars: int = 2000
    """Longest prompt, characters. Encoders hear far less, and what they do not hear is reported."""
    body_bytes: int = 64 * 1024
    """Largest request, bytes."""
    connections: int = 256
    """Most connections at a time; further ones are told to come back."""
    arrive_s: float = 15.0
    """A request must have arrived whole after so many seconds."""
    read_s: float = 60.0
    """A client that reads nothing for so many seconds is given up."""
    timeout_s: float = 120.0
    """A picture must be drawn so many seconds after it was asked for, waiting included."""
    drain_s: float = 22.0
    """After SIGTERM accepted work has so many seconds."""
    url_bytes: int = 64 * 1024 * 1024
    """Memory for pictures that are given as addresses; the oldest go first."""
    url_s: float = 3600.0
    """How long such an address holds, seconds."""

    def __post_init__(self) -> None:
        """Refuse what cannot work before a port is opened."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ServeError(f"{name} {value!r}: must be from {low:g} to {high:g}. Change it, or leave it out.")
        if not _MODEL_ID.fullmatch(self.model_id):
            raise ServeError(
                f"model name {self.model_id[:100]!r}: clients need letters, digits, dots, dashes and underscores, at most 100. Set BACKEND_MODEL_NAME."
            )
        bad = [origin for origin in self.cors if not re.fullmatch(r"\*|https?://[^/\s]+", origin)]
        if bad:
            raise ServeError(f"--cors {bad[0]!r}: not an origin. Give scheme and host as browsers do: https://example.org")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("port", 0, 65535),
    ("rate_per_minute", 0, 1e6),
    ("max_n", 1, 10),
    ("max_steps", 1, 1000),
    ("max_size_px", 0, 2048),
    ("prompt_chars", 1, 10_000),
    ("body_bytes", 1024, 64 * 1024 * 1024),
    ("connections", 1, 100_000),
    ("arrive_s", 0.1, 3600),
    ("read_s", 0.1, 3600),
    ("timeout_s", 1, 86_400),
    ("drain_s", 0.1, 3600),
    ("url_bytes", 0, 2**40),
    ("url_s", 1, 86_400),
)


def make_settings(environment: Mapping[str, str], **given: Any) -> Settings:
    """Settings of what was given, filled up from the environment.

    Args:
        environment: os.environ; read are KIMCHI_<FIELD>, and BACKEND_MODEL_NAME for the model's name.
        given: fields by name; None is not given.

    Raises:
        ServeError: a value that is none, or out of its range.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for field in fields(Settings):
        text = environment.get(f"KIMCHI_{field.name.upper()}", "").strip()
        if text and field.name not in chosen:
            chosen[field.name] = _read(field.name, text, field.default)
    chosen["model_id"] = environment.get("BACKEND_MODEL_NAME", "").strip() or chosen.get("model_id", "kimchi")
    return Settings(**chosen)


def _read(name: str, text: str, default: object) -> Any:
    try:
        match default:
            case bool():
                return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
            case int() | float():
                return type(default)(text)
            case tuple():
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case str():
                return text
            case _:
                return Path(text).expanduser()
    except (ValueError, KeyError):
        # The value itself is not said: a key typed into the wrong variable would reach the log.
        kind = "1 or 0" if isinstance(default, bool) else "a number"
        raise ServeError(f"KIMCHI_{name.upper()}: must be {kind}. Change it, or unset it.") from None


def public_name(model: str) -> str:
    """What clients call a model that is named by a folder, a file or a hub id: its last part, without what a URL cannot hold."""
    last = Path(model.rstrip("/")).name
    return re.sub(r"[^\w.-]+", "-", last.removesuffix(".safetensors")).strip(".-")[:100] or "kimchi"
