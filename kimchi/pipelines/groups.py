"""Which pictures show one scene: consecutive shots of a plate must not stand on both sides of a split."""

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kimchi.records import ImageRecord

NEAR_BITS = 10
"""Two pictures of one label whose difference hashes differ in at most this many of 256 bits show one scene."""
NEAR_LOOKS = 20
"""The same for what they look like to a vision model: a cosine of about 0.97."""
EXACT_COUNT = 20_000
"""Pictures of one label up to which all pairs are compared; beyond it only pairs that share a rare sixteenth of their hashes."""
RARE = 512
"""A sixteenth that more pictures than this share is a flat sky or table, and says nothing."""
_HASH_BYTES = 32
_BLOCK_WORDS = 2**22
Words = NDArray[np.uint64]


class Groups:
    """Notes records as they pass, and afterwards joins near-duplicates. Keeps 76 bytes a record, and a few more while it settles."""

    def __init__(self) -> None:
        self._ids, self._hashes, self._looks, self._label_of = array("Q"), bytearray(), bytearray(), array("i")
        self._labels: dict[tuple[str, ...], int] = {}

    def note(self, records: Iterator[ImageRecord]) -> Iterator[ImageRecord]:
        """Pass records through; ids are 16 hex digits, as every reader gives them."""
        for record in records:
            self._ids.append(int(record.id, 16))
            # No hash: zeros, which are near to nothing below.
            self._hashes += bytes.fromhex(record.dhash) if record.dhash else bytes(_HASH_BYTES)
            self._looks += bytes.fromhex(record.looks) if record.looks else bytes(_HASH_BYTES)
            self._label_of.append(self._labels.setdefault(record.labels, len(self._labels)))
            yield record

    def settle(self) -> "GroupOf":
        """The group of each record: the smallest id among the pictures linked by nearness, so a picture with no near ones is its own group."""
        ids_N = np.frombuffer(self._ids, np.uint64)
        words_NW, looks_NW = (np.frombuffer(bytes(b), np.uint64).reshape(len(ids_N), _HASH_BYTES // 8) for b in (self._hashes, self._looks))
        # In the order of labels, and of ids within one: a group must not depend on the order in which a delivery lists its pictures.
        order_N = np.lexsort((ids_N, np.frombuffer(self._label_of, np.int32)))
        ends = np.flatnonzero(np.diff(np.frombuffer(self._label_of, np.int32)[order_N])) + 1
        group_N = ids_N.copy()
        for members in np.split(order_N, ends):
            group_N[members] = ids_N[members][_linked(words_NW[members], looks_NW[members])]
        by_id = np.argsort(ids_N)
        return GroupOf(ids_N[by_id], group_N[by_id])


class GroupOf:
    """Record id => group, both as 16 hex digits."""

    def __init__(self, ids_N: Words, groups_N: Words) -> None:
        self._ids, self._groups = ids_N, groups_N
        self.count = len(np.unique(groups_N))
        """How many groups there are."""

    def __getitem__(self, identity: str) -> str:
        return f"{int(self._groups[np.searchsorted(self._ids, np.uint64(int(identity, 16)))]):016x}"


def _linked(words_NW: Words, looks_NW: Words) -> NDArray[np.intp]:
    """For each picture the first one it is linked to, by chains of near pairs."""
    parent = np.arange(len(words_NW))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for hashes_NW, bits in ((words_NW, NEAR_BITS), (looks_NW, NEAR_LOOKS)):
        hashed = np.flatnonzero(hashes_NW.any(1))
        near = _near if len(hashed) <= EXACT_COUNT else _near_by_sixteenths
        for i, j in near(hashes_NW[hashed], bits):
            low, high = sorted((find(int(hashed[i])), find(int(hashed[j]))))
            parent[high] = low
    return np.array([find(i) for i in range(len(parent))], dtype=np.intp)


def _distance(left: Words, right: Words) -> NDArray[np.uint16]:
    return np.bitwise_count(left ^ right).sum(axis=-1, dtype=np.uint16)


def _near(words_NW: Words, bits: int) -> Iterator[tuple[int, int]]:
    """Pairs i < j of near hashes."""
    if not len(words_NW):
        return
    rows = max(1, _BLOCK_WORDS // words_NW.size)  # 32 MiB at a time, however many pictures a label has
    for start in range(0, len(words_NW), rows):
        # Only pairs i < j: the rows before this block have met it already.
        distance_BN = _distance(words_NW[start : start + rows, None, :], words_NW[None, start:, :])
        for i, j in np.argwhere(distance_BN <= bits):
            if i < j:
                yield start + int(i), start + int(j)


def _near_by_sixteenths(words_NW: Words, bits: int) -> Iterator[tuple[int, int]]:
    """Near pairs among very many: hashes that differ in ten bits have at least six of their sixteen 16-bit parts in common;
    those that differ in twenty have some in common nearly always."""
    parts_N16 = words_NW.view(np.uint16)
    for k in range(parts_N16.shape[1]):
        order = np.argsort(parts_N16[:, k], kind="stable")
        ends = np.flatnonzero(np.diff(parts_N16[order, k])) + 1
        for members in np.split(order, ends):
            if 2 <= len(members) <= RARE:
                for i, j in _near(words_NW[members], bits):
                    yield int(members[i]), int(members[j])
