"""Words found in a folded prompt, however they are spaced, filled or drawn out, and not where another word merely holds them.

A prompt is a row of units: a letter, the letters a sign may stand for, and what stood before it. Words are the paths of a tree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from kimchi.data.culture_text import script_of

from .folding import STANDS_FOR, WILD, compose, fold, is_jamo

Kind = Literal["inside", "whole", "allowed"]
"""inside: also within longer words. whole: only as a word of its own, with endings. allowed: harmless, and so is what lies within it."""
_JOINED, _FILLED, _SPACED, _BROKEN = range(4)
"""What stands before a letter: nothing, filling (섹.스), a space or the mark of a clause, so much else that no word goes on."""
_CLAUSE = ",;:?/\u3001\u3002"
_DRAWN_OUT = -1
"""In place of the letter's number, before one that only repeats the last."""
_FILLING = 3
"""Most signs between two letters of one word; and at most two letters of another script (시b발)."""
_LONGEST = 80
"""Units looked at from the first letter of a word on."""
_MOST_READINGS = 150
"""Of the letters from one place on; a prompt needs a dozen, and one made of "1!|" could be read for minutes."""


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of a list."""

    text: str
    """As the list writes it."""
    kind: Kind
    category: str
    """A key of the list's categories; empty for what is allowed."""
    group: int = 0
    """Of words that are refused only together: words of every group of a category must be there. 0: refused alone."""


@dataclass(frozen=True, slots=True)
class Match:
    """A word of a list in a prompt."""

    word: Word
    first: int
    last: int
    """Its first and last unit."""


@dataclass(slots=True)
class _Node:
    children: "dict[str, _Node]" = field(default_factory=dict["str", "_Node"])
    ends: list[tuple[Word, frozenset[int]]] = field(default_factory=list[tuple[Word, frozenset[int]]])
    """Words that end here, each with the letters before which it has a space itself."""


class _Unit(NamedTuple):
    letters: str
    """What it may be; empty: any one letter."""
    before: int
    loose: bool = False
    """May also be filling: a digit, a star, a lone jamo."""


class _Walk(NamedTuple):
    """A word half read: the gaps are pairs of letter and what stood before it."""

    node: _Node
    next: int
    read: int = 0
    sure: int = 0
    last: int = -1
    letter: str = ""
    gaps: tuple[tuple[int, int], ...] = ()
    filling: int = _JOINED
    """What stood before the filling that was skipped since the last letter."""


