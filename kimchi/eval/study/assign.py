"""The sealed plan: which rater sees which pictures in which order. Pure functions of the seed; nothing here is drawn by lot.

Every rater sees all conditions of a prompt, one after the other. Their orders are rows of a Williams square, taken in turn, so that each
condition stands in each place, and follows each other one, equally often. Source: E. J. Williams, "Experimental designs balanced for the
estimation of residual effects of treatments", Australian Journal of Scientific Research A 2 (1949), 149-168.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

Kind = Literal["practice", "main", "gold", "repeat", "trap"]
PRACTICE = "practice"
"""The prompt of the first screen, which teaches the scale and is never analysed."""
POINTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A domain, as the plan sees it."""

    prompts: Mapping[str, str]
    """Prompt => topic, in a fixed order."""
    per_rater: int
    conditions: tuple[str, ...]
    """In an order that tells nothing: it decides who stands first in row one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a plan is made from."""

    strata: Mapping[str, Stratum]
    slots: int
    repeats: int = 0
    gold: int = 0
    traps: int = 0
    gap: int = 10
    """Least screens between a picture and its repetition."""
    points: int = POINTS
    """Answers of the criterion that a trap asks about."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One picture with one text."""

    kind: Kind
    prompt: str
    """Whose text is shown."""
    picture_of: str
    """Whose picture."""
    condition: str
    """Empty for practice."""
    position: int = 0
    """Which of the prompt's pictures, from 1; 0 outside the main screens."""
    repeat_of: int | None = None
    """Place of the screen that this one repeats."""
    expected: int | None = None
    """What a trap asks for."""


