"""Parallel text: every layout gives the same pairs, and whatever is wrong with a corpus is counted, mended or refused."""

import json
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import datasets
import pytest

from kimchi.data.parallel import clean, read_parallel
from kimchi.errors import DataError

PAIRS = [("빨간 자동차가 도시에 있다.", "A red car is in the city."), ("한복을 입은 사람", "A person in hanbok"), ("바다", 'the sea, "wide"')]


def write_xlsx(path: Path, rows: list[list[str]], *, inline: bool = False) -> None:
    """A sheet as Excel writes it: shared strings, and a reference on each cell."""
    strings: list[str] = []
    body = ""
    for y, cells in enumerate(rows, 1):
        body += f'<row r="{y}">'
        for x, text in enumerate(cells):
            if not text:
                continue
            place = f"{chr(65 + x)}{y}"
            if inline:
                body += f'<c r="{place}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
            else:
                body += f'<c r="{place}" t="s"><v>{len(strings)}</v></c>'
                strings.append(text)
        body += "</row>"
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f'<?xml version="1.0"?><worksheet {space}><sheetData>{body}</sheetData></worksheet>')
        items = "".join(f"<si><r><t>{escape(s[:2])}</t></r><r><t>{escape(s[2:])}</t></r><rPh><t>no</t></rPh></si>" for s in strings)
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{items}</sst>")


def _said(path: Path, layout: str = "auto") -> list[tuple[str, str]]:
    return [(p.ko, p.en) for p in read_parallel(path, layout).pairs]


