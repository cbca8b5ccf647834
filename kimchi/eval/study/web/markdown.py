"""The small part of Markdown that consent texts use: headings, paragraphs, lists, bold. Everything else is shown as it stands."""

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_ITEM = re.compile(r"\s*(?:[-*]|\d+[.)])\s+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a list."""

    lines: tuple[Markup, ...]
    """One for a paragraph, one an item for a list; escaped."""
    listed: bool


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below one heading."""

    title: str
    """Empty for what stands before the first heading."""
    blocks: tuple[Block, ...]


def sections(text: str) -> tuple[Section, ...]:
    """A text => its sections; the heading of the whole (one #) is left out, since the page has its own."""
    made, title, lines = list[Section](), "", list[str]()
    for line in [*_COMMENT.sub("", text).splitlines(), "## "]:
        if not line.startswith("#"):
            lines.append(line)
            continue
        blocks = _blocks(lines)
        if blocks:
            made.append(Section(title, blocks))
        title, lines = line.lstrip("#").strip() if line.startswith("##") else "", []
    return tuple(made)


def _blocks(lines: list[str]) -> tuple[Block, ...]:
    parts = [part.strip("\n") for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()]
    return tuple(block for part in parts for block in _split(part.splitlines()))


def _split(lines: list[str]) -> list[Block]:
    """Lines without an empty one between them: a paragraph, a list, or a paragraph that leads into a list."""
    first = next((number for number, line in enumerate(lines) if _ITEM.match(line)), len(lines))
    lead, items = lines[:first], list[str]()
    for line in lines[first:]:
        if _ITEM.match(line):
            items.append(_ITEM.sub("", line, count=1))
        else:
            items[-1] += f" {line.strip()}"  # an item that goes on in the next line
    made = [Block((_inline(" ".join(line.strip() for line in lead)),), False)] if lead else []
    return made + ([Block(tuple(map(_inline, items)), True)] if items else [])


def _inline(text: str) -> Markup:
    return Markup(_BOLD.sub(r"<strong>\1</strong>", str(escape(text.strip()))))
