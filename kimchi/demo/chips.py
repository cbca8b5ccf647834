"""What the page offers to tap, out of the culture's file: suggestions by theme, and styles."""

from typing import Any

from kimchi.data.culture_schema import Style, Suggestion
from kimchi.data.cultures import Culture
from kimchi.generation.prompts import as_drawn

COLOURS = ("red", "blue", "yellow", "black")
"""Accents of the themes, in order: 적 청 황 흑."""
_MOST = 4
"""Suggestions a theme: more would not fit one glance."""


class Offer:
    """The suggestions and styles of one culture that one model can draw."""

    def __init__(self, culture: Culture, *, miniature: bool) -> None:
        """Choose among the culture's own.

        Args:
            miniature: offer only what the shipped miniature can draw.
        """
        self.language = culture.tag
        self.themes = [(theme, [one for one in theme.prompts if one.miniature or not miniature][-_MOST:]) for theme in culture.booth.themes]
        self.styles: list[Style] = [style for style in culture.booth.styles if style.miniature or not miniature]

    def suggestions(self) -> list[Suggestion]:
        """All of them, as they are numbered on the page."""
        return [one for _, chosen in self.themes for one in chosen]

    def as_page(self) -> dict[str, Any]:
        """For the page's script: names and texts by language."""
        themes = [
            {
                "colour": COLOURS[number % len(COLOURS)],
                "name": {self.language: theme.name, "en": theme.name_en},
                "prompts": [{"text": one.text, self.language: one.text, "en": one.en} for one in chosen],
            }
            for number, (theme, chosen) in enumerate(self.themes)
            if chosen
        ]
        styles = [{"id": style.name, self.language: style.name, "en": style.name_en} for style in self.styles]
        return {"themes": themes, "styles": styles}

    def styled(self, prompt: str, name: str) -> str:
        """A prompt in a style; the request around it ("... 그려 줘") is taken away first, or it would end up inside the phrase.

        Args:
            name: of one of `styles`; any other: the prompt as it is.

        Raises:
            PromptError: the prompt names nothing to draw.
        """
        style = next((one for one in self.styles if one.name == name), None)
        return prompt if style is None else style.text.replace("{prompt}", as_drawn(prompt))