class Finder:
    """Finds the words of one language's list."""

    def __init__(self, words: Iterable[Word], scripts: Iterable[str], endings: Iterable[str] = ()) -> None:
        """Make the tree.

        Args:
            scripts: of the language, as Unicode names them; letters of others are filling.
            endings: what a word may take and remain itself, up to two in a row.
        """
        self._scripts = frozenset(scripts)
        self._endings = frozenset(map(fold, endings))
        self._root, self._within = _Node(), _Node()
        self._signs: dict[str, tuple[str | None, bool]] = {}
        for word in words:
            _add(self._root, word)
            if word.kind != "whole":  # what may also begin in the middle of a word
                _add(self._within, word)

    def find(self, text: str) -> list[Match]:
        """Matches in a folded text that nothing allowed holds. Of the same word once for each place."""
        views = dict.fromkeys((text, compose(text)) if "Hangul" in self._scripts else (text,))
        return [match for view in views for match in self._in(self._units(view))]

    def _units(self, text: str) -> list[_Unit]:
        units: list[_Unit] = []
        signs = foreign = 0
        spaced = False
        for sign in text:
            letters, loose = self._signs.get(sign) or self._signs.setdefault(sign, self._read(sign))
            if letters is not None:
                before = _BROKEN if signs > _FILLING or foreign > 2 else _SPACED if spaced else _FILLED if signs else _JOINED
                units.append(_Unit(letters, before, loose))
                signs, foreign, spaced = 0, 0, False
                continue
            signs += 1
            foreign += sign.isalpha()
            if sign == " " or sign in _CLAUSE:
                spaced = True
                # A word of another script is a word; a single letter of it is filling.
                foreign = 3 if foreign > 2 else 0
        return units

    def _read(self, sign: str) -> tuple[str | None, bool]:
        """What a sign may be, or None for filling; and whether it may be filling as well."""
        if sign.isalpha() and script_of(sign) in self._scripts:
            return sign, is_jamo(sign)
        if "Latin" in self._scripts and sign in STANDS_FOR:
            return STANDS_FOR[sign], True
        if "Latin" in self._scripts and sign in WILD:
            return "", True
        return None, False

    def _in(self, units: list[_Unit]) -> list[Match]:
        found = [match for first in range(len(units)) for match in self._from(units, first)]
        allowed = [match for match in found if match.word.kind == "allowed"]
        return [match for match in dict.fromkeys(found) if match.word.kind != "allowed" and not any(_holds(free, match, units) for free in allowed)]

    def _from(self, units: list[_Unit], first: int) -> Iterator[Match]:
        begins = _begins(units, first)
        root = self._root if begins else self._within
        if root.children.keys().isdisjoint(units[first].letters):
            return
        todo, seen = [_Walk(root, first)], set[tuple[object, ...]]()
        while todo and len(seen) < _MOST_READINGS:
            walk = todo.pop()
            # Letters drawn out can be read in many ways that come to the same: "xxxxxxxx" would take forever.
            state = (id(walk.node), walk.next, walk.sure, walk.gaps, walk.filling)
            if state in seen:
                continue
            seen.add(state)
            for word, seams in walk.node.ends:
                if walk.sure * 2 >= walk.read and self._stands(units, begins, walk, word, seams):
                    yield Match(word, first, walk.last)
            if walk.next < min(len(units), first + _LONGEST):
                todo += self._steps(units[walk.next], walk)

    def _steps(self, unit: _Unit, walk: _Walk) -> Iterator[_Walk]:
        """The ways to go on: the unit is the next letter, or the last one drawn out, or filling."""
        i, read, sure = walk.next, walk.read, walk.sure
        before = max(unit.before, walk.filling)
        if read and before == _BROKEN:
            return
        for letter in unit.letters or (walk.node.children if read else ()):
            if child := walk.node.children.get(letter):
                gaps = (*walk.gaps, (read, before)) if read and before else walk.gaps
                yield _Walk(child, i + 1, read + 1, sure + (not unit.loose or is_jamo(letter)), i, letter, gaps)
        if read and walk.letter in unit.letters:
            drawn = (_DRAWN_OUT, before)
            gaps = (*walk.gaps, drawn) if before and drawn not in walk.gaps else walk.gaps
            yield _Walk(walk.node, i + 1, read, sure, i, walk.letter, gaps)
        # Between lone jamo no other one is filling: an alphabet would hold every word that is written in them.
        if read and unit.loose and not (is_jamo(walk.letter) and is_jamo(unit.letters)):
            yield _Walk(walk.node, i + 1, read, sure, walk.last, walk.letter, walk.gaps, max(before, _FILLED))

    def _stands(self, units: list[_Unit], begins: bool, walk: _Walk, word: Word, seams: frozenset[int]) -> bool:
        """Whether letters that spell a word are that word: by where it begins, how it goes on, and what divides it."""
        split = [gap for gap in walk.gaps if gap[0] not in seams]
        if word.kind == "allowed":
            return not split
        if not split and word.kind == "inside":
            return True
        if not begins:
            return False
        if word.kind == "whole" and any(kind == _SPACED for _, kind in split):
            return len({read for read, _ in split if read != _DRAWN_OUT}) >= walk.read - 1 - len(seams) and _rest(units, walk.last) == ""
        return self._is_ending(_rest(units, walk.last))

    def _is_ending(self, rest: str) -> bool:
        return rest == "" or rest in self._endings or any(rest[:i] in self._endings and rest[i:] in self._endings for i in range(1, len(rest)))


def _add(root: _Node, word: Word) -> None:
    node, seams, read = root, set[int](), 0
    for sign in fold(word.text):
        if sign == " ":
            seams.add(read)
            continue
        node = node.children.setdefault(sign, _Node())
        read += 1
    if read:
        node.ends.append((word, frozenset(seams)))


def _holds(free: Match, match: Match, units: list[_Unit]) -> bool:
    """Whether a match lies within something allowed. Its first letter may be drawn out to the left: "한 벌, 벌거벗은 산"."""
    drawn_out = all(unit.letters == units[match.first].letters for unit in units[match.first : free.first + 1])
    return (free.first <= match.first or drawn_out) and match.last <= free.last


def _begins(units: list[_Unit], first: int) -> bool:
    return first == 0 or units[first].before > _JOINED or units[first - 1].loose


def _rest(units: list[_Unit], last: int) -> str:
    """The letters from a match to the end of its word."""
    rest = ""
    for unit in units[last + 1 :]:
        if unit.before > _JOINED or unit.loose:
            break
        rest += unit.letters
    return rest
