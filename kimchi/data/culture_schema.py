"""What a culture's file is made of: entries, categories, wordings, and how descriptions are cleaned."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Words = tuple[Annotated[str, Field(min_length=1)], ...]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Strict(BaseModel):
    """A table of the file: unknown keys are refused, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Entry(Strict):
    """What a provider's label means."""

    display: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """The name people write, where the label is misspelt; several where the label joins several things. Empty: the label itself."""
    en: str
    """English meaning, the romanised name first where that is its English name: "ramyeon, spicy instant noodles"."""
    romanised: str
    """The display name in Latin letters."""
    category: str
    """A key of `categories`."""
    parts: Words = ()
    """Other entries' names, or look-alikes, that its captions may rightly hold: a stew may name the kimchi in it."""
    common: bool = False
    """Whether the name is an everyday word too, which other captions may hold without meaning this."""


class Category(Strict):
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


class Template(Strict):
    """One sentence in two languages; slots {noun} {kind} {serving}, and {en} {kind_en} {serving_en}; {이/가} is the particle that fits."""

    text: str
    """In the culture's language."""
    en: str
    """Its meaning."""


class Templates(Strict):
    """Wordings of a rich caption."""

    noun_first: tuple[Template, ...] = Field(min_length=1)
    """The noun begins them: a late noun is the first to be cut."""
    noun_last: tuple[Template, ...] = Field(min_length=1)
    """The noun comes later, as in most Korean noun phrases."""
    origin: Template | None = None
    """The noun and whose it is, as people ask for it: "한국의 {noun}". None where that would be wrong, as for other countries' dishes."""


class Cleaning(Strict):
    """What is taken out of a provider's descriptions before a model reads them; HTML tags always are."""

    scripts: Words = ()
    """Letters of these scripts, and round or square brackets that hold one: (景福宮)."""
    marks: str = ""
    """Characters that go while what stands between them stays: 「」."""
    brackets: tuple[Annotated[str, Field(min_length=2, max_length=2)], ...] = ()
    """Pairs that go with what they hold: "[]" for footnotes."""


class Suggestion(Strict):
    """A prompt that the booth offers: one tap writes it."""

    text: str = Field(min_length=1)
    """In the culture's language, as a visitor would say it."""
    en: str = Field(min_length=1)
    """What it means, for visitors who read English."""
    miniature: bool = False
    """Whether the miniature can draw it."""


class Theme(Strict):
    """Suggestions of one kind, under a heading."""

    name: str = Field(min_length=1)
    """In the culture's language: "음식"."""
    name_en: str = Field(min_length=1)
    """In English: "Food"."""
    prompts: tuple[Suggestion, ...] = Field(min_length=1)
    """In the order in which they are offered."""


class Style(Strict):
    """A manner or a mood that may be laid over any prompt."""

    name: str = Field(min_length=1)
    """In the culture's language: "수묵화"."""
    name_en: str = Field(min_length=1)
    """In English: "ink painting"."""
    text: str = Field(pattern=r"^[^{}]*\{prompt\}[^{}]*$")
    """What is drawn, with {prompt} for the visitor's words: "수묵화로 그린 {prompt}"."""
    miniature: bool = False
    """Whether the miniature can draw it."""


class Booth(Strict):
    """What the booth offers visitors of this culture."""

    themes: tuple[Theme, ...] = ()
    """Suggestions by kind; three fit one screen."""
    styles: tuple[Style, ...] = ()
    """Manners and moods, under "more"."""
