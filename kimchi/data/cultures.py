"""A culture is one YAML file: its names for things, what they must not be confused with, and how it words a caption."""

import unicodedata
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from kimchi import recipes
from kimchi.data.files import sha256
from kimchi.data.korean import fill_particles
from kimchi.errors import DataError, RecipeError


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Entry(_Strict):
    """What a provider's label means."""

    display: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """The name people write, where the label is misspelt; several where the label joins several things. Empty: the label itself."""
    en: str
    """English meaning, the romanised name first where that is its English name: "ramyeon, spicy instant noodles"."""
    romanised: str
    """The display name in Latin letters."""
    category: str
    """A key of `categories`."""


class Category(_Strict):
    """What kind of thing an entry is, in the words of captions."""

    kind: str
    """Noun phrase in the culture's language: "면 요리"."""
    kind_en: str
    """English noun phrase without article: "noodle dish"."""
    serving: str = ""
    """How such a thing is always seen, a clause in the culture's language: "그릇에 담긴"."""
    serving_en: str = ""
    """The same in English: "served in a bowl"."""
    templates: str
    """A key of `templates`."""


class Template(_Strict):
    """One sentence in two languages; slots {noun} {kind} {serving}, and {en} {kind_en} {serving_en}; {이/가} is the particle that fits."""

    text: str
    """In the culture's language."""
    en: str
    """Its meaning."""


class Templates(_Strict):
    """Wordings of a rich caption."""

    noun_first: tuple[Template, ...] = Field(min_length=1)
    """The noun begins them: a late noun is the first to be cut."""
    noun_last: tuple[Template, ...] = Field(min_length=1)
    """The noun comes later, as in most Korean noun phrases."""


class Culture(_Strict):
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
        return self

    def displays(self, label: str) -> tuple[str, ...]:
        """Names to write for a label; one of them is enough to name the thing."""
        entry = self.glossary.get(label)
        return (entry and entry.display) or (label.replace("_", " "),)

    def noun(self, label: str) -> str:
        """What to write for a label: its display name, or its several, joined."""
        return self.either.join(self.displays(label))

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

    def word(self, template: str, **slots: str) -> str:
        """Fill a template's slots and choose its particles."""
        for slot, value in slots.items():
            template = template.replace(f"{{{slot}}}", value)
        return " ".join(fill_particles(template).split())


_SLOTS = ("noun", "kind", "serving", "en", "kind_en", "serving_en")


def _check_wordings(name: str, wordings: Templates) -> None:
    for template in (*wordings.noun_first, *wordings.noun_last):
        filled = fill_particles(template.text) + template.en
        for slot in _SLOTS:
            filled = filled.replace(f"{{{slot}}}", "")
        if "{noun}" not in template.text or "{" in filled or "}" in filled:
            rule = f"must hold {{noun}}, and no slots but {', '.join(_SLOTS)} and particles such as {{이/가}}"
            raise ValueError(f"templates.{name}: {template.text!r} / {template.en!r} {rule}")
    for template in wordings.noun_first:
        if not template.text.startswith("{noun}"):
            raise ValueError(f"templates.{name}.noun_first: {template.text!r} must begin with {{noun}}")


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
