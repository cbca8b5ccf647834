"""What may be published: the ratings of those who agreed to that, under ids that lead nowhere, with a codebook and the protocol."""

import csv
import hashlib
import hmac
import io
import secrets
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from kimchi.data.files import write_bytes, write_text
from kimchi.errors import StudyError

from .answers import KINDS, Answers
from .exclusions import Exclusions
from .results import About

COLUMNS = ("rater", "excluded", "kind", "domain", "prompt", "condition", "criterion", "value", "position", "seconds")
BANDS = (2, 5, 10, 20, 60)
"""Seconds at which one band of response time ends and the next begins: all that a reader needs to repeat the floor and the plots."""


def release_key(path: Path) -> bytes:
    """The secret that ids are made with: made once, kept in the vault, so that a second release of a study has the same ids.

    The study's own seed would not do: it is published, and with it anybody could count who came first.

    Raises:
        StudyError: the file is not what was written.
        OutputError: it cannot be written.
    """
    if not path.is_file():
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    key = path.read_bytes()
    if len(key) != 32:
        raise StudyError(f"{path}: holds {len(key)} bytes, and a release key has 32. Bring the old file back, or delete it: ids of the release then change.")
    return key


def ids(raters: Collection[str], key: bytes) -> dict[str, str]:
    """Random-looking ids, six hex digits, more where two would meet."""
    digits = 6
    while True:
        made = {name: hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:digits] for name in raters}
        if len({*made.values()}) == len(made):
            return made
        digits += 2


def write_release(
    folder: Path, answers: Answers, about: About, exclusions: Exclusions, agreed: Collection[str], key: bytes, protocol: str, comments: str = ""
) -> int:
    """Write ratings.csv, codebook.csv, README.md, protocol.yaml and, where somebody has reviewed them, comments.csv. Returns how many raters are in it.

    Args:
        folder: of the release.
        answers: all that stand.
        about: names and domains.
        exclusions: who was left out of the main analysis; they stay in the data, marked.
        agreed: raters who ticked that their answers may be published.
        key: of `release_key`.
        protocol: protocol.yaml as it was locked.
        comments: reviewed comments as CSV; empty for none.
    """
    named = ids([name for name in answers.raters if name in agreed], key)
    write_text(folder / "ratings.csv", _ratings(answers, about, exclusions, named))
    write_text(folder / "codebook.csv", _codebook(about))
    write_text(folder / "protocol.yaml", protocol)
    if comments:
        write_text(folder / "comments.csv", comments)
    write_text(folder / "README.md", _readme(about, len(named), len(answers.raters), bool(comments)))
    return len(named)


def band(ms: float) -> str:
    """A response time as "5-10", in seconds; empty where it is unknown."""
    if ms != ms:
        return ""
    low, high = max((b for b in BANDS if ms >= 1000 * b), default=0), next((b for b in BANDS if ms < 1000 * b), None)
    return f"{low}-{high}" if high else f"{low}+"


def _ratings(answers: Answers, about: About, exclusions: Exclusions, named: Mapping[str, str]) -> str:
    domain = {one.id: one.domain for one in about.prompts}
    rows: list[tuple[str, ...]] = []
    columns = (answers.rater, answers.kind, answers.prompt, answers.model, answers.criterion, answers.value, answers.position, answers.rt_ms)
    for rater, kind, prompt, model, criterion, value, position, ms in zip(*(column.tolist() for column in columns), strict=True):
        name = answers.raters[rater]
        if name in named and prompt >= 0 and model >= 0:
            text = answers.prompts[prompt]
            cells = (KINDS[kind], domain[text], text, answers.models[model], answers.criteria[criterion])
            rest = (str(value) if value else "", str(position) if position else "", band(ms))
            rows.append((named[name], "yes" if name in exclusions.excluded else "no", *cells, *rest))
    # Sorted: the order of the file would otherwise be that of arrival.
    return to_csv(COLUMNS, sorted(rows))


def _codebook(about: About) -> str:
    rows = [
        ("rater", "", "an id assigned at random; it names a person nowhere else", "무작위로 붙인 번호로, 다른 어디에서도 그 사람을 가리키지 않습니다"),
        ("excluded", "yes, no", "left out of the main analysis by a registered rule", "사전 등록한 규칙에 따라 본 분석에서 제외했는지"),
        (
            "kind",
            "main, gold, repeat, trap",
            "gold: a picture under another text; repeat: shown again; trap: an instructed answer",
            "gold는 다른 문장을 붙인 그림, repeat는 다시 보인 그림, trap은 지시 문항",
        ),
        ("value", "1-5", "the answer as given, nothing turned; empty: cannot judge", "받은 그대로의 응답(역문항도 바꾸지 않음), 빈칸은 판단 불가"),
        ("position", "1-", "place among the prompt's pictures for this rater; empty outside main", "그 사람이 이 프롬프트에서 몇 번째로 본 그림인지"),
        ("seconds", ", ".join(band(1000 * b) for b in (0, *BANDS)), "from the picture to the answer, in bands", "그림이 나온 뒤 응답까지 걸린 시간(구간)"),
    ]
    rows += [("domain", one.id, one.en, one.ko) for one in about.domains]
    rows += [("prompt", one.id, one.en, one.ko) for one in about.prompts]
    rows += [("condition", one.id, one.en, one.ko) for one in about.models]
    for one in about.criteria:
        note = " (reversed: agreeing is bad)" if one.reversed else ""
        rows.append(("criterion", one.id, f"{one.en}: {one.text_en}{note}", f"{one.ko}: {one.text_ko}{' (역문항)' if one.reversed else ''}"))
        rows += [(f"value of {one.id}", str(k), en, ko) for k, (en, ko) in enumerate(zip(one.labels_en, one.labels_ko, strict=False), start=1)]
    return to_csv(("column", "value", "english", "korean"), rows)


def to_csv(header: tuple[str, ...], rows: list[Any]) -> str:
    """UTF-8 text; a cell that a spreadsheet would run as a formula gets an apostrophe before it."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([safe(str(cell)) for cell in row] for row in (header, *rows))
    return file.getvalue()


def safe(cell: str) -> str:
    """Not a formula."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


_COMMENTS = {
    True: ("Comments were read by a person before they were put here.", "의견은 사람이 읽고 확인한 것만 실었습니다."),
    False: (
        "Comments are not in it: words can name people, and nobody has reviewed them.",
        "의견은 싣지 않았습니다. 글에는 사람을 알아볼 단서가 있을 수 있고, 아직 확인한 사람이 없습니다.",
    ),
}


def _readme(about: About, kept: int, raters: int, comments: bool) -> str:
    said_en, said_ko = _COMMENTS[comments]
    text = (resources.files("kimchi.eval.study.report") / "templates" / "release.md").read_text(encoding="utf-8")
    names = {"title_en": about.title_en, "title_ko": about.title_ko, "protocol_hash": about.protocol_hash}
    return text.format(**names, kept=kept, raters=raters, comments_en=said_en, comments_ko=said_ko)
