"""Sources: four forms of words with their English twins, pictures that are opened late, and what is told when something is missing."""

import logging
import os
import random
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kimchi.data.cultures import find_culture
from kimchi.data.jsonl import write_records
from kimchi.errors import DataError
from kimchi.recipes import LoraRecipe, Source
from kimchi.records import CaptionedRecord
from kimchi.training import photos, picture_index
from kimchi.training.photos import Stored, index_for, look
from kimchi.training.rows import Row, Table, fingerprint, fingerprint_of_origins, read_held_out, read_sources, words_for


def _recipe(tmp_path: Path, *captions: str, **changes: Any) -> LoraRecipe:
    per_source = {key: changes.pop(key) for key in ("learn", "per_concept", "split") if key in changes}
    sources = [{"captions": name, "share": 1 / len(captions)} | per_source for name in captions]
    values: dict[str, Any] = {"kind": "lora", "name": "test", "sources": sources, "steps": 1, "machine": {"cache": str(tmp_path / "cache")}}
    return LoraRecipe.model_validate(values | changes)


def _record(path: str, **changes: Any) -> CaptionedRecord:
    words = {"caption_noun": "라면", "caption_ko": "식탁 위 라면", "caption_en": "ramyeon on a table", "caption_romanised": "ramyeon"}
    return CaptionedRecord(id=path, path=path, **(words | changes))


def _captions(folder: Path, records: list[CaptionedRecord]) -> str:
    write_records(folder / "captions.jsonl", records)
    return str(folder / "captions.jsonl")


def test_drawings_have_four_forms_and_every_one_its_own_english(tmp_path: Path) -> None:
    for table in read_sources(_recipe(tmp_path, "sample-world:korean", "sample-world:general", per_concept=2)):
        for row in table.rows:
            assert row.twin_of("") == "" and row.twin_of(row.noun) == row.english[0]
            for rich, english in zip(row.rich[:3], row.english[1:], strict=True):
                # Two wordings may fall together in Korean; "a picture of" says nothing of the picture.
                same = (english, english.removeprefix("a picture of "), f"a picture of {english}")
                assert row.twin_of(rich) in same or rich in (row.noun, *row.rich[3:])
            assert all(row.twin_of(words) == words for words in row.english)
            assert all(row.twin_of(words).isascii() and row.twin_of(words) for words in row.shown())
    ramyeon = next(row for row in read_sources(_recipe(tmp_path, "sample-world:korean", per_concept=1))[0].rows if row.noun == "라면")
    assert "ramyeon" in ramyeon.romanised and not any("noodles" in words for words in ramyeon.romanised)
    with pytest.raises(KeyError):
        ramyeon.twin_of("김치")


def test_a_record_gives_its_forms_and_its_one_english_for_all(tmp_path: Path) -> None:
    [table] = read_sources(_recipe(tmp_path, _captions(tmp_path, [_record("a.png", caption_ko="  식탁 위\n라면 ")])))
    [row] = table.rows
    assert (row.id, row.noun, row.rich, row.english, row.romanised) == ("a.png", "라면", ("식탁 위 라면",), ("ramyeon on a table",), ("ramyeon",))
    assert {row.twin_of(words) for words in row.shown()} == {"ramyeon on a table"}


def test_loose_jamo_are_joined_before_anything_reads_them(tmp_path: Path) -> None:
    loose = {key: unicodedata.normalize("NFD", text) for key, text in (("caption_noun", "라면"), ("caption_ko", "식탁 위 라면"))}
    [table] = read_sources(_recipe(tmp_path, _captions(tmp_path, [_record("a.png", **loose), _record("b.png")])))
    assert table.rows[0].shown() == table.rows[1].shown()


def test_words_follow_the_shares_of_all_four_forms() -> None:
    row = Row(id="x", noun="라면", rich=("나무 식탁 위 라면",), english=("noodles",), romanised=("ramyeon",))
    table = Table(source=Source(captions="x", share=1), rows=[row], pictures=[], noun_share=0.5, english_share=0.25, romanised_share=0.5)
    rng = random.Random(0)
    seen = Counter(words_for(row, table, 0.2, rng) for _ in range(8000))
    for words, share in (("", 0.2), ("noodles", 0.2), ("ramyeon", 0.3), ("라면", 0.15), ("나무 식탁 위 라면", 0.15)):
        assert abs(seen[words] / 8000 - share) < 0.02, words


def test_a_share_of_the_nouns_says_whose_they_are() -> None:
    row = Row(id="x", noun="라면", rich=("식탁 위 라면",), english=("noodles",), origin="한국의 라면")
    table = Table(source=Source(captions="x", share=1), rows=[row], pictures=[], noun_share=0.5, english_share=0, origin_share=0.25)
    rng = random.Random(0)
    seen = Counter(words_for(row, table, 0, rng) for _ in range(8000))
    for words, share in (("한국의 라면", 0.125), ("라면", 0.375), ("식탁 위 라면", 0.5)):
        assert abs(seen[words] / 8000 - share) < 0.02, words
    table.origin_share = 0
    assert {words_for(row, table, 0, rng) for _ in range(100)} == {"라면", "식탁 위 라면"}


