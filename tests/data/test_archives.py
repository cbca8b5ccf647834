"""Deliveries as they come: nested, misnamed, cut short, hostile."""

import io
import os
import struct
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data import archives
from kimchi.data.archives import members, read_member, spans, tree, zips
from kimchi.errors import DataError


class Raw(zipfile.ZipInfo):
    """An entry whose name is written as the bytes given, with or without the UTF-8 flag."""

    raw, utf8 = b"", False

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, (self.flag_bits | 0x800 if self.utf8 else self.flag_bits & ~0x800)


def entry(name: bytes, utf8: bool = False, method: int = zipfile.ZIP_STORED) -> Raw:
    info = Raw(f"{name!r} {utf8}")  # zipfile warns of equal names; what is written is raw
    info.raw, info.utf8, info.compress_type = name, utf8, method
    return info


def zipped(entries: dict[str | bytes, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Names given as text are written in CP949 without a flag, as AIHub does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(entry(name.encode("cp949") if isinstance(name, str) else name, method=method), content)
    return file.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refusals(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for member in members(root):
        try:
            member.read()
        except DataError as error:
            found["/".join(member.parts)] = str(error)
    return found


def test_a_stored_zip_in_a_zip_is_read_in_place(tmp_path: Path) -> None:
    root = put(tmp_path / "kfood.zip", zipped({"김치.zip": zipped({"갓김치/a.jpg": b"A", "백김치/b.jpg": b"B"}), "국.zip": zipped({"무국/c.jpg": b"C"})}))
    listed = list(members(root))
    assert [m.path for m in listed] == [f"{root}!김치.zip!갓김치/a.jpg", f"{root}!김치.zip!백김치/b.jpg", f"{root}!국.zip!무국/c.jpg"]
    assert [m.parts for m in listed] == [("김치", "갓김치", "a.jpg"), ("김치", "백김치", "b.jpg"), ("국", "무국", "c.jpg")]
    assert [m.read() for m in listed] == [read_member(m.path) for m in listed] == [b"A", b"B", b"C"]


def test_a_compressed_inner_zip_and_three_levels(tmp_path: Path) -> None:
    deep = zipped({"x.jpg": b"deep" * 100}, zipfile.ZIP_DEFLATED)
    root = put(tmp_path / "a.zip", zipped({"b.zip": zipped({"c.zip": deep})}, zipfile.ZIP_DEFLATED))
    (member,) = members(root)
    assert member.parts == ("b", "c", "x.jpg") and member.read() == read_member(member.path) == b"deep" * 100


@pytest.mark.parametrize(
    ("raw", "utf8"),
    [
        ("배추김치/a.jpg".encode("cp949"), False),
        ("배추김치/a.jpg".encode(), False),
        ("배추김치/a.jpg".encode(), True),
        (unicodedata.normalize("NFD", "배추김치/a.jpg").encode(), True),
        (unicodedata.normalize("NFD", "배추김치/a.jpg").encode(), False),
        ("배추김치\\a.jpg".encode("cp949"), False),
    ],
)
def test_names_are_decoded_entry_by_entry_to_nfc(tmp_path: Path, raw: bytes, utf8: bool) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry("국/b.jpg".encode("cp949")), b"B")
        archive.writestr(entry(raw, utf8), b"A")
    root = put(tmp_path / "d.zip", file.getvalue())
    assert [m.parts for m in members(root)] == [("국", "b.jpg"), ("배추김치", "a.jpg")]
    assert read_member(f"{root}!배추김치/a.jpg") == b"A"
    assert read_member(unicodedata.normalize("NFD", f"{root}!배추김치/a.jpg")) == b"A"


@settings(deadline=None)  # other work may share the cores
@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6, unique=True))
def test_no_name_breaks_the_listing_or_leaves_the_archive(tmp_path_factory: pytest.TempPathFactory, names: list[bytes]) -> None:
    root = put(tmp_path_factory.getbasetemp() / "wild" / "w.zip", zipped({name: b"content" for name in names}))
    for member in members(root):
        if not member.refusal:
            assert ".." not in member.parts and not member.path.split("!", 1)[1].startswith("/")
            assert member.read() == b"content" == read_member(member.path)


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"a/../../b.jpg", b"C:\\windows\\b.jpg", b"..\\b.jpg"])
def test_names_that_climb_out_are_refused_and_the_rest_is_read(tmp_path: Path, name: bytes) -> None:
    root = put(tmp_path / "d.zip", zipped({name: b"evil", b"ok/a.jpg": b"A"}))
    climbing, fine = members(root)
    assert fine.read() == b"A"
    with pytest.raises(DataError, match="climbs out"):
        climbing.read()
    with pytest.raises(DataError, match="climbs out"):
        read_member(climbing.path)


def test_a_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "SMALL_BYTES", 10_000)
    root = put(tmp_path / "d.zip", zipped({"bomb.jpg": bytes(10**7), "ok.jpg": b"A"}, zipfile.ZIP_DEFLATED))
    assert "zip bomb" in refusals(root)["bomb.jpg"] and "ok.jpg" not in refusals(root)


def test_the_limit_holds_for_what_is_declared_and_for_what_comes(tmp_path: Path) -> None:
    content = zipped({"a.jpg": os.urandom(5000)}, zipfile.ZIP_DEFLATED)
    root = put(tmp_path / "d.zip", content)
    (member,) = members(root)
    with pytest.raises(DataError, match=r"limit is 1,000"):
        member.read(limit=1000)
    lying = bytearray(content)
    place = content.rindex(b"PK\1\2")
    lying[place + 24 : place + 28] = struct.pack("<I", 400)
    (member,) = members(put(tmp_path / "lying.zip", bytes(lying)))
    with pytest.raises(DataError, match=r"damaged|declares"):
        member.read()


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.jpg": b"A"}))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    assert "encrypted" in refusals(put(tmp_path / "d.zip", bytes(content)))["a.jpg"]


