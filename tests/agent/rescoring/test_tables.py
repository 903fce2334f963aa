"""Tables of explanations: the same from every format, and files that are not tables."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubel.agent.rescoring.sources import open_source
from hubel.agent.rescoring.tables import read_table
from hubel.tools.errors import UsageError

ROWS = [
    {"unit": "mlp.0.1", "description": "fires on , and ;", "predicate": None},
    {"unit": "mlp.0.2", "description": "0", "predicate": 'strongly words("cat")'},
]
LINES = 'unit{d}description{d}predicate\nmlp.0.1{d}"fires on , and ;"{d}\nmlp.0.2{d}0{d}"strongly words(""cat"")"\n'


def files(folder: Path) -> list[Path]:
    for number, delimiter in enumerate(",;\t|"):
        text = LINES.replace("{d}", delimiter).replace("\n", ("\n", "\r\n", "\r", "\n")[number])
        (folder / f"{number}.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (folder / "a.tsv").write_text(LINES.replace("{d}", "\t"))
    (folder / "a.csv.gz").write_bytes(gzip.compress(LINES.replace("{d}", ",").encode()))
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (folder / "b.jsonl").write_text(
        "\n".join(map(json.dumps, [ROWS[0], ROWS[1] | {"description": 0}]))
    )
    (folder / "a.json").write_text(json.dumps(ROWS, indent=1))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet")
    return sorted(folder.iterdir())


def test_every_format_says_the_same(tmp_path: Path) -> None:
    paths = files(tmp_path)
    assert len(paths) == 10
    for path in paths:
        explanations = [(e.target, e.sentence, e.predicate) for e in read_table(path)]
        expected = [
            ("mlp.0.1", "fires on , and ;", None),
            ("mlp.0.2", "0", 'strongly words("cat")'),
        ]
        assert explanations == expected, path


def test_a_text_that_is_a_predicate_counts_as_both(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    predicate, almost = 'strongly words("cat")', 'strongly words("cat'
    rows = [{"target": f"mlp.0.{i}", "text": text} for i, text in enumerate((predicate, almost))]
    path.write_text("\n".join(map(json.dumps, rows)))
    claims = [(e.sentence, e.predicate) for e in read_table(path)]
    assert claims == [(predicate, predicate), (almost, None)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "target,text\n", "has no rows"),
        ("a.csv", "address,words\nmlp.0.1,x", "no column 'text' or 'explanation'.*it has address, words"),
        ("a.csv", "target,text\nmlp.0.1,x\nmlp.0.2\n", r"a\.csv:3: 1 cells, but the header has 2"),
        ("a.csv", "target,text\nmlp.0.1,x\nmlp.0.2,\n", r"a\.csv:3 \(mlp.0.2\): the text is empty"),
        ("a.csv", 'target,text\nmlp.0.1,"x\ny"\n,z\n', r"a\.csv:4 \(no address\)"),
        ("a.jsonl", '{"target": "mlp.0.1", "text": null}', r"a\.jsonl:1 \(mlp.0.1\): the text is empty"),
        ("a.jsonl", '{"target": "mlp.0.1", "text": ["x"]}', r"a\.jsonl:1: column 'text' holds a list"),
        ("a.jsonl", '{"target": "mlp.0.1", "text": "\\ud800"}', r"a\.jsonl:1: column 'text' has '\\ud800'"),
        ("a.json", '{"modelId": "gpt2", "layer": "6-mlp", "index": "5"}', "is an export of Neuronpedia: .*mlp.6.650"),
        ("a.jsonl", '{"modelId": "gpt2", "layer": 6, "index": 5, "description": "x"}', "Neuronpedia"),
        ("a.json", '[{"str_tokens": ["a"], "activating": true, "distance": 1}]', "is scores of delphi"),
        ("a.json", '{"neuron_id": {},\n"scored_explanations": []}', "OpenAI's neuron explainer"),
        ("a.json", '["an explanation"]', r"a\.json, row 1: a JSON object is needed; the row is a str"),
        ("a.txt", '"an explanation"', r"a\.txt' is neither a run nor a table; name a table \.csv"),
        ("a.xlsx", "PK", r"a\.xlsx' is neither a run nor a table"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("run", ["run", None])
def test_what_cannot_be_used_is_named(
    tmp_path: Path, finished: Path, name: str, content: str, message: str, run: Any
) -> None:
    (tmp_path / name).write_text(content)
    if run is None and not name.endswith((".txt", ".xlsx")):
        with pytest.raises(UsageError, match=message):
            read_table(tmp_path / name)
    else:
        with pytest.raises(UsageError, match=message):
            open_source(str(tmp_path / name), finished.parent, run=run)


def test_a_table_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.tools.rows.table.MAX_ROWS", 1)
    for path in files(tmp_path):
        with pytest.raises(UsageError, match="more than 1 rows; give a smaller table"):
            read_table(path)


def test_a_table_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="a FIFO"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="no table at"):
        read_table(tmp_path / "b.csv")
