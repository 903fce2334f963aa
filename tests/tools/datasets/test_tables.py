"""Data sets from tables: what is read, and what is refused in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubel.tools.datasets import LabelledTexts, datasets, read_dataset
from hubel.tools.errors import UnavailableError, UsageError

ROWS = [
    {"text": "A cat, alone.", "label": "animal", "group": "cat", "year": 1},
    {"text": "A dog.", "label": "animal", "group": "dog", "year": 2},
    {"text": "A stone.", "label": "thing", "group": "stone", "year": 2},
]


def as_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(rows[0]), *(",".join(f'"{v}"' for v in row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("name", "write"), [("t.csv", as_csv), ("t.jsonl", as_jsonl), ("t.parquet", as_parquet)]
)
def test_all_formats_give_the_same_data_set(
    tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, Any]]], None]
) -> None:
    write(tmp_path / name, ROWS)
    data = read_dataset(str(tmp_path / name), slices=["year"])
    assert data.texts == ("A cat, alone.", "A dog.", "A stone.")
    assert data.labels == ("animal", "animal", "thing")
    assert data.groups == ("cat", "dog", "stone")
    assert data.slices == {"year": ("1", "2", "2")}
    assert data.class_numbers.tolist() == [0, 0, 1]
    assert (
        data.sha256 == LabelledTexts("x", data.texts, data.labels, data.groups, data.slices).sha256
    )
    assert data.sha256 != data.take([0, 1]).sha256
    assert data.rows_where("year", "2") == [1, 2]


def test_columns_may_be_named_after_the_path(tmp_path: Path) -> None:
    rows = [{"review": f"r {i}", "stars": i % 2 + 0.0, "by": "a"} for i in range(4)]
    as_jsonl(tmp_path / "t.jsonl", rows)
    spec = f"{tmp_path / 't.jsonl'}::text=review,label=stars,group=by,slices=by+stars"
    data = read_dataset(spec)
    assert data.labels == ("0", "1", "0", "1")
    assert data.groups == ("a",) * 4
    assert set(data.slices) == {"by", "stars"}
    assert data == read_dataset(
        str(tmp_path / "t.jsonl"), text="review", label="stars", group="by", slices=["by", "stars"]
    )


def test_without_a_group_each_different_text_is_one(tmp_path: Path) -> None:
    as_jsonl(
        tmp_path / "t.jsonl", [{"prompt": "a", "target": 3}, {"prompt": "b", "target": 20}] * 2
    )
    data = read_dataset(str(tmp_path / "t.jsonl"))
    assert data.groups == ("a", "b", "a", "b")
    assert data.classes == ("3", "20")  # as numbers, not as text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a", "label": 0.5}], r"label 0\.5 is a number with a fraction"),
        ([{"text": "a", "label": None}], r"t\.jsonl:1: no label under 'label'"),
        ([{"text": " ", "label": "x"}], r"t\.jsonl:1: no text under 'text'"),
        ([{"text": 3, "label": "x"}], r"holds the number 3; expected text"),
        ([{"text": "a", "label": [1]}], r"holds a list; expected text"),
        ([{"body": "a", "label": 1}], r"none is text or prompt or sentence; say which"),
        ([{"text": "a", "kind": 1}], r"none is label or target or class; say which"),
    ],
)
def test_a_bad_row_is_one_line(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    as_jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(UsageError, match=message):
        read_dataset(str(tmp_path / "t.jsonl"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("absent.csv", "no file"),
        ("t.jsonl::text=nothing", "no column 'nothing'; it has text, label, group, year"),
        ("t.jsonl::words=text", "'words=text' given after '::'; expected text=COLUMN"),
    ],
)
def test_bad_names_say_what_there_is(tmp_path: Path, spec: str, message: str) -> None:
    as_jsonl(tmp_path / "t.jsonl", ROWS)
    with pytest.raises(UsageError, match=message):
        read_dataset(f"{tmp_path}/{spec}")


def test_an_unknown_name_lists_the_families() -> None:
    with pytest.raises(UsageError, match="no data set 'nothing'; there are"):
        read_dataset("nothing")
    assert list(datasets()) == sorted(datasets())


def test_a_hub_name_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UnavailableError, match=r"pip install 'hubel\[hub\]'"):
        read_dataset("someone/something")


def test_an_empty_slice_and_a_missing_class_are_refused() -> None:
    data = LabelledTexts("d", ("a", "b"), ("x", "x"), slices={"year": ("1", "2")})
    with pytest.raises(UsageError, match="no row has year '3', so that the slice is empty"):
        data.rows_where("year", "3")
    with pytest.raises(UsageError, match="no slices by 'place'; it has year"):
        data.rows_where("place", "3")
    with pytest.raises(UsageError, match="all 2 labels are 'x'"):
        data.require_classes()
    with pytest.raises(UsageError, match="label 'y' has 1 rows; each label needs at least 2"):
        LabelledTexts("d", ("a", "b", "c"), ("x", "x", "y")).require_classes(2)
    with pytest.raises(UsageError, match="has no texts"):
        data.take([])
    with pytest.raises(UsageError, match="1 labels for 2 texts"):
        LabelledTexts("d", ("a", "b"), ("x",))
