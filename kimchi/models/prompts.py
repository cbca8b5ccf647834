"""Prompts of language models: one file each under pipelines/prompts/, in the language they speak.

A file holds sections headed by a word in square brackets: [system] (optional), [user], and what a task needs besides: [noun_first],
[noun_last] (fill the slot {order} of [user]), [again] (said after a refusal, with {reason}). Slots stand in braces; a line of [user] whose
slots are all empty is left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from kimchi import recipes
from kimchi.data.files import sha256
from kimchi.errors import RecipeError

SECTIONS = ("system", "user", "noun_first", "noun_last", "again")
_HEAD = re.compile(r"^\[(\w+)\]\s*$", re.MULTILINE)
_SLOT = re.compile(r"\{(\w+)\}")
_QUOTES = dict(zip("\"'“‘«「『", "\"'”’»」』", strict=True))
"""Quotation marks of many languages: what opens => what closes."""
Message = dict[str, str]
"""role ("system", "user", "assistant") and content, as chat templates and endpoints take them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's file, read."""

    name: str
    sections: dict[str, str]
    hash: str
    """First 16 hex digits of the SHA-256 of the file."""

    def messages(self, slots: dict[str, str], *, order: str = "", refused: tuple[tuple[str, str], ...] = ()) -> list[Message]:
        """The conversation so far: system, user, and for each refused answer that answer and why it was refused.

        Args:
            slots: by name; those the file does not mention are not used.
            order: "noun_first" or "noun_last", or empty where the task knows no order.
            refused: answers that were given, and the reason told for each.
        """
        said = {**slots, "order": _fill(self.sections.get(order, ""), slots)}
        made = [{"role": "system", "content": _fill(self.sections["system"], said)}] if self.sections.get("system") else []
        made.append({"role": "user", "content": _fill(self.sections["user"], said)})
        for text, reason in refused:
            again = _fill(self.sections.get("again", "{reason}"), {**said, "reason": reason, "text": text})
            made += [{"role": "assistant", "content": text}, {"role": "user", "content": again}]
        return made


def _fill(text: str, slots: dict[str, str]) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        names = _SLOT.findall(line)
        if not names or any(slots.get(name) for name in names):
            # One pass: a slot's own text may hold braces, and they are words there.
            lines.append(_SLOT.sub(lambda found: slots.get(found[1], ""), line))
    return "\n".join(lines).strip()


def find_prompt(name: str) -> Path:
    """A path as given, or pipelines/prompts/NAME.txt.

    Raises:
        RecipeError: no such prompt; the message lists what there is.
    """
    folder, path = recipes.HOME / "pipelines" / "prompts", Path(name).expanduser()
    shipped = sorted(p.stem for p in folder.glob("*.txt"))
    if name in shipped:
        return folder / f"{name}.txt"
    if path.is_file():
        return path
    raise RecipeError(f"prompt: {name!r} is none of {', '.join(shipped)}, nor a file. Use one of these, or the path of a text file of your own.")


def load_prompt(name: str) -> Prompt:
    """Read and check a prompt.

    Raises:
        RecipeError: no such prompt, not UTF-8, no [user], or a section that is not known.
    """
    path = find_prompt(name)
    try:
        content = path.read_bytes()
        head, *found = _HEAD.split(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text ({error}). See pipelines/prompts/refine_ko.txt for the form.") from error
    sections = {name: text.strip() for name, text in zip(found[::2], found[1::2], strict=True)}
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or "user" not in sections or any(not line.startswith("#") for line in head.split("\n") if line.strip()):
        said = f"[{unknown[0]}] is not known" if unknown else "it has no [user], or words before its first section"
        raise RecipeError(f"{path}: {said}. A prompt has the sections {', '.join(f'[{one}]' for one in SECTIONS)}; lines before them begin with #.")
    return Prompt(name, sections, sha256(content))


def bare(text: str, prompt: Prompt) -> str:
    """An answer without what its prompt says does not belong to it.

    Two things are taken away: a last line of [user] that ends in a colon, where the answer repeats it; and a pair of quotation marks around
    the whole, where [system] names those marks.
    """
    cue = prompt.sections["user"].splitlines()[-1:]
    if cue and cue[0].endswith((":", "：")):
        text = text.strip().removeprefix(cue[0])
    text = text.strip()
    closing = _QUOTES.get(text[:1], "")
    named = closing and text[:1] in prompt.sections.get("system", "")
    inner = text[1:-1].strip()
    return inner if named and len(text) > 2 and text.endswith(closing) and text[0] not in inner and closing not in inner else text
