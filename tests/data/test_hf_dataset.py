"""Data sets as `datasets` writes them: Arrow by save_to_disk, Parquet as on the hub."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kimchi.data import archives
from kimchi.data.readers import reader
from kimchi.errors import DataError


@pytest.fixture(scope="module")
def rows(make: Any) -> dict[str, list[Any]]:
    pictures = [make.jpeg(i) for i in range(4)] + [b"<html>", None]
    return {
        "id": list(range(6)), "image": [{"bytes": content, "path": f"{i}.jpg"} for i, content in enumerate(pictures)],
        "label": [0, 1, 0, 1, 0, -1], "text": ["라면 한 그릇", None, "", "김밥", "x", "y"],
    }  # fmt: skip


def features() -> dict[bytes, bytes]:
    told = {"id": {"_type": "Value"}, "image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["라면", "김밥"]}, "text": {"_type": "Value"}}
    return {b"huggingface": json.dumps({"info": {"features": told}}).encode()}


def check(found: tuple[list[Any], list[Any]], make: Any) -> None:
    kept, dropped = found
    assert [r.labels for r in kept] == [("라면",), ("김밥",), ("라면",), ("김밥",)] and [r.caption for r in kept] == ["라면 한 그릇", "", "", "김밥"]
    assert [archives.read_member(r.path) for r in reversed(kept)] == [make.jpeg(i) for i in (3, 2, 1, 0)]
    assert "cannot be decoded" in dropped[0].reason and len(dropped) == 2


def test_what_save_to_disk_writes(tmp_path: Path, make: Any, rows: dict[str, list[Any]]) -> None:
    import datasets

    told = datasets.Features(
        {"id": datasets.Value("int64"), "image": datasets.Image(), "label": datasets.ClassLabel(names=["라면", "김밥"]), "text": datasets.Value("string")}
    )
    whole = datasets.Dataset.from_dict({name: values[:5] for name, values in rows.items()}, features=told)
    datasets.DatasetDict({"train": whole.select([3, 2, 1, 0]).select([3, 2, 1]), "test": whole.select([3, 4])}).save_to_disk(tmp_path / "음식")
    (tmp_path / "음식" / "train" / "cache-1.arrow").write_bytes(b"left by map")
    kept, dropped = make.read("hf_dataset", tmp_path / "음식")
    assert sorted(r.caption for r in kept) == ["", "", "김밥", "라면 한 그릇"] and len(dropped) == 1
    assert {archives.read_member(r.path) for r in kept} == {make.jpeg(i) for i in range(4)}
    assert "음식" in reader("hf_dataset").credit(tmp_path / "음식")


def test_parquet_as_on_the_hub(tmp_path: Path, make: Any, rows: dict[str, list[Any]]) -> None:
    table = pa.table(rows).replace_schema_metadata(features())
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet", row_group_size=2)
    check(make.read("hf_dataset", tmp_path), make)
    check(make.read("hf_dataset", tmp_path / "data" / "train-00000-of-00001.parquet"), make)
    assert len(archives.fingerprint(tmp_path / "data" / "train-00000-of-00001.parquet")) == 16


def test_an_arrow_file_without_features(tmp_path: Path, make: Any, rows: dict[str, list[Any]]) -> None:
    named = {**rows, "label": ["라면", "김밥", "라면", "김밥", "x", "y"]}
    table = pa.table(named)
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    check(make.read("hf_dataset", tmp_path), make)


def test_pictures_that_are_only_named(tmp_path: Path, make: Any) -> None:
    make.put(tmp_path / "1.jpg", make.jpeg())
    pq.write_table(pa.table({"image": [{"bytes": None, "path": "1.jpg"}, {"bytes": None, "path": None}]}, pa.schema([
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])), tmp_path / "a.parquet")  # fmt: skip
    (record,), (dropped,) = make.read("hf_dataset", tmp_path)
    assert record.path == str(tmp_path / "1.jpg") and "no picture" in dropped.reason


def test_what_is_no_data_set_is_told(tmp_path: Path, make: Any) -> None:
    with pytest.raises(DataError, match="save_to_disk"):
        list(reader("hf_dataset").read(tmp_path))
    pq.write_table(pa.table({"문장": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="columns 문장, and none"):
        list(reader("hf_dataset").read(tmp_path))


def test_a_truncated_table_costs_only_itself(tmp_path: Path, make: Any, rows: dict[str, list[Any]]) -> None:
    pq.write_table(pa.table(rows).replace_schema_metadata(features()), tmp_path / "b.parquet")
    make.put(tmp_path / "a.parquet", (tmp_path / "b.parquet").read_bytes()[:-50])
    make.put(tmp_path / "c.arrow", b"")
    kept, dropped = make.read("hf_dataset", tmp_path)
    assert len(kept) == 4 and "as a table" in dropped[0].reason and "as a table" in dropped[-1].reason


def test_a_place_that_is_gone_names_the_next_step(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    pq.write_table(pa.table({"image": [file.getvalue()]}), tmp_path / "a.parquet")
    assert archives.read_member(f"{tmp_path}/a.parquet!image!0") == file.getvalue()
    for place in ("image!1", "image!x", "none!0"):
        with pytest.raises(DataError, match="prepare again"):
            archives.read_member(f"{tmp_path}/a.parquet!{place}")
    with pytest.raises(DataError, match="more than 5"):
        archives.read_member(f"{tmp_path}/a.parquet!image!0", 5)
