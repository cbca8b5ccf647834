"""How AIHub delivers: a tar, parts by number, error replies, wrongly joined zips. Every trap of the delivery, for every reader alike."""

import io
import os
import random
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.data import archives
from kimchi.data.archives import members, parts, read_member, spans, tree
from kimchi.data.archives.spans import Span, joined
from kimchi.errors import DataError

FILES = {f"나물/{i}.jpg": bytes([i]) * 700 for i in range(30)}
"""30 pictures, so that parts of 1,000 bytes number 0 to over 20, and text order differs from number order."""


def listing(root: Path) -> dict[str, bytes]:
    return {"/".join(member.parts): member.read() for member in members(root)}


def tree_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("numbers", ["count", "offset"])
@pytest.mark.parametrize("nfd", [False, True])
def test_parts_on_a_disk_are_one_zip_in_the_order_of_their_numbers(tmp_path: Path, make: Any, numbers: str, nfd: bool) -> None:
    """part1, part10, part2: and names with spaces, dots and brackets, composed or not."""
    name = "TS_1. 나물 [원천].zip"
    root = make.unpacked(tmp_path, make.parts(name, make.zipped(FILES), 1000, numbers), nfd=nfd)
    before = tree_of(root)
    assert len(before) > 20 and listing(root) == {f"TS_1. 나물 [원천]/{key}": content for key, content in FILES.items()}
    assert [read_member(member.path) for member in members(root)] == list(FILES.values())
    assert next(iter(members(root))).path == f"{root}/{name}!나물/0.jpg"
    assert tree_of(root) == before, "nothing is joined on the disk, and nothing is removed"


@pytest.mark.parametrize("given", ["d.zip", "d.zip.part0", "d.zip.part7"])
def test_the_whole_or_any_part_may_be_given_as_the_source(tmp_path: Path, make: Any, given: str) -> None:
    root = make.unpacked(tmp_path, make.parts("d.zip", make.zipped(FILES), 1000)) / given
    assert listing(root) == FILES
    assert len(archives.fingerprint(root)) == 16 and archives.comment(root) == ""


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("numbers", ["count", "offset"])
def test_download_tar_with_parts_in_it(tmp_path: Path, make: Any, kind: int, numbers: str) -> None:
    inner = make.zipped({"구이.zip": make.zipped(FILES)})
    place = "79.음식/01.데이터" + ("/아주 긴 이름의 폴더" * 3 if kind != tarfile.USTAR_FORMAT else "")
    pieces = list(make.parts(f"{place}/kfood.zip", inner, 3000, numbers).items())
    random.Random(0).shuffle(pieces)
    root = make.put(tmp_path / "download.tar", make.tar({**dict(pieces), f"{place}/안내.txt": b"x", "[라벨]빈.txt": b""}, kind))
    found = listing(root)
    assert found == {**{f"{place}/kfood/구이/{key}": content for key, content in FILES.items()}, f"{place}/안내.txt": b"x", "[라벨]빈.txt": b""}
    path = f"{root}!{place}/kfood.zip!구이.zip!나물/7.jpg"
    assert read_member(path) == FILES["나물/7.jpg"] and path in [member.path for member in members(root)]
    assert list(tmp_path.iterdir()) == [root]


def test_a_tar_within_a_zip_within_a_folder(tmp_path: Path, make: Any) -> None:
    make.put(tmp_path / "a.zip", make.zipped({"b.tar": make.tar({"c.jpg": b"C"})}))
    assert listing(tmp_path) == {"a/b/c.jpg": b"C"}


def test_an_ordinary_file_may_come_in_parts_too(tmp_path: Path, make: Any) -> None:
    make.unpacked(tmp_path / "d", make.parts("a.jpg", b"x" * 25, 10))
    assert listing(tmp_path / "d") == {"a.jpg": b"x" * 25} and read_member(f"{tmp_path}/d/a.jpg") == b"x" * 25
    root = make.put(tmp_path / "d.tar", make.tar(make.parts("a.jpg", b"x" * 25, 10)))
    assert listing(root) == {"a.jpg": b"x" * 25}
    with pytest.raises(DataError, match="limit is 20"):
        next(iter(members(root))).read(20)