def williams(n: int) -> list[tuple[int, ...]]:
    """Rows in which each of n conditions stands in each place equally often, and follows each other one equally often: n rows, 2n for odd n."""
    first = [(k + 1) // 2 if k % 2 else (n - k // 2) % n for k in range(n)]
    rows = [tuple((one + shift) % n for one in first) for shift in range(n)]
    return rows + [row[::-1] for row in rows] if n % 2 and n > 1 else rows


def plan(design: Design) -> list[tuple[Screen, ...]]:
    """Every slot's screens, practice first."""
    makers = {name: _Dealer(name, stratum, design.seed) for name, stratum in design.strata.items()}
    return [_with_checks(slot, _mixed(slot, makers, design), design) for slot in range(design.slots)]


def _lot(*parts: object) -> int:
    """A number that only the seed and the names decide: the same on every machine, which `hash` is not."""
    return int.from_bytes(hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest())


class _Dealer:
    """Deals the prompts of one domain, and the orders of their pictures, to one slot after the other."""

    def __init__(self, name: str, stratum: Stratum, seed: int) -> None:
        self._name, self._stratum, self._seed = name, stratum, seed
        self._rows = williams(len(stratum.conditions))
        self._used = Counter[str]()
        self._together = Counter[tuple[str, str]]()
        self._ordered = Counter[tuple[str, int]]()
        self._dealt = self._turn = 0

    def deal(self, slot: int) -> list[tuple[Screen, ...]]:
        """One slot's prompts, each with its pictures in order."""
        chosen = self._choose(slot)
        return [self._ordered_screens(slot, chosen, self._next_row(slot)) for _ in range(len(chosen))]

    def _next_row(self, slot: int) -> int:
        """Latin squares one after the other: whoever leaves early has seen whole squares and a part of one, and unbalances little."""
        n, square = len(self._stratum.conditions), self._dealt // len(self._stratum.conditions)
        if self._dealt % n == 0:
            # Each square begins at another row, or one condition would be everybody's first picture.
            self._turn = slot
        row = (self._dealt + self._turn) % n
        self._dealt += 1
        return row + n if len(self._rows) > n and square % 2 else row

    def _choose(self, slot: int) -> list[str]:
        """The prompts seen least so far; of those, ones of topics and neighbours met least."""
        chosen = list[str]()
        topics, sizes = Counter[str](), Counter(self._stratum.prompts.values())
        left = dict(self._stratum.prompts)
        while len(chosen) < self._stratum.per_rater and left:
            best = min(left, key=lambda p: (self._used[p], topics[left[p]] / sizes[left[p]], self._met(p, chosen), _lot(self._seed, slot, p)))
            topics[left.pop(best)] += 1
            chosen.append(best)
        for number, prompt in enumerate(chosen):
            self._used[prompt] += 1
            self._together.update((min(prompt, other), max(prompt, other)) for other in chosen[:number])
        return chosen

    def _met(self, prompt: str, chosen: Iterable[str]) -> int:
        return sum(self._together[min(prompt, other), max(prompt, other)] for other in chosen)

    def _ordered_screens(self, slot: int, left: list[str], row: int) -> tuple[Screen, ...]:
        """Takes from `left` the prompt that has been shown in this order least."""
        prompt = min(left, key=lambda p: (self._ordered[p, row], _lot(self._seed, slot, p, "order")))
        left.remove(prompt)
        self._ordered[prompt, row] += 1
        conditions = self._stratum.conditions
        return tuple(
            Screen(kind="main", prompt=prompt, picture_of=prompt, condition=conditions[one], position=place)
            for place, one in enumerate(self._rows[row], start=1)
        )


def _mixed(slot: int, dealers: Mapping[str, _Dealer], design: Design) -> list[tuple[Screen, ...]]:
    """The domains' prompts among each other; each domain keeps the order in which its rows were taken."""
    dealt = {name: dealer.deal(slot) for name, dealer in dealers.items()}
    turns = [(name, k) for name, blocks in dealt.items() for k in range(len(blocks))]
    names = [name for name, _ in sorted(turns, key=lambda turn: _lot(design.seed, slot, "turns", *turn))]
    left = {name: iter(blocks) for name, blocks in dealt.items()}
    return [next(left[name]) for name in names]


def _with_checks(slot: int, blocks: list[tuple[Screen, ...]], design: Design) -> tuple[Screen, ...]:
    """Practice, the prompts, and between them the checks at fixed quantiles."""
    checks = _check_kinds(design)
    after = Counter(ceil((number + 1) * len(blocks) / (len(checks) + 1)) for number in range(len(checks)))
    others = _Others(slot, blocks, design)
    screens, queue = [Screen(kind="practice", prompt=PRACTICE, picture_of=PRACTICE, condition="")], list(checks)
    for number, block in enumerate(blocks, start=1):
        screens += block
        for _ in range(after[number]):
            made = others.make(queue.pop(0), screens)
            screens += [made] if made else []
    return tuple(screens)


def _check_kinds(design: Design) -> list[Kind]:
    """Repeats and the others in turn: no kind crowds at the end, where everybody is tired."""
    gold: list[Kind] = ["gold" for _ in range(design.gold)]
    traps: list[Kind] = ["trap" for _ in range(design.traps)]
    others: list[Kind] = [*gold[:1], *traps, *gold[1:]]
    mixed = list[Kind]()
    for number in range(max(design.repeats, len(others))):
        if number < design.repeats:
            mixed.append("repeat")
        mixed += others[number : number + 1]
    return mixed


class _Others:
    """Makes one slot's checks."""

    def __init__(self, slot: int, blocks: list[tuple[Screen, ...]], design: Design) -> None:
        self._slot, self._design = slot, design
        self._seen = {block[0].prompt for block in blocks}
        self._spent = set[str]()

    def make(self, kind: Kind, before: Sequence[Screen]) -> Screen | None:
        """A check of that kind; None where the slot is too short for it."""
        return {"repeat": self._repeat, "gold": self._gold, "trap": self._trap}[kind](before)

    def _lot(self, *parts: object) -> int:
        return _lot(self._design.seed, self._slot, len(self._spent), *parts)

    def _repeat(self, before: Sequence[Screen]) -> Screen | None:
        early = [k for k, one in enumerate(before[: max(0, len(before) - self._design.gap)]) if one.kind == "main" and one.prompt not in self._spent]
        if not early:
            return None
        place = min(early, key=lambda k: self._lot("repeat", k))
        self._spent.add(before[place].prompt)
        return replace(before[place], kind="repeat", position=0, repeat_of=place)

    def _gold(self, before: Sequence[Screen]) -> Screen | None:
        """A picture under the text of another prompt of its domain and, where there is one, of another topic."""
        found = self._unseen("gold")
        for name, prompt in found:
            stratum = self._design.strata[name]
            topic = stratum.prompts[prompt]
            texts = [one for one in stratum.prompts if one != prompt]
            if texts:
                text = min(texts, key=lambda one: (stratum.prompts[one] == topic, one in self._seen, self._lot("text", one)))
                return self._check("gold", name, prompt, text=text)
        return None

    def _trap(self, before: Sequence[Screen]) -> Screen | None:
        # In a very small study all pictures are spent on other checks.
        free = self._unseen("trap")
        if not free:
            return None
        name, prompt = free[0]
        return replace(self._check("trap", name, prompt, text=prompt), expected=1 + self._lot("expected") % self._design.points)

    def _unseen(self, kind: str) -> list[tuple[str, str]]:
        """(domain, prompt) of all, those that this rater does not meet first."""
        every = [(name, prompt) for name, stratum in self._design.strata.items() for prompt in stratum.prompts if prompt not in self._spent]
        return sorted(every, key=lambda one: (one[1] in self._seen, self._lot(kind, *one)))

    def _check(self, kind: Kind, name: str, prompt: str, *, text: str) -> Screen:
        conditions = self._design.strata[name].conditions
        chosen = conditions[self._lot("condition", prompt) % len(conditions)]
        self._spent.add(prompt)
        return Screen(kind=kind, prompt=text, picture_of=prompt, condition=chosen)


def positions(slots: Iterable[Iterable[Screen]]) -> dict[str, Counter[int]]:
    """Condition => place => how often it stood there, in main screens."""
    counts = defaultdict[str, Counter[int]](Counter)
    for one in (screen for slot in slots for screen in slot if screen.kind == "main"):
        counts[one.condition][one.position] += 1
    return dict(counts)


def fill_bins(prompts: Sequence[str], size: int) -> list[list[int]]:
    """Undone prompts => places of at most `size`, none holding a prompt twice; numbers into `prompts`, in their order."""
    bins = list[list[int]]()
    for number, prompt in enumerate(prompts):
        fits = next((one for one in bins if len(one) < size and all(prompts[other] != prompt for other in one)), None)
        if fits is None:
            bins.append(fits := [])
        fits.append(number)
    return bins
