"""`hubel eval` on tables of explanations: on the text of a run or of an index, and unusable tables."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.reviews import Reviews
from hubel.agent.runlog.views import target_rows
from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.index import build_index
from hubel.tools.subject.subject import Subject
from tests.agent.rescoring.conftest import eval_rows, write_csv
from tests.support.tiny import WORDS


def test_a_table_is_scored_on_a_runs_text(
    run: Path, tmp_path: Path, capsys, tiny: Subject, loading
) -> None:
    stored = [r for r in target_rows(run) if r["predicate"]]
    table = write_csv(
        tmp_path / "mine.csv",
        [(r["target"], r["explanation"] or "", r["predicate"] or "") for r in stored],
    )
    evaluated = eval_rows(
        capsys, str(table), "--run", "run", "--runs", str(run.parent), "--scorers", "simulation"
    )
    for new, old in zip(evaluated, stored, strict=True):
        new_values = {(s["split"], s["text"]): s["value"] for s in new["scores"]}
        simulation = [score for score in old["scores"] if score["scorer"] == "simulation"]
        assert new_values == {(s["split"], s["text"]): s["value"] for s in simulation}
        assert new["verdict"] is None


def test_words_alone_are_scored_by_a_judge_only(run: Path, tmp_path: Path, capsys, loading) -> None:
    table = tmp_path / "words.jsonl"
    table.write_text(json.dumps({"unit": "mlp.0.0", "explanation": "the word cat"}) + "\n")
    args = [
        str(table),
        "--run",
        "run",
        "--runs",
        str(run.parent),
        "--scorers",
        "simulation,detection,embedding",
    ]
    (row,) = eval_rows(capsys, *args)
    assert {s["scorer"] for s in row["scores"]} <= {"embedding"}
    assert all(
        "words only" in why
        for name, why in row["skipped"].items()
        if not name.startswith("embedding")
    )
    (row,) = eval_rows(capsys, *args, "--judge", "constant:no")
    assert {s["value"] for s in row["scores"] if s["scorer"] == "detection"} == {0.5}


def test_a_table_is_scored_on_an_index(tiny_index: Path, tmp_path: Path, capsys, loading) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = tmp_path / "t.parquet"
    columns = {
        "address": ["mlp.1.3", "mlp.1.4-"],
        "text": ["cat", "dog"],
        "predicate": ['strongly token(" cat")', None],
    }
    pq.write_table(pa.table(columns), table)
    args = [
        str(table),
        "--index",
        str(tiny_index),
        "--runs",
        str(tmp_path / "runs"),
        "--scorers",
        "simulation,embedding",
    ]
    evaluated = eval_rows(capsys, *args)
    assert [r["target"] for r in evaluated] == ["mlp.1.3", "mlp.1.4-"]
    assert {s["scorer"] for s in evaluated[0]["scores"]} >= {"simulation"}
    assert len(loading) <= 1


def test_a_table_is_scored_from_an_indexs_store(
    tiny: Subject, tmp_path: Path, capsys, loading
) -> None:
    words, rng = WORDS.split(), random.Random(0)
    documents = [Document(f"d{n}", " ".join(rng.choices(words, k=60))) for n in range(60)]
    corpus = corpus_from_documents("made", documents, "0" * 64)
    build_index(tiny, corpus, tmp_path / "index", store="all")
    table = write_csv(tmp_path / "t.csv", [("mlp.1.3", "cat", 'strongly token(" cat")')])

    def fail(*_args: Any) -> None:
        raise AssertionError("the subject was run")

    handle = tiny.parts.layers[0].whole.register_forward_hook(fail)
    try:
        arguments = (str(table), "--index", str(tmp_path / "index"), "--scorers", "simulation")
        (row,) = eval_rows(capsys, *arguments, "--runs", str(tmp_path / "runs"))
    finally:
        handle.remove()
    assert {s["scorer"] for s in row["scores"]} == {"simulation"}


def test_a_new_explanation_after_viewing_is_kept_from_holdout(
    run: Path, tmp_path: Path, capsys, loading
) -> None:
    target = next(r["target"] for r in target_rows(run) if r["predicate"])
    Reviews(run).write("holdout_opened", target, {"name": "Ada"})
    table = write_csv(tmp_path / "t.csv", [(target, "cat", 'strongly token(" cat")')])
    (row,) = eval_rows(
        capsys, str(table), "--run", "run", "--runs", str(run.parent), "--scorers", "simulation"
    )
    assert row["after_viewing"] is True
    assert {s["split"] for s in row["scores"]} == {"select"}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ([("mlp.0.99", "cat", "")], "t.csv:2 (mlp.0.99)"),
        ([("mlp.0.0", "", "")], "the text is empty"),
        ([("mlp.0.0", "  ", "")], "the text is empty"),
        ([("nonsense", "cat", "")], "t.csv:2 (nonsense)"),
        ([("mlp.0.0", "cat", "nonsense((")], "t.csv:2 (mlp.0.0)"),
        ([("mlp.0.0", "cat", ""), ("mlp.0.0", "dog", "")], "more than once"),
        ([], "has no rows"),
        ([("", "cat", "")], "t.csv:2 (no address)"),
    ],
)
def test_bad_tables_say_which_row_and_why(
    tiny_index: Path, tmp_path: Path, capsys, loading, table: list[tuple[str, ...]], problem: str
) -> None:
    path = write_csv(tmp_path / "t.csv", table)
    assert (
        run_command_line(["eval", str(path), "--index", str(tiny_index), "--runs", str(tmp_path)])
        == 2
    )
    assert problem in capsys.readouterr().err
    assert loading == []


def test_the_page_and_the_tables_show_coverage_and_comparisons(
    run: Path, tmp_path: Path, capsys, loading
) -> None:
    stored = [r for r in target_rows(run) if r["predicate"]]
    worse = write_csv(
        tmp_path / "worse.csv",
        [(r["target"], "<b>cat</b>", 'strongly token(" cat")') for r in stored],
    )
    page = tmp_path / "page.html"
    argv = [
        "eval",
        str(worse),
        "--run",
        "run",
        "--runs",
        str(run.parent),
        "--html",
        str(page),
        "-q",
    ]
    assert run_command_line([*argv, "--scorers", "simulation,detection"]) == 0
    tables, html = capsys.readouterr().out, page.read_text()
    assert f"of {len(stored)} targets" in tables
    assert "<dd>predicate: 0 calls, 0 prompt tokens</dd>" in html
    assert "<b>cat</b>" not in html
    assert "&lt;b&gt;cat" in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<svg" in html
