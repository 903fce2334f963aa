"""A user's own pairs: the same rows from every format, and what is said of those that do not fit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubel.tools.circuits.tasks import Task, find_task
from hubel.tools.circuits.tasks.prepared import prepare
from hubel.tools.circuits.tasks.task import Part, first_examples
from hubel.tools.errors import UsageError
from tests.support.tiny import tiny_subject

ROWS: list[dict[str, Any]] = [
    {
        "clean": f"the cat {n}",
        "corrupted": f"the dog {n}",
        "answer": " red",
        "foil": [" blue", " not"],
    }
    for n in range(30)
]


def write_delimited(path: Path, delimiter: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        table = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)
        table.writerow(ROWS[0])
        table.writerows([*list(row.values())[:3], "|".join(row["foil"])] for row in ROWS)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def pairs_of(task: Task) -> list[Any]:
    parts = [first_examples(task, part, 50) for part in get_args(Part)]
    assert [len(part) for part in parts] == [15, 15]
    return parts


def test_every_format_says_the_same(tmp_path: Path) -> None:
    expected = pairs_of(find_task(write(tmp_path / "own.jsonl", ROWS)))
    assert expected[0][0].pair.foil == (" blue", " not")
    for number, delimiter in enumerate(",;\t|"):
        place = tmp_path / str(number)
        place.mkdir()
        write_delimited(place / "own.csv", delimiter, "utf-8-sig")
        assert pairs_of(find_task(str(place / "own.csv"))) == expected
    write_delimited(tmp_path / "own.tsv", "\t")
    (tmp_path / "own.json").write_text(json.dumps(ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "own.parquet")
    for name in ("own.tsv", "own.json", "own.parquet"):
        assert pairs_of(find_task(str(tmp_path / name))) == expected


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", r"own\.csv:1: the text is UTF-16; expected UTF-8"),
        ("latin-1", r"own\.csv:32: byte 0xef at column 14 is not UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, encoding: str, message: str) -> None:
    write_delimited(tmp_path / "own.csv", encoding=encoding)
    with (tmp_path / "own.csv").open("a", encoding=encoding.replace("16", "16-le")) as file:
        file.write("the cat is na\xefve,the dog is,  red, blue\n")
    with pytest.raises(UsageError, match=message):
        find_task(str(tmp_path / "own.csv"))


@pytest.mark.parametrize("zero", [0, "0", [0], 0.0])
def test_zero_is_an_answer(tmp_path: Path, zero: Any) -> None:
    rows = [row | {"answer": zero, "foil": 1} for row in ROWS]
    example = first_examples(find_task(write(tmp_path / "own.jsonl", rows)), "discovery", 1)[0]
    assert example.pair.answer == (str(zero) if isinstance(zero, float) else "0",)
    assert example.pair.foil == ("1",)


def test_zero_is_an_answer_in_parquet_and_csv(tmp_path: Path) -> None:
    rows = [row | {"answer": 0, "foil": 1} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    lines = [",".join(map(str, row.values())) for row in rows]
    (tmp_path / "own.csv").write_text("\n".join([",".join(ROWS[0]), *lines]))
    for name in ("own.parquet", "own.csv"):
        example = first_examples(find_task(str(tmp_path / name)), "discovery", 1)[0]
        assert (example.pair.answer, example.pair.foil) == (("0",), ("1",))


def test_repeated_rows_are_counted(tmp_path: Path) -> None:
    other = ROWS[3] | {"corrupted": "the fox 3"}
    task = find_task(write(tmp_path / "own.jsonl", [*ROWS, ROWS[0], ROWS[1], other]))
    assert task.left_out == {
        "an earlier row is the same": 2,
        "an earlier row has its clean prompt": 1,
    }
    pairs_of(task)
    prepared = prepare(tiny_subject(), task, first_examples(task, "discovery", 50), 50)
    assert len(prepared) == 15
    assert prepared.left_out == task.left_out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:5], "3 prompts for discovery; give at least 12"),
        ([*ROWS[:12], *ROWS[:12]], "6 prompts for discovery.*12 rows left out: an earlier row"),
        ([*ROWS, {**ROWS[0], "answer": ""}], r"own\.jsonl:31: no 'answer'"),
        ([{**ROWS[0], "answer": None}, *ROWS], r"own\.jsonl:1: no 'answer'"),
        ([{"clean": "x"}, *ROWS], r"own\.jsonl:1: no 'corrupted'; give .* \(the row has clean\)"),
        ([{**ROWS[0], "answer": []}, *ROWS], r"own\.jsonl:1: no 'answer'"),
        ([{**ROWS[0], "answer": " red|"}, *ROWS], r"own\.jsonl:1: an empty answer in ' red\|'"),
        (
            [{**ROWS[0], "answer": True}, *ROWS],
            r"own\.jsonl:1: column 'answer' holds true or false",
        ),
        ([{**ROWS[0], "clean": "\ud800"}, *ROWS], r"own\.jsonl:1: column 'clean' has '\\ud800'"),
        ([{**ROWS[0], "foil": " red"}, *ROWS], "must differ"),
        ([{**ROWS[0], "part": "test"}, *ROWS], "expected discovery or heldout"),
        ([{**ROWS[0], "part": "heldout"}, *ROWS[:26]], r"own\.jsonl:2: .* in both parts, see .*:1"),
    ],
)
def test_a_users_file_is_checked_before_a_model_is_loaded(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_task(write(tmp_path / "own.jsonl", rows))