@pytest.mark.parametrize("numbers", ["count", "offset"])
@pytest.mark.parametrize("lost", [0, 5])
def test_a_missing_part_is_named_and_nothing_else_is_lost(tmp_path: Path, make: Any, numbers: str, lost: int) -> None:
    pieces = make.parts("d.zip", make.zipped(FILES), 1000, numbers)
    missing = list(pieces)[lost]
    del pieces[missing]
    make.unpacked(tmp_path, {**pieces, "e.jpg": b"E"})
    broken, fine = members(tmp_path)
    assert fine.read() == b"E" and "missing" in broken.refusal and f"{len(pieces)} parts" in broken.refusal
    assert (f"{lost} missing" if numbers == "count" else f"part{lost * 1000 + 1000} should begin") in broken.refusal or lost == 0
    with pytest.raises(DataError, match="missing"):
        read_member(f"{tmp_path}/d.zip!나물/0.jpg")
    with pytest.raises(DataError, match="missing"):
        list(members(tmp_path / "d.zip.part7" if numbers == "count" else tmp_path / "d.zip"))


def test_a_missing_last_part_is_told(tmp_path: Path, make: Any) -> None:
    pieces = make.parts("d.zip", make.zipped(FILES), 1000)
    pieces.popitem()
    (broken,) = members(make.unpacked(tmp_path, pieces))
    assert "not a whole zip" in broken.refusal and "last" in broken.refusal


def test_parts_whose_contents_were_exchanged_are_refused_though_the_directory_is_whole(tmp_path: Path, make: Any) -> None:
    pieces = make.parts("d.zip", make.zipped(FILES), 1000)
    pieces["d.zip.part3"], pieces["d.zip.part4"] = pieces["d.zip.part4"], pieces["d.zip.part3"]
    whole = b"".join(pieces.values())
    assert len(zipfile.ZipFile(io.BytesIO(whole)).namelist()) == 30
    (broken,) = members(make.unpacked(tmp_path, pieces))
    assert "not a whole zip" in broken.refusal and "directory" in broken.refusal


def test_a_zip_that_was_joined_in_text_order_gives_way_to_its_parts(tmp_path: Path, make: Any) -> None:
    """macOS has no `sort -V`: the size is right, the directory is found, and every picture is damaged."""
    pieces = make.parts("d.zip", make.zipped(FILES), 1000)
    make.unpacked(tmp_path, {**pieces, "d.zip": b"".join(pieces[name] for name in sorted(pieces))})
    assert listing(tmp_path) == {f"d/{name}": content for name, content in FILES.items()}


def test_an_empty_zip_gives_way_to_its_parts(tmp_path: Path, make: Any) -> None:
    make.unpacked(tmp_path, {**make.parts("d.zip", make.zipped(FILES), 1000), "d.zip": b""})
    assert listing(tmp_path) == {f"d/{name}": content for name, content in FILES.items()}


def test_parts_beside_their_whole_are_told_and_left(tmp_path: Path, make: Any) -> None:
    whole = make.zipped({"a.jpg": b"A"})
    make.unpacked(tmp_path / "d", {**make.parts("d.zip", whole, 60), "d.zip": whole})
    found = list(members(tmp_path / "d"))
    assert [member.read() for member in found if not member.refusal] == [b"A"]
    assert all("lies beside it" in member.refusal for member in found if member.refusal) and len(found) > 2
    inside = list(members(make.put(tmp_path / "d.tar", make.tar({**make.parts("d.zip", whole, 60), "d.zip": whole}))))
    assert [member.read() for member in inside if not member.refusal] == [b"A"] and len(inside) == len(found)


@pytest.mark.parametrize("numbers", [[0, 1, 2], [1, 2, 3], [0, 10, 20], [0]])
def test_numberings_that_are_whole(numbers: list[int]) -> None:
    (group,) = parts.groups((f"a.zip.part{number}", 10) for number in reversed(numbers)).values()
    assert group.fault() == "" and group.order() == [f"a.zip.part{number}" for number in numbers]


@pytest.mark.parametrize(
    "names", [["part2"], ["part0", "part2"], ["part0", "part00"], ["part0", "part10", "part30"], ["part1073741824"], ["part0", "part9999"]]
)
def test_numberings_that_are_not(names: list[str]) -> None:
    (group,) = parts.groups((f"a.zip.{name}", 10) for name in names).values()
    assert group.fault() and "\n" not in group.fault()


