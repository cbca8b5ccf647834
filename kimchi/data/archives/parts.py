"""Files that came in pieces, X.zip.part0, X.zip.part1 ...: put in the order of their numbers, read as one, never written or removed.

AIHub numbers a piece by the byte it begins at (part0, part1073741824, part2147483648 ...) in what aihubshell fetches; other tools count 0, 1, 2 or
1, 2, 3. Both say when a piece in the middle is missing; that the last is missing shows when the joined archive has no directory.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

_PART = re.compile(r"(.+)\.part([0-9]{1,15})$", re.DOTALL | re.IGNORECASE)


def part_of(name: str) -> tuple[str, int] | None:
    """ "X.zip.part10" => ("X.zip", 10); None for the name of a whole file."""
    match = _PART.match(name)
    return (match.group(1), int(match.group(2))) if match else None


@dataclass(slots=True)
class Group:
    """The pieces of one file that lie together."""

    whole: str
    """The name of the file they make."""
    numbered: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    """Number, bytes and name of each piece."""

    def add(self, number: int, size: int, name: str) -> None:
        """One more piece."""
        self.numbered.append((number, size, name))

    def order(self) -> list[str]:
        """The names of the pieces in the order of their numbers, as integers: part2 before part10."""
        return [name for _, _, name in sorted(self.numbered)]

    def fault(self) -> str:
        """Why they do not make one file; empty when they do, as far as names and sizes tell."""
        pieces = sorted(self.numbered)
        numbers, sizes = [number for number, _, _ in pieces], [size for _, size, _ in pieces]
        if twice := {number for number in numbers if numbers.count(number) > 1}:
            return f"part {min(twice)} is there twice. Keep one of the two."
        offsets = [0, *accumulate(sizes)][:-1]
        if numbers == offsets or (numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] in (0, 1)):
            return ""
        return f"{self._missing(numbers, offsets)} Fetch the delivery again; the {len(pieces)} parts that are here are kept as they are."

    @staticmethod
    def _missing(numbers: list[int], offsets: list[int]) -> str:
        if numbers[-1] <= 2 * len(numbers) + 1000:
            first = min(numbers[0], 1)
            absent = [number for number in range(first, numbers[-1]) if number not in set(numbers)]
            return f"of parts {first} to {numbers[-1]}, {', '.join(map(str, absent[:8]))}{' ...' if len(absent) > 8 else ''} missing."
        place = next(i for i, (number, offset) in enumerate(zip(numbers, offsets, strict=True)) if number != offset)
        if not place:
            return f"the first part, part0, is missing; part{numbers[0]} is the first here."
        return f"part{numbers[place]} should begin at byte {numbers[place]:,}, and the parts before it end at {offsets[place]:,}: one is missing or cut short."


def groups(named: Iterable[tuple[str, int]]) -> dict[str, Group]:
    """Names and sizes of files that lie together => the groups of parts among them, by the name of the whole."""
    found: dict[str, Group] = {}
    for name, size in named:
        if part := part_of(name):
            found.setdefault(part[0], Group(part[0])).add(part[1], size, name)
    return found
