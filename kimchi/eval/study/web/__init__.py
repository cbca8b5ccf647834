"""The web app that people rate in. It reads protocol, database and blinded pictures, and never the vault."""

from .app import make_app
from .serve import serve

__all__ = ["make_app", "serve"]