@settings(deadline=None)  # other work may share the cores
@given(st.binary(max_size=300), st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 320), st.integers(0, 320))
def test_a_span_over_files_reads_as_the_bytes_do(tmp_path_factory: pytest.TempPathFactory, content: bytes, sizes: list[int], at: int, length: int) -> None:
    folder = tmp_path_factory.mktemp("s")
    cuts, start = list[Span](), 0
    for i, size in enumerate([*sizes, 300]):
        (folder / f"{i}").write_bytes(content[start : start + size])
        cuts.append(Span.of_file(folder / f"{i}"))
        start += size
    span = joined(cuts)
    assert span.pread(length, at) == content[at : at + length]
    assert span.part(at, length).read() == content[at : at + length]
    assert span.part(at, length).pread(length, 1) == content[at : at + length][1:]


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>", b'\xef\xbb\xbf\n{"resultCode": 502}'])
@pytest.mark.parametrize("name", ["download.tar", "kfood.zip"])
def test_an_error_reply_saved_as_the_download_is_told_wherever_it_lies(tmp_path: Path, make: Any, content: bytes, name: str) -> None:
    with pytest.raises(DataError, match="error reply"):
        list(members(make.put(tmp_path / name, content)))
    assert ["error reply" in member.refusal for member in members(tmp_path)] == [True]


@pytest.mark.parametrize("cut", [100, 700, 1400])
def test_a_tar_that_stops_early_is_told(tmp_path: Path, make: Any, cut: int) -> None:
    with pytest.raises(DataError, match="not a whole"):
        list(members(make.put(tmp_path / "d.tar", make.tar({"a.jpg": bytes(300), "b.jpg": bytes(900)})[:cut])))


def test_links_devices_and_climbing_names_in_a_tar_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (("a", tarfile.SYMTYPE), ("b", tarfile.CHRTYPE), ("c/", tarfile.DIRTYPE), ("../../d", tarfile.REGTYPE), ("/e", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    (tmp_path / "d.tar").write_bytes(file.getvalue())
    assert [member.refusal.split(",")[0][:14] for member in members(tmp_path / "d.tar")] == ["is a link or a"] * 2 + ["its name climb"] * 2


def test_names_in_a_tar_may_be_cp949(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="cp949") as archive:
        archive.addfile(tarfile.TarInfo("배추김치/" * 20 + "a.jpg"))
    (tmp_path / "d.tar").write_bytes(file.getvalue())
    assert [member.parts[0] for member in members(tmp_path / "d.tar")] == ["배추김치"]


@settings(deadline=None, max_examples=60)  # other work may share the cores
@given(st.data())
def test_a_damaged_tar_gives_members_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, make: Any, data: st.DataObject) -> None:
    content = bytearray(make.tar({"가" * 60 + "/a.jpg": b"A" * 600, "b.jpg": b"B"}, data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("t") / "d.tar"
    path.write_bytes(bytes(content))
    try:
        for member in members(path):
            if not member.refusal:
                member.read()
    except DataError as error:
        assert "\n" not in str(error)


def test_a_size_that_octal_cannot_hold(tmp_path: Path, make: Any) -> None:
    """GNU writes sizes over 8 GiB in base 256; a part of a large delivery may be one. Here a small one is written so."""
    content = bytearray(make.tar({"a.jpg": b"A" * 5}))
    content[124:136] = b"\x80" + (5).to_bytes(11, "big")
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + sum(content[156:512]) + 8 * 32)
    assert listing(make.put(tmp_path / "d.tar", bytes(content))) == {"a.jpg": b"A" * 5}


def test_more_parts_than_files_may_be_open(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MAX_OPEN_FILES", 3)
    monkeypatch.setattr(tree, "OPEN_ENTRIES", 10)
    make.unpacked(tmp_path, make.parts("d.zip", make.zipped(FILES), 500))
    before = len(list(Path("/dev/fd").iterdir()))
    assert listing(tmp_path) == {f"d/{name}": content for name, content in FILES.items()}
    assert len(list(Path("/dev/fd").iterdir())) <= before + 4


def test_a_file_replaced_while_it_is_read_is_an_error_and_not_another_picture(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make.put(tmp_path / "d.zip", make.zipped({"a.jpg": b"A" * 50, "b.jpg": b"B" * 50}))
    (first, _) = members(root)
    monkeypatch.setattr(spans, "MAX_OPEN_FILES", 0)
    with pytest.raises(DataError):
        _touch(root, make.zipped({"b.jpg": b"B" * 50, "a.jpg": b"A" * 50}))
        first.read()


def _touch(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)
    os.utime(path, (1, 1))
    spans._OPEN.files.clear()
