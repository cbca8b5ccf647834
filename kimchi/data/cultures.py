"""A culture is one YAML file: its names for things, what they must not be confused with, and how it words a caption."""

import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import Field, ValidationError, model_validator

from kimchi import recipes
from kimchi.data import culture_text
from kimchi.data.culture_schema import Booth, Category, Cleaning, Entry, Strict, Template, Templates, Words
from kimchi.data.culture_text import Found, Names, script_of
from kimchi.data.files import sha256
from kimchi.data.korean import fill_particles
from kimchi.errors import DataError, RecipeError

REASONS = ("empty", "plain", "language", "repeats", "missing", "look_alike", "other", "late", "long", "cut", "noun_first")
"""Why a caption may be refused; kimchi/pipelines/checks.py says when."""


class Culture(Strict):
    """Everything that is particular to one culture and its language."""

    tag: str
    """Language tag, BCP 47: "ko"."""
    language: str
    """Name of the language in itself: "한국어"."""
    language_en: str
    """Name of the language in English: "Korean"."""
    either: str
    """Joins the names of a label that holds several: " 또는 "."""
    fallback: str
    """The category, a key of `categories`, of a label that nothing here knows."""
    categories: dict[str, Category]
    """By the provider's category label."""
    templates: dict[str, Templates]
    """Wordings by name."""
    glossary: dict[str, Entry]
    """By the provider's label, NFC."""
    look_alikes: dict[str, tuple[str, ...]]
    """Words of other cultures that captioners put in place of this one's => what they may have meant."""
    never_translate: tuple[str, ...]
    """Words that English captions keep, romanised."""
    particles: Words = ()
    """Endings that a name may take and remain itself, up to three in a row; none where names stand bare."""
    scripts: Words = ()
    """Scripts the language is written in, as Unicode names them: Hangul. Empty: captions are not judged by it."""
    script_share: float = Field(default=0.7, ge=0, le=1)
    """Least share of a caption's letters in those scripts, its own name left out. The others must be Latin."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why a caption is refused => the sentence told to the model; slots {word} {noun} {count} {limit}. English where missing."""
    cleaning: Cleaning = Cleaning()
    """How descriptions are cleaned."""
    unfinished: Words = ()
    """Endings with which no caption ends unless it was cut: particles, conjunctions, modifiers."""
    finished: Words = ()
    """Longer endings that look like those and are none: 가을 (autumn) beside 을."""
    harmless: Words = ()
    """Longer words and phrases that hold a name or a look-alike by chance: 교자상, a Korean table, beside 교자."""
    booth: Booth = Booth()
    """What `kimchi demo` offers: suggestions by theme, and styles."""
    content_hash: str = ""
    """First 16 hex digits of the file's SHA-256; set when it is read."""

    @model_validator(mode="after")
    def _keys_exist(self) -> "Culture":
        for label, entry in self.glossary.items():
            if entry.category not in self.categories:
                raise ValueError(f"glossary.{label}.category is {entry.category!r}, which `categories` does not have")
        for name, category in self.categories.items():
            if category.templates not in self.templates:
                raise ValueError(f"categories.{name}.templates is {category.templates!r}, which `templates` does not have")
        if self.fallback not in self.categories:
            raise ValueError(f"fallback is {self.fallback!r}, which `categories` does not have")
        for name, wordings in self.templates.items():
            _check_wordings(name, wordings)
        _check_names(self)
        _check_scripts(self)
        _check_reasons(self.reasons)
        return self

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that an entry is written by."""
        return frozenset(name for label in self.glossary for name in self.displays(label))

    @cached_property
    def _finder(self) -> Names:
        return Names((*self.names, *self.look_alikes, *self.harmless), self.particles)

    @cached_property
    def _common(self) -> frozenset[str]:
        return frozenset(name for label, entry in self.glossary.items() if entry.common for name in self.displays(label))

    def displays(self, label: str) -> tuple[str, ...]:
        """Names to write for a label; one of them is enough to name the thing."""
        entry = self.glossary.get(label)
        return (entry and entry.display) or (label.replace("_", " "),)

    def noun(self, label: str) -> str:
        """What to write for a label: its display name, or its several, joined."""
        return self.either.join(self.displays(label))

    def english(self, label: str) -> str:
        """English meaning of a label; empty where the glossary has none."""
        entry = self.glossary.get(label)
        return entry.en if entry else ""

    def clean(self, description: str) -> str:
        """A provider's description, fit for a prompt: one line, no markup, its first 2,000 characters."""
        rules = self.cleaning
        return culture_text.clean(description, scripts=rules.scripts, marks=rules.marks, brackets=rules.brackets)

    def find_names(self, text: str, label: str) -> list[Found]:
        """The label's names, other entries' names and look-alikes in a text; of those within each other the longest."""
        own = Names(self.displays(label), self.particles).find(text)
        return [found for found in culture_text.outermost((*own, *self._finder.find(text))) if found.name not in self.harmless]

    def may_name(self, label: str, name: str) -> bool:
        """Whether a caption of a label may hold a name: its own, one within its own, one of its parts, or an everyday word."""
        entry = self.glossary.get(label)
        own = any(name in display for display in (label, *self.displays(label)))
        return own or name in self._common or bool(entry and name in entry.parts)

    def category(self, labels: tuple[str, ...]) -> Category:
        """The category of labels, broadest first: the glossary's for the last, else the nearest that is known, else the fallback."""
        entry = self.glossary.get(labels[-1]) if labels else None
        known = [entry.category] if entry else [label for label in reversed(labels[:-1]) if label in self.categories]
        return self.categories[known[0] if known else self.fallback]

    def rich(self, labels: tuple[str, ...], number: int) -> tuple[str, str]:
        """A rich caption from labels alone, and its English meaning (empty where the glossary has none).

        Args:
            labels: broadest first, at least one.
            number: chooses the wording; its lowest bit whether the noun begins it, so that half do however many templates there are of each.
        """
        category, entry = self.category(labels), self.glossary.get(labels[-1])
        wordings = self.templates[category.templates]
        choices = wordings.noun_first if number % 2 else wordings.noun_last
        template = choices[number // 2 % len(choices)]
        slots = {"kind": category.kind, "kind_en": category.kind_en, "serving": category.serving, "serving_en": category.serving_en}
        # English without the thing's own name would teach a meaning that is not there.
        meaning = self.word(template.en, en=entry.en, **slots) if entry and entry.en else ""
        return self.word(template.text, noun=self.noun(labels[-1]), **slots), meaning

    def origin(self, labels: tuple[str, ...], noun: str) -> tuple[str, str]:
        """A noun with whose it is ("한국의 라면"), and the English meaning of its label so; both empty where the culture says no such thing of the category."""
        template = self.templates[self.category(labels).templates].origin if labels else None
        if template is None:
            return "", ""
        english = self.english(labels[-1])
        return self.word(template.text, noun=noun), self.word(template.en, en=english) if english else ""

    def word(self, template: str, **slots: str) -> str:
        """Fill a template's slots and choose its particles."""
        for slot, value in slots.items():
            template = template.replace(f"{{{slot}}}", value)
        return " ".join(fill_particles(template).split())


_SLOTS = ("noun", "kind", "serving", "en", "kind_en", "serving_en")
_ORIGIN_SLOTS = ("noun", "en")
_REASON_SLOTS = ("word", "noun", "count", "limit")


def _only(text: str, slots: tuple[str, ...]) -> bool:
    """Whether a text has no slots but these and particles."""
    filled = fill_particles(text)
    for slot in slots:
        filled = filled.replace(f"{{{slot}}}", "")
    return "{" not in filled and "}" not in filled


def _check_template(name: str, template: Template, slots: tuple[str, ...]) -> None:
    if "{noun}" not in template.text or not _only(template.text + template.en, slots):
        rule = f"must hold {{noun}}, and no slots but {', '.join(slots)} and particles such as {{이/가}}"
        raise ValueError(f"templates.{name}: {template.text!r} / {template.en!r} {rule}")


def _check_wordings(name: str, wordings: Templates) -> None:
    for template in (*wordings.noun_first, *wordings.noun_last):
        _check_template(name, template, _SLOTS)
    if wordings.origin:
        _check_template(f"{name}.origin", wordings.origin, _ORIGIN_SLOTS)
    for template in wordings.noun_first:
        if not template.text.startswith("{noun}"):
            raise ValueError(f"templates.{name}.noun_first: {template.text!r} must begin with {{noun}}")


def _check_names(culture: Culture) -> None:
    known = culture.names | set(culture.look_alikes)
    for label, entry in culture.glossary.items():
        for part in entry.parts:
            if part not in known:
                raise ValueError(f"glossary.{label}.parts: {part!r} is neither the name of an entry nor one of `look_alikes`")
    for word in culture.look_alikes:
        if word in culture.names:
            raise ValueError(f"look_alikes.{word} is the name of an entry of the glossary too; it cannot be both")


def _check_scripts(culture: Culture) -> None:
    written = {script_of(c) for text in _texts(culture) for c in text}
    for script in culture.scripts:
        if script not in written:
            raise ValueError(f"scripts: {script!r} is the script of nothing in this file, which is written in {', '.join(sorted(filter(None, written)))}")


def _texts(culture: Culture) -> Iterator[str]:
    yield from (culture.language, culture.either, *culture.names)
    for wordings in culture.templates.values():
        yield from (template.text for template in (*wordings.noun_first, *wordings.noun_last))


def _check_reasons(reasons: dict[str, str]) -> None:
    for key, told in reasons.items():
        if key not in REASONS:
            raise ValueError(f"reasons.{key} is none of {', '.join(REASONS)}")
        if not told.strip() or not _only(told, _REASON_SLOTS):
            raise ValueError(f"reasons.{key}: {told!r} must be a sentence, with no slots but {', '.join(_REASON_SLOTS)} and particles such as {{이/가}}")


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice; plain YAML keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = cast(Any, self.construct_object(key_node, deep=True))  # pyright: ignore[reportUnknownMemberType]
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def find_culture(name: str) -> Path:
    """A path as given, or data/cultures/NAME.yaml.

    Raises:
        RecipeError: no such culture; the message lists what there is.
    """
    path, folder = Path(name).expanduser(), recipes.HOME / "data" / "cultures"
    shipped = sorted(p.stem for p in folder.glob("*.yaml"))
    if name in shipped:
        return folder / f"{name}.yaml"
    if path.is_file():
        return path
    raise RecipeError(f"culture: {name!r} is none of {', '.join(shipped) or 'none'}, nor a file. Use one of these, or the path of a YAML file of your own.")


def load_culture(name: str) -> Culture:
    """Read and check a culture.

    Raises:
        RecipeError: no such culture.
        DataError: not YAML, or a key that is missing, unknown or wrong; file and key are named.
    """
    path = find_culture(name)
    try:
        content = path.read_bytes()
        text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
        data = yaml.load(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as YAML ({error}). See data/cultures/ko.yaml for the form.") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: a culture is a YAML mapping of keys to values; this is {type(data).__name__}. See data/cultures/ko.yaml for the form.")
    try:
        return Culture.model_validate({**data, "content_hash": sha256(content)})
    except ValidationError as error:
        raise DataError(_explain(path, error)) from error


def _explain(path: Path, error: ValidationError) -> str:
    problems: list[str] = []
    for problem in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in problem["loc"])
        problems.append(f"{where}: {problem['msg']}." if where else f"{problem['msg'].removeprefix('Value error, ')}.")
    return f"{path}: {' '.join(problems)} See data/cultures/ko.yaml for the form."