def test_the_recipes_culture_says_whose_things_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = [
        _record("a.png", labels=("면", "라면")), _record("b.png", labels=("면", "모르는면"), caption_noun="모르는면"),
        _record("c.png", labels=("세계음식", "피자"), caption_noun="피자", caption_ko="식탁 위 피자"),
    ]  # fmt: skip
    name = _captions(tmp_path, records)
    assert not any(row.origin for row in read_sources(_recipe(tmp_path, name))[0].rows)
    with caplog.at_level(logging.WARNING):
        [table] = read_sources(_recipe(tmp_path, name, origin_share=0.3))
    assert [row.origin for row in table.rows] == ["한국의 라면", "한국의 모르는면", ""] and "1 of 3 records are of no category" in caplog.text
    ramyeon, other, _ = table.rows
    assert ramyeon.origin in ramyeon.shown() and ramyeon.twin_of(ramyeon.origin) == "Korean ramyeon, spicy instant noodles"
    # Nothing knows its English: what is said of the picture stands for it.
    assert other.twin_of(other.origin) == other.english[0]
    record = _record("d.png", labels=("麺類", "ラーメン"), caption_noun="ラーメン", caption_ko="テーブルの上のラーメン")
    [table] = read_sources(_recipe(tmp_path, _captions(tmp_path, [record]), culture="ja", origin_share=0.3))
    assert table.rows[0].origin == "日本のラーメン"


def test_a_run_counts_how_origins_are_said_only_where_they_are_shown(tmp_path: Path) -> None:
    name = _captions(tmp_path, [_record("a.png", labels=("면", "라면"))])
    written = find_culture("ko").read_text(encoding="utf-8")
    found: list[str] = []
    for changed in (written, written.replace('origin: {text: "한국의 {noun}"', 'origin: {text: "한국 {noun}"'), f"{written}\n# a remark"):
        (tmp_path / "own.yaml").write_text(changed, encoding="utf-8")
        assert fingerprint_of_origins(_recipe(tmp_path, name, culture=str(tmp_path / "own.yaml"))) == ""
        found.append(fingerprint_of_origins(_recipe(tmp_path, name, culture=str(tmp_path / "own.yaml"), origin_share=0.3)))
    assert found[0] == found[2] != found[1]


def test_a_row_without_a_romanised_form_shows_its_noun() -> None:
    row = Row(id="x", noun="라면", rich=("식탁 위 라면",), english=("noodles",))
    table = Table(source=Source(captions="x", share=1), rows=[row], pictures=[], noun_share=0, english_share=0, romanised_share=1)
    assert words_for(row, table, 0, random.Random(0)) == "라면"


def test_shares_of_a_source_override_the_recipes(tmp_path: Path) -> None:
    sources = [
        {"captions": "sample-world:korean", "share": 0.5, "per_concept": 1, "romanised_share": 0.0},
        {"captions": "sample-world:general", "share": 0.5, "per_concept": 1},
    ]
    first, second = read_sources(_recipe(tmp_path, sources=sources, romanised_share=0.4, english_share=0.1))
    assert (first.romanised_share, second.romanised_share, second.english_share) == (0.0, 0.4, 0.1)