def test_a_damaged_member_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    content = zipped({"a.jpg": b"AAAA" * 100, "b.jpg": b"BBBB"})
    found = refusals(put(tmp_path / "d.zip", content.replace(b"AAAA" * 100, b"AAAX" * 100)))
    assert list(found) == ["a.jpg"] and "Fetch the archive again" in found["a.jpg"]


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_a_truncated_delivery_is_a_data_error_with_a_next_step(tmp_path: Path, cut: int) -> None:
    content = zipped({"a/a.jpg": bytes(300)})
    with pytest.raises(DataError, match=r"not a whole zip archive.*[Ff]etch it again"):
        list(members(put(tmp_path / "d.zip", content[:cut])))


def test_a_truncated_inner_zip_costs_only_itself(tmp_path: Path) -> None:
    inner = zipped({"갓김치/a.jpg": bytes(300)})
    root = put(tmp_path / "kfood.zip", zipped({"김치.zip": inner[:-30], "국.zip": zipped({"무국/c.jpg": b"C"})}))
    broken, fine = members(root)
    assert "not a whole zip" in broken.refusal and fine.read() == b"C"


def test_a_zip_that_holds_itself_ends(tmp_path: Path) -> None:
    content = zipped({"a.jpg": b"A"})
    for _ in range(8):
        content = zipped({"in.zip": content})
    (member,) = members(put(tmp_path / "d.zip", content))
    assert "archives deep" in member.refusal


def test_damaged_extra_fields_are_passed_over(tmp_path: Path) -> None:
    """A user of kfood.zip met "Corrupt extra field" and had to patch Python."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = entry(b"a.jpg")
        info.extra = struct.pack("<HH", 0x5455, 99) + b"abc"
        archive.writestr(info, b"A")
    root = put(tmp_path / "d.zip", file.getvalue())
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(root)
    assert [m.read() for m in members(root)] == [b"A"]


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"<html>404</html>", "error reply"), (b'{"error": 1}', "error reply"), (b"tar?" * 99, "not a whole zip")]
)
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(members(put(tmp_path / "download.tar", content)))


def test_a_missing_source_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--set source="):
        list(members(tmp_path / "none.zip"))
    with pytest.raises(DataError, match="no such file"):
        read_member(f"{tmp_path}/none.zip!a.jpg")
    root = put(tmp_path / "d.zip", zipped({"a.jpg": b"A"}))
    with pytest.raises(DataError, match="no such member"):
        read_member(f"{root}!b.jpg")


def test_the_second_of_two_equal_names_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry("국/a.jpg".encode("cp949")), b"first")
        archive.writestr(entry("국/a.jpg".encode(), utf8=True), b"second")
    first, second = members(put(tmp_path / "d.zip", file.getvalue()))
    assert first.read() == read_member(first.path) == b"first" and "second member" in second.refusal


def test_a_folder_with_decomposed_names_brackets_and_exclamation_marks(tmp_path: Path) -> None:
    folder = unicodedata.normalize("NFD", "[원천]맛있다!")
    put(tmp_path / folder / unicodedata.normalize("NFD", "갓김치") / "a.jpg", b"A")
    put(tmp_path / folder / "b.zip", zipped({"맵다!/b.jpg": b"B"}))
    listed = list(members(tmp_path))
    assert [m.parts for m in listed] == [("[원천]맛있다!", "b", "맵다!", "b.jpg"), ("[원천]맛있다!", "갓김치", "a.jpg")]
    assert [read_member(m.path) for m in listed] == [m.read() for m in listed] == [b"B", b"A"]


def test_a_folder_never_follows_a_link_out_into_a_loop(tmp_path: Path) -> None:
    put(tmp_path / "a" / "a.jpg", b"A")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "none")
    assert [(m.parts[-1], bool(m.refusal)) for m in members(tmp_path)] == [("dangling.jpg", True), ("a.jpg", False)]


def test_fingerprint_changes_with_content_and_not_with_the_clock(tmp_path: Path) -> None:
    root = put(tmp_path / "d.zip", zipped({"a.zip": zipped({"a.jpg": b"A"})}))
    before = archives.fingerprint(root)
    os.utime(root, (1, 1))
    assert archives.fingerprint(root) == before
    put(root, zipped({"a.zip": zipped({"a.jpg": b"B"})}))
    assert archives.fingerprint(root) != before


def test_a_rewritten_archive_is_read_anew(tmp_path: Path) -> None:
    root = put(tmp_path / "d.zip", zipped({"a.jpg": b"old"}))
    assert read_member(f"{root}!a.jpg") == b"old"
    root.unlink()
    put(root, zipped({"a.jpg": b"newer"}))
    assert read_member(f"{root}!a.jpg") == b"newer"


def test_threads_may_read_one_archive(tmp_path: Path) -> None:
    contents = {f"d/{i}.jpg": os.urandom(3000) for i in range(60)}
    root = put(tmp_path / "k.zip", zipped({"a.zip": zipped({name: content for name, content in contents.items()}, zipfile.ZIP_DEFLATED)}))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(read_member, [f"{root}!a.zip!{name}" for name in contents] * 5))
    assert read == list(contents.values()) * 5


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    for i in range(tree.OPEN_ARCHIVES * 3):
        root = put(tmp_path / f"{i}.zip", zipped({"a.jpg": b"A"}))
        assert read_member(f"{root}!a.jpg") == b"A"
    assert len(list(descriptors.iterdir())) <= before + spans.MAX_OPEN_FILES + 2
