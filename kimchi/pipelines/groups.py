"""Which pictures show one scene: consecutive shots of a plate must not stand on both sides of a split."""

from collections.abc import Iterator

import numpy as np

from kimchi.records import ImageRecord

NEAR_BITS = 10
"""Two pictures of one label whose difference hashes differ in at most this many of 256 bits show one scene."""
_BLOCK_WORDS = 2**22


class Groups:
    """Notes records as they pass, and afterwards joins near-duplicates. Keeps about 100 bytes a record."""

    def __init__(self) -> None:
        self._by_label: dict[tuple[str, ...], list[tuple[str, str]]] = {}

    def note(self, records: Iterator[ImageRecord]) -> Iterator[ImageRecord]:
        """Pass records through."""
        for record in records:
            self._by_label.setdefault(record.labels, []).append((record.id, record.dhash))
            yield record

    def settle(self) -> dict[str, str]:
        """Record id => group: the smallest id among the pictures linked by nearness, so a picture with no near ones is its own group."""
        group_of: dict[str, str] = {}
        for pairs in self._by_label.values():
            # In the order of ids: a group must not depend on the order in which a delivery lists its pictures.
            pairs.sort()
            group_of.update(_linked(pairs))
        return group_of


def _linked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    parent = list(range(len(pairs)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in _near([dhash for _, dhash in pairs]):
        low, high = sorted((find(i), find(j)))
        parent[high] = low
    return {pairs[i][0]: pairs[find(i)][0] for i in range(len(pairs))}


def _near(hashes: list[str]) -> Iterator[tuple[int, int]]:
    """Pairs i < j of near hashes; records without a hash are near to none."""
    hashed = [i for i, dhash in enumerate(hashes) if dhash]
    if not hashed:
        return
    words_NW = np.frombuffer(bytes.fromhex("".join(hashes[i] for i in hashed)), dtype=np.uint64).reshape(len(hashed), -1)
    rows = max(1, _BLOCK_WORDS // words_NW.size)  # 32 MiB at a time, however many pictures a label has
    for start in range(0, len(hashed), rows):
        block_BW = words_NW[start : start + rows]
        # Only pairs i < j: the rows before this block have met it already.
        distance_BN = np.bitwise_count(block_BW[:, None, :] ^ words_NW[None, start:, :]).sum(axis=-1, dtype=np.uint16)
        for i, j in np.argwhere(distance_BN <= NEAR_BITS):
            if i < j:
                yield hashed[start + int(i)], hashed[start + int(j)]