def test_missing_words_are_told_with_how_many(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = [
        _record("a.png"), _record("b.png", caption_ko=" "), _record("c.png", caption_noun="", caption_ko=""),
        _record("d.png", caption_en="", caption_romanised=""),
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        [table] = read_sources(_recipe(tmp_path, _captions(tmp_path, records), english_share=0.2, romanised_share=0.2))
    assert [row.id for row in table.rows] == ["a.png", "b.png", "d.png"] and len(table.pictures) == 3
    assert table.rows[1].rich == ("라면",) and table.rows[2].english == ("라면",)
    for told in ("1 of 4 records are left out", "1 of 4 records have no rich", "1 of 4 records have no English", "1 of 4 records have no romanised"):
        assert told in caplog.text


def test_rows_without_english_teach_nothing_of_the_base(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = _captions(tmp_path, [_record("a.png"), _record("b.png", caption_en="")])
    [table] = read_sources(_recipe(tmp_path, name, learn="base"))
    assert [row.id for row in table.rows] == ["a.png"] and "1 of 2 records are left out" in caplog.text


@pytest.mark.parametrize(
    ("records", "changes", "told"),
    [
        ([], {}, "no records of the split 'train'"),
        ([{}], {"split": "test"}, "no records of the split 'test'"),
        ([{"caption_noun": "", "caption_ko": ""}], {}, "none of its 1 records .* has words"),
        ([{"caption_en": ""}], {"learn": "base"}, "words and English"),
    ],
)
def test_sources_that_teach_nothing_are_refused(tmp_path: Path, records: list[dict[str, str]], changes: dict[str, str], told: str) -> None:
    name = _captions(tmp_path, [_record("a.png", **r) for r in records])
    with pytest.raises(DataError, match=told):
        read_sources(_recipe(tmp_path, name, **changes))


def test_held_out_pictures_are_none_of_those_that_are_learned_from(tmp_path: Path) -> None:
    name = _captions(tmp_path, [_record(f"{i}.png", split="validation" if i < 6 else "train") for i in range(12)])
    recipe = _recipe(tmp_path, name, "sample-world:general", per_concept=1, held_out={"pictures": 4})
    for learned, held in zip(read_sources(recipe), read_held_out(recipe), strict=True):
        assert len(held.rows) == len(held.pictures) == 4 and not {r.id for r in learned.rows} & {r.id for r in held.rows}
        assert [p.name for p in held.pictures] == [r.id for r in held.rows]
    assert [[r.id for r in t.rows] for t in read_held_out(recipe)] == [[r.id for r in t.rows] for t in read_held_out(recipe)]


def test_a_fingerprint_follows_the_words_and_needs_no_picture(tmp_path: Path) -> None:
    def of(text: str) -> str:
        return fingerprint(Source(captions=_captions(tmp_path, [_record("nowhere/a.png", caption_ko=text)]), share=1))

    assert of("식탁 위 라면") == of("식탁 위 라면") != of("돌판 위 라면")
    assert len({fingerprint(Source(captions=f"sample-world:{w}", share=1, per_concept=n)) for w in ("korean", "general") for n in (1, 2)}) == 4


# Pictures


def _picture(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path)
    return path


def test_members_of_archives_and_boxes_are_pictures_too(tmp_path: Path) -> None:
    path = _picture(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "김치/a.png")
    member = str(tmp_path / "all.zip!김치/a.png")
    whole, boxed, same = Stored(member), Stored(member, (4, 5, 30, 29)), Stored(str(path))
    assert whole.size == (40, 30) and boxed.size == boxed.open().size == (26, 24)
    assert whole.open().tobytes() == same.open().tobytes() and whole.digest() == same.digest() != boxed.digest()
    # A box of a few stray pixels is none, as `prepare` judges.
    assert Stored(member, (0, 0, 2, 2)).digest() == whole.digest()


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_index, "SETTLED_S", -1.0)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(_picture(tmp_path / "b.png", seed=1), "b.png")
    names = [str(_picture(tmp_path / "a.png")), str(tmp_path / "all.zip!b.png")]

    def seen() -> list[tuple[str, tuple[int, int]]]:
        index = index_for(tmp_path / "captions.jsonl", tmp_path / "cache")
        found = [Stored(name, None, index) for name in names]
        look(found)
        return [(p.digest(), p.size) for p in found]

    first = seen()
    monkeypatch.setattr(photos, "read_member", lambda path: pytest.fail(f"read again: {path}"))
    assert seen() == first


def test_a_file_that_changed_under_its_name_size_and_time_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_index, "SETTLED_S", -1.0)
    path = tmp_path / "a.bmp"
    _picture(path)
    before, index = path.stat(), index_for(tmp_path / "c.jsonl", tmp_path / "cache")
    old = Stored(str(path), None, index).digest()
    index.save()
    _picture(path, seed=1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert Stored(str(path), None, index_for(tmp_path / "c.jsonl", tmp_path / "cache")).digest() != old


def test_a_fresh_file_is_not_trusted_to_stay(tmp_path: Path) -> None:
    index = index_for(tmp_path / "c.jsonl", tmp_path / "cache")
    look([Stored(str(_picture(tmp_path / "a.png")), None, index)])
    assert not (tmp_path / "cache").exists()


def test_a_picture_replaced_between_hashing_and_decoding_is_refused(tmp_path: Path) -> None:
    photo = Stored(str(_picture(tmp_path / "a.png")))
    photo.digest()
    _picture(tmp_path / "a.png", seed=1)
    with pytest.raises(DataError, match=r"a\.png: has changed"):
        photo.open()


@pytest.mark.parametrize("damage", ["{", "[]", '{"a": 3}', '{"a": ["x", "y", "z", 1]}'])
def test_a_damaged_index_costs_a_reading_and_nothing_else(tmp_path: Path, damage: str) -> None:
    index = index_for(tmp_path / "c.jsonl", tmp_path / "cache")
    assert index.path is not None
    index.path.parent.mkdir(parents=True)
    index.path.write_text(damage)
    assert Stored(str(_picture(tmp_path / "a.png")), None, index_for(tmp_path / "c.jsonl", tmp_path / "cache")).size == (40, 30)


def test_reading_sources_opens_no_picture(tmp_path: Path) -> None:
    [table] = read_sources(_recipe(tmp_path, _captions(tmp_path, [_record("nowhere/a.png")])))
    with pytest.raises(DataError, match=r"nowhere/a\.png"):
        look(table.pictures)
