"""Boxes as providers write them."""

from typing import Any

Corners = tuple[float, float, float, float]


def area(box: Corners | None) -> float:
    """Pixels within two opposite corners, whichever comes first; 0 for no box."""
    return abs((box[2] - box[0]) * (box[3] - box[1])) if box else 0.0


def largest(boxes: list[tuple[Corners | None, dict[str, Any]]]) -> tuple[Corners | None, dict[str, Any]]:
    """Of several boxes of one picture the largest, with its table; (None, the first table) when none has any area, (None, {}) of nothing."""
    box, table = max(boxes, key=lambda item: area(item[0]), default=(None, dict[str, Any]()))
    return (box, table) if area(box) else (None, table)
