"""One reader for every table: what it reads, and its messages about what it refuses."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubel.tools.errors import UsageError
from hubel.tools.rows import Row, column_names, kind_of, read_rows

ROWS = [{"name": " a", "n": "0"}, {"name": "b,;|\t", "n": ""}, {"name": 'ü "x"\nline 2', "n": "1"}]
CELLS = [(" a", "0"), ("b,;|\t", None), ('ü "x"\nline 2', "1")]


def cells(path: Path) -> list[tuple[str | None, str | None]]:
    assert column_names(path) == ["name", "n"]
    return [(row.text("name"), row.text("n")) for row in read_rows(path)]


def delimited(delimiter: str, line_end: str = "\n") -> str:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    lines = ["name" + delimiter + "n"]
    lines += [delimiter.join(map(quoted, row.values())) for row in ROWS]
    return line_end.join(lines) + line_end


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_every_delimiter_mark_and_line_end(
    tmp_path: Path, delimiter: str, mark: bytes, line_end: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(mark + delimited(delimiter, line_end).encode())
    assert cells(path) == CELLS


@pytest.mark.parametrize("name", ["a.tsv", "a.tab", "a.tsv.gz", "A.TSV"])
def test_tsv(tmp_path: Path, name: str) -> None:
    data = delimited("\t").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert cells(tmp_path / name) == CELLS


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json"])
def test_json_lines(tmp_path: Path, name: str, line_end: str) -> None:
    data = ("\ufeff" + line_end.join(map(json.dumps, ROWS))).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert cells(tmp_path / name) == CELLS


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=indent))
    assert cells(tmp_path / "a.json") == CELLS


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary("int32", pa.string())]
)
def test_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {name: pa.array([row[name] for row in ROWS], kind) for name in ROWS[0]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert cells(tmp_path / "a.parquet") == CELLS


def written(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """The same rows in each format."""
    names = list(rows[0])
    lines = [names, *([("" if v is None else v) for v in row.values()] for row in rows)]
    (folder / "a.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    (folder / "a.tsv").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "a.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return sorted(folder.iterdir())


def test_a_value_means_the_same_in_every_format(tmp_path: Path) -> None:
    """Zero is a value; null and the empty string are not."""
    rows = [{"k": "x", "v": 0}, {"k": "", "v": 7}, {"k": None, "v": None}, {"k": "0", "v": -1}]
    for path in written(tmp_path, [*rows]):
        read = [(row.text("k"), row.text("v")) for row in read_rows(path)]
        # In CSV a line of empty cells is not a row.
        expected = [("x", "0"), (None, "7"), (None, None), ("0", "-1")]
        if kind_of(path) in (".csv", ".tsv"):
            expected.remove((None, None))
        assert read == expected, path


def test_a_list_is_several_texts() -> None:
    row = Row("here", {"a": ["x", 0], "b": " y", "c": [], "d": ["x", None], "e": [[1]]})
    assert (row.texts("a"), row.texts("b"), row.texts("c")) == (("x", "0"), (" y",), None)
    with pytest.raises(UsageError, match="here: column 'd' has an empty item"):
        row.texts("d")
    with pytest.raises(UsageError, match="here: column 'e' holds a list"):
        row.texts("e")


CSV = "a,b\nx,y\n"
LONG_LINES = (b"x" * 999 + b"\n") * 17_000
BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.csv", b"", r"a\.csv is empty; give a header"),
    "blank": ("a.csv", b"\n \n", r"a\.csv is empty"),
    "latin-1": ("a.csv", "a,b\nx,y\nnaïve,z\n".encode("latin-1"), r"a\.csv:3: byte 0xef at column 3"),
    "utf-16": ("a.csv", CSV.encode("utf-16"), r"a\.csv:1: the text is UTF-16; .*iconv -f utf-16"),
    "utf-16 be": ("a.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), r"a\.csv:1: the text is UTF-16"),
    "utf-32": ("a.csv", CSV.encode("utf-32"), r"a\.csv:1: the text is UTF-32"),
    "utf-16 unmarked": ("a.csv", CSV.encode("utf-16-le"), r"a\.csv:1: a NUL byte.*UTF-16"),
    "NUL": ("a.csv", b"a,b\nx,\0\n", r"a\.csv:2: a NUL byte"),
    "cells too many": ("a.csv", b"a,b\nx,y\n\nx,y,z\n", r"a\.csv:4: 3 cells, .* has 2 columns"),
    "cells too few": ("a.csv", b'a,b\n"x\n1",y\nx\n', r"a\.csv:4: 1 cells"),
    "open quote": ("a.csv", b'a,b\nx,"y\nz,z\n', r"a\.csv:2: not CSV"),
    "quote in quotes": ("a.csv", b'a,b\n"x"y",z\n', r"a\.csv:2: not CSV.*doubled"),
    "columns twice": ("a.csv", b"a,b,a\n1,2,3\n", r"a\.csv:1: the column 'a' is there twice"),
    "long cell": ("a.csv", b'a,b\n"' + LONG_LINES + b'",y', r"a\.csv:2: not CSV: field larger"),
    "long line": ("a.csv", b"a,b\nx," + b"x" * (17 << 20), r"a\.csv:2: a line of more than 16 MB"),
    "no JSON": ("a.jsonl", b'{"a": 1}\n{"a": ', r"a\.jsonl:2: not a JSON object"),
    "JSON twice": ("a.jsonl", b'{"a": 1, "a": 2}', r"a\.jsonl:1: .*the name 'a' is there twice"),
    "NaN": ("a.jsonl", b'{"a": NaN}', r"a\.jsonl:1: .*NaN is not JSON"),
    "deep": ("a.jsonl", b'{"a": 1}\n' + b'{"a":' * 100_000, r"a\.jsonl:2: not a JSON object"),
    "long number": ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}", r"a\.jsonl:1: not a JSON object"),
    "a list": ("a.jsonl", b'{"a": 1}\n["a"]', r"a\.jsonl:2: a JSON object is needed.* a list"),
    "array of lists": ("a.json", b'[{"a": 1}, ["a"]]', r"a\.json, row 2: a JSON object is needed"),
    "array that ends": ("a.json", b'[{"a": 1},', r"a\.json: not a JSON object"),
    "cut gzip": ("a.csv.gz", gzip.compress(os.urandom(9999).hex().encode())[:-900], "cannot be read"),
    "no gzip": ("a.csv.gz", CSV.encode(), "cannot be read"),
    "no Parquet": ("a.parquet", b"PAR1 and nothing", "cannot be read as Parquet"),
    "kind": ("a.xlsx", b"PK", "is not a table; name it .csv"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        list(read_rows(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


BAD_CELLS: dict[str, tuple[Any, str]] = {
    "surrogate": ("ok \ud800", r"row 1: column 'a' has '\\ud800' at character 4, half of a surrogate"),
    "NUL": ("a\0b", "row 1: column 'a' has a NUL character"),
    "object": ({}, "row 1: column 'a' holds an object; expected text"),
    "list": (["x"], "row 1: column 'a' holds a list; expected text"),
    "bool": (False, "row 1: column 'a' holds true or false; expected text"),
    "infinite": (float("inf"), "row 1: column 'a' holds inf; expected text or a finite number"),
    "bytes": (b"x", "row 1: column 'a' holds bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CELLS)
def test_a_cell_that_is_not_text_is_named(case: str) -> None:
    value, message = BAD_CELLS[case]
    with pytest.raises(UsageError, match=message):
        Row("row 1", {"a": value}).text("a")


def test_a_number_is_not_prose() -> None:
    row = Row("row 1", {"a": 7, "b": 0.5})
    assert (row.text("a"), row.text("b")) == ("7", "0.5")
    with pytest.raises(UsageError, match="holds the number 7; expected text"):
        row.text("a", strict=True)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.json", "a.csv.gz"])
def test_what_is_not_a_file_never_blocks(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="a FIFO"):
        list(read_rows(tmp_path / name))
    (tmp_path / "b").mkdir()
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="a folder"):
        list(read_rows(tmp_path / name))


def test_a_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"na\xefve"]).buffers())
    pq.write_table(pa.table({"a": bad}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"a\.parquet, row 2: column 'a' cannot be read.*utf-8"):
        list(read_rows(tmp_path / "a.parquet"))


def test_parquet_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="the column 'a' is there twice"):
        list(read_rows(tmp_path / "a.parquet"))


def bomb(path: Path, kind: str) -> None:
    """A small file with gigabytes in it."""
    if kind == "long text":
        pq.write_table(pa.table({"text": ["x" * (100 << 20)]}), path, compression="zstd")
    elif kind == "a long text many times":
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * 100), ["x" * (40 << 20)])
        pq.write_table(pa.table({"text": texts}), path, compression="zstd", use_dictionary=True)
    elif kind == "many rows":
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000_000), ["x" * 1000])
        pq.write_table(pa.table({"text": texts}), path, compression="zstd")
    elif kind == "another column":
        zeros = pa.array([bytes(150 << 20)])
        pq.write_table(pa.table({"text": ["fine"], "blob": zeros}), path, compression="zstd")
    else:
        with gzip.open(path, "wb", compresslevel=9) as file:
            for _ in range(150):
                file.write((b"x" * 1023 + b"\n") * 1024 if kind == "lines" else bytes(1 << 20))


READ = """
import resource, sys
from pathlib import Path
from hubel.tools.errors import UsageError
from hubel.tools.rows import read_rows
import pyarrow.parquet, pyarrow.compute
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(sum(len(row.text("text") or "") for row in read_rows(Path(sys.argv[1]), ["text"])))
except UsageError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.parquet", "long text", "column 'text' becomes 100 MB"),
        ("a.parquet", "a long text many times", "row 1: column 'text' has 40 MB"),
        ("a.parquet", "many rows", "holds more than 64 MB of text"),
        ("a.parquet", "another column", "4"),
        ("a.csv.gz", "lines", "MB of text, over 200 times"),
        ("a.csv.gz", "zeros", "a NUL byte|a line of more than 16 MB"),
    ],
)
def test_bombs_are_refused_in_little_memory(
    tmp_path: Path, name: str, kind: str, message: str
) -> None:
    path = tmp_path / name
    bomb(path, kind)
    assert path.stat().st_size < 1 << 20
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    said, megabytes = done.stdout.splitlines()
    assert any(part in said for part in message.split("|")), said
    assert int(megabytes) < 250
