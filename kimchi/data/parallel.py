"""Parallel text: sentences of one meaning in Korean and English."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One meaning in two languages."""

    en: str
    ko: str
    picture: str = ""
    """Name of the picture that both describe; empty where there is none."""
