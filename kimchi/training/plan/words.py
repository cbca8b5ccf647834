"""What a source's captions.jsonl says of its pictures and captions, read once and line by line: no picture is opened."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kimchi.data.sample_world import CONCEPTS
from kimchi.data.sample_world.captions import captions, noun
from kimchi.data.sample_world.concepts import Concept
from kimchi.data.sample_world.pictures import picture
from kimchi.errors import DataError, KimchiError, RecipeError
from kimchi.recipes import Source

FORMS = ("noun", "rich", "english", "romanised")
COUNTED = 2000
"""Captions of a form whose tokens are counted, spread evenly over the file."""
_FIELDS = {"noun": "caption_noun", "rich": "caption_ko", "english": "caption_en", "romanised": "caption_romanised"}
_DRAWN = 3
"""Rich and English captions of a drawing."""


@dataclass(slots=True, kw_only=True)
class Words:
    """One source."""

    there: bool = True
    """Whether there is anything to read."""
    fault: KimchiError | None = None
    pictures: int = 0
    held_out: int = 0
    """Pictures of the held-out split."""
    english: int = 0
    """Pictures with an English caption."""
    nouns: set[str] = field(default_factory=set[str])
    distinct: int = 0
    """Different texts in all, without the empty one; of drawings as far as they can be told without drawing."""
    texts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Form => captions, evenly spread, at most COUNTED."""
    places: list[tuple[str, str, tuple[int, int, int, int] | None]] = field(default_factory=list[tuple[str, str, tuple[int, int, int, int] | None]])
    """Of every picture: id, path and box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Captions of one form that the encoder does not read whole."""

    form: str
    captions: int
    """Counted."""
    cut: int
    """Longer than the encoder reads."""
    longest: int
    """Content tokens of the longest."""


def read_words(source: Source, held_out: str) -> Words:
    """A source's words. What is wrong with it is its `fault`: a plan goes on, a run does not."""
    if source.captions.startswith("sample-world:"):
        return _drawn(source)
    path = Path(source.captions).expanduser()
    try:
        stat = path.stat()
    except OSError:
        said = f"{path}: no such file of captions. Make it with `kimchi prepare`, or correct `sources` in the recipe."
        return Words(there=False, fault=DataError(said))
    return _written(path, source.split, held_out, stat.st_mtime_ns, stat.st_size)


def count_cut(words: Words, count: Callable[[str], int], fit: int) -> tuple[Cut, ...]:
    """By form, how many captions have more content tokens than fit."""
    found: list[Cut] = []
    for form in FORMS:
        lengths = [count(text) for text in words.texts.get(form, ()) if text]
        if lengths:
            found.append(Cut(form=form, captions=len(lengths), cut=sum(n > fit for n in lengths), longest=max(lengths)))
    return tuple(found)


def _drawn(source: Source) -> Words:
    world = source.captions.partition(":")[2]
    drawn: list[Concept] = [concept for concept in CONCEPTS.values() if concept.world == world]
    if not drawn:
        said = f"sources.captions: {source.captions!r}; a sample world is sample-world:korean or sample-world:general."
        return Words(there=True, fault=RecipeError(said))
    pictures = len(drawn) * source.per_concept
    twins = [captions(picture(concept, 0), i) for concept in drawn for i in range(_DRAWN)]
    texts = {"noun": [noun(c).ko for c in drawn], "rich": [t.ko for t in twins], "english": [t.en for t in twins]}
    return Words(
        pictures=pictures, held_out=pictures, english=pictures, nouns={noun(c).ko for c in drawn}, distinct=2 * len(drawn) + 2 * _DRAWN * pictures, texts=texts
    )


@lru_cache(maxsize=16)
def _written(path: Path, split: str, held_out: str, *_: int) -> Words:
    """The rest of the arguments says which state of the file it was."""
    words, splits, texts, number = Words(), Counter[str](), {form: list[str]() for form in FORMS}, 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    _take(json.loads(line.removeprefix(b"\xef\xbb\xbf")), split, words, splits, texts)
    except OSError as error:
        return Words(fault=DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path and its rights."))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{path}, line {number}: is not a captioned record ({error}). Mend or delete this line, or make the file again with `kimchi prepare`."
        return Words(fault=DataError(said))
    words.held_out, words.english = splits[held_out], sum(map(bool, texts["english"]))
    words.distinct = len({text for form in FORMS for text in texts[form] if text})
    words.texts = {form: _spread([t for t in dict.fromkeys(texts[form]) if t], COUNTED) for form in FORMS}
    return words


def _take(record: dict[str, Any], split: str, words: Words, splits: Counter[str], texts: dict[str, list[str]]) -> None:
    own = record.get("split", "train")
    splits[own] += 1
    if own != split:
        return
    words.pictures += 1
    words.nouns.add(record["caption_noun"])
    box = record.get("box")
    words.places.append((record["id"], record["path"], tuple(box) if box else None))
    for form, key in _FIELDS.items():
        texts[form].append(record.get(key) or "")


def _spread(items: list[str], most: int) -> list[str]:
    return items if len(items) <= most else [items[i * len(items) // most] for i in range(most)]
