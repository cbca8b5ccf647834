"""What studies need beside a plain install. This file needs none of it."""

from importlib.util import find_spec

_NEEDED = ("sqlalchemy", "starlette", "uvicorn")
INSTALL = "pip install 'kimchi-diffusion[eval]'"
"""The command that brings it."""


def absent() -> list[str]:
    """Packages of the extra `eval` that a study cannot do without and that are not installed."""
    return [name for name in _NEEDED if find_spec(name) is None]
