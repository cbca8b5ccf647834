"""Which pictures are held out, in which words, and what their sources are called."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from kimchi.recipes import Source


def choose(ids: Sequence[str], count: int, groups: Sequence[str] = ()) -> list[int]:
    """Which rows of a split measure: at most `count`, in an order that follows from their ids alone, so that adding a row moves no other.

    Args:
        ids: the rows' ids, in any order.
        groups: the scene of each row; a second picture of a scene is taken only after every scene has one. Near-duplicates count as
            independent in an interval, which would then be too narrow.
    """
    turns: dict[str, int] = {}
    ranked: list[tuple[int, str, int]] = []
    for order, row in sorted((hashlib.sha256(f"held-out/{name}".encode()).hexdigest(), i) for i, name in enumerate(ids)):
        group = (groups[row] if groups else "") or ids[row]
        ranked.append((turns.setdefault(group, 0), order, row))
        turns[group] += 1
    return [row for _, _, row in sorted(ranked)[:count]]


def source_names(sources: Sequence[Source]) -> list[str]:
    """A short name for each source, no two alike: the sample world's, or the folder its captions.jsonl lies in."""
    names: list[str] = []
    for source in sources:
        path = Path(source.captions)
        name = source.captions if source.captions.startswith("sample-world:") else path.parent.name or path.stem
        again = sum(n == name or n.startswith(f"{name} (") for n in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