class TestLayouts:
    @pytest.mark.parametrize("inline", [False, True])
    def test_aihub_xlsx(self, tmp_path: Path, inline: bool) -> None:
        write_xlsx(tmp_path / "1_구어체(1).xlsx", [["SID", "", "원문", "번역문"], *(["7", "", ko, en] for ko, en in PAIRS)], inline=inline)
        assert _said(tmp_path) == PAIRS

    @pytest.mark.parametrize("wrap", ["data", "", "single"])
    def test_aihub_json(self, tmp_path: Path, wrap: str) -> None:
        records = [{"sn": "K1", "ko_original": f">{ko}", "ko": f">{ko}", "mt": "?", "en": f">{en}", "source_language": "ko"} for ko, en in PAIRS]
        if wrap == "single":
            for i, record in enumerate(records):
                (tmp_path / f"{i}.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        else:
            (tmp_path / "a.json").write_text(json.dumps({wrap: records} if wrap else records), encoding="utf-8")
        assert _said(tmp_path, "aihub") == PAIRS

    @pytest.mark.parametrize("header", ["", "ko\ten\n", "\ufeffKO\tEN\n"])
    @pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16"])
    def test_tsv(self, tmp_path: Path, header: str, encoding: str) -> None:
        text = header + "".join(f"{ko}\t{en}\r\n" for ko, en in PAIRS)
        (tmp_path / "a.tsv").write_bytes((text.lstrip("\ufeff") if encoding != "utf-8" else text).encode(encoding))
        assert _said(tmp_path / "a.tsv") == PAIRS

    def test_csv_with_columns_in_any_order(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text('id,영어,한국어\n1,"A cat, black",검은 고양이\n', encoding="utf-8")
        assert _said(tmp_path / "a.csv") == [("검은 고양이", "A cat, black")]

    def test_jsonl_and_the_captions_that_prepare_leaves(self, tmp_path: Path) -> None:
        lines = [json.dumps({"ko": ko, "en": en}) for ko, en in PAIRS]
        (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
        assert _said(tmp_path / "a.jsonl") == PAIRS
        captions = [{"id": "x", "path": f"{i}.jpg", "caption_noun": "라면", "caption_ko": ko, "caption_en": en} for i, (ko, en) in enumerate(PAIRS)]
        captions[2]["split"] = "test"
        (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, captions)), encoding="utf-8")
        found = read_parallel(tmp_path / "captions.jsonl", "captions").pairs
        assert [(p.ko, p.en, p.picture) for p in found] == [(*PAIRS[0], "0.jpg"), (*PAIRS[1], "1.jpg")]

    @pytest.mark.parametrize("nested", [False, True])
    def test_datasets(self, tmp_path: Path, nested: bool) -> None:
        rows = [{"translation": {"ko": ko, "en": en}} if nested else {"ko": ko, "en": en} for ko, en in PAIRS]
        datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
        assert _said(tmp_path / "saved") == PAIRS


class TestBadInput:
    def test_everything_wrong_is_counted(self, tmp_path: Path) -> None:
        rows = [
            "빨간 자동차\ta red car",
            "a blue car\t파란 자동차",
            "빨간  자동차\ta red car",
            "\ta car",
            "자동차\t",
            "가" * 10_000 + "\tlong",
            "안녕 #@이름#\thello #@NAME#",
            "only english\tno korean at all",
            "한국어만\t여기도 한국어",
        ]
        mixed = "\n".join(rows).encode() + "\n초록색 배추\tgreen cabbage\n".encode("cp949") + "가\t".encode() + b"\xff\xfe\x81\n"
        (tmp_path / "a.tsv").write_bytes(mixed)
        corpus = read_parallel(tmp_path / "a.tsv")
        assert [(p.ko, p.en) for p in corpus.pairs] == [("빨간 자동차", "a red car"), ("파란 자동차", "a blue car"), ("초록색 배추", "green cabbage")]
        assert corpus.counts == {"kept": 3, "swapped": 1, "duplicate": 1, "empty": 2, "long": 1, "hidden": 1, "language": 2, "encoding": 1}
        assert len(corpus.refused) == 8 and corpus.refused[0].where == "a.tsv:3" and max(len(r.ko) for r in corpus.refused) <= 200

    def test_a_lone_quotation_mark_swallows_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.tsv").write_text('"큰 나무\ta "big tree\n작은 나무\ta small tree\n', encoding="utf-8")
        assert len(_said(tmp_path / "a.tsv")) == 2

    @pytest.mark.parametrize(
        ("ko", "en"), [("I ate 김치 today", "나는 오늘 kimchi를 먹었다"), ("나는 오늘 kimchi를 먹었다", "I ate 김치 today"), ("AI 기술", "AI technology")]
    )
    def test_a_few_words_of_the_other_language_are_no_fault(self, ko: str, en: str) -> None:
        found = clean(ko, en)
        assert isinstance(found, tuple) and found[0].count("기술") + found[0].count("먹었다") == 1

    def test_decomposed_hangul_is_composed(self) -> None:
        import unicodedata

        assert clean(unicodedata.normalize("NFD", "김치"), "kimchi") == ("김치", "kimchi")

    @pytest.mark.parametrize("content", [b"", b"\n\n", "안녕\t\n".encode(), b"\x00\x01\x02"])
    def test_a_corpus_that_is_left_empty_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.tsv").write_bytes(content)
        with pytest.raises(DataError, match=r"no pair of sentences is left .*원문 and 번역문"):
            read_parallel(tmp_path / "a.tsv")

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.xlsx", b"PK not really", "cannot be read as a spreadsheet"),
            ("a.json", b"[1, 2", "is not JSON"),
            ("a.jsonl", b'{"ko": 1}\n{', "line 2: is not JSON"),
            ("a.hwp", b"x", "is not one of .tsv"),
        ],
    )
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, name: str, content: bytes, said: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=said) as caught:
            read_parallel(tmp_path / name)
        assert "\n" not in str(caught.value)

    def test_a_sheet_without_the_columns(self, tmp_path: Path) -> None:
        write_xlsx(tmp_path / "a.xlsx", [["name", "value"]] * 30)
        with pytest.raises(DataError, match="Add a header"):
            read_parallel(tmp_path / "a.xlsx")

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no parallel text there"):
            read_parallel(tmp_path)
        with pytest.raises(DataError, match="no parallel text there"):
            read_parallel(tmp_path / "none.tsv")
