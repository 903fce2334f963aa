"""Runs and tables as sources of explanations."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.rescoring.sources import open_source
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import UsageError


def table(folder: Path, *targets: str) -> str:
    path = folder / "mine.csv"
    lines = [f"{target},it fires on {number}" for number, target in enumerate(targets)]
    path.write_text("\n".join(["target,text", *lines]), encoding="utf-8")
    return str(path)


def test_a_run_brings_its_explanations_and_all_its_rows(finished: Path) -> None:
    source = open_source("run", finished.parent)
    stored = target_rows(finished)
    assert [row["target"] for row in source.rows] == [row["target"] for row in stored]
    explained = [row["target"] for row in stored if row["explanation"]]
    assert [e.target for e in source.explanations] == explained
    assert (source.is_run, source.folder) == (True, finished)


def test_a_table_on_a_run_has_the_runs_activations_and_its_own_words(
    finished: Path, tmp_path: Path
) -> None:
    target = target_rows(finished)[0]["target"]
    source = open_source(table(tmp_path, target), finished.parent, run="run")
    assert [e.sentence for e in source.explanations] == ["it fires on 0"]
    assert (source.folder, source.is_run, source.rows) == (finished, False, ())


def test_a_table_on_an_index_has_a_folder_that_depends_on_its_targets(
    tiny_index: Path, tmp_path: Path
) -> None:
    folders = {
        open_source(table(tmp_path, *targets), tmp_path, index=tiny_index).folder
        for targets in (["mlp.0.0"], ["mlp.0.1"], ["mlp.0.0", "mlp.0.1"], ["mlp.0.0"])
    }
    assert len(folders) == 3


def test_wrong_use_says_what_is_wrong(finished: Path, tiny_index: Path, tmp_path: Path) -> None:
    runs = finished.parent
    with pytest.raises(UsageError, match="'run' is a run itself"):
        open_source("run", runs, run="run")
    with pytest.raises(UsageError, match="with --run RUN or with --index I"):
        open_source(table(tmp_path, "mlp.0.0"), runs)
    with pytest.raises(UsageError, match="with --run RUN or with --index I"):
        open_source(table(tmp_path, "mlp.0.0"), runs, run="run", index=tiny_index)
    with pytest.raises(UsageError, match=r"mine\.csv:2 \(mlp.1.0\): run has no activations of it"):
        open_source(table(tmp_path, "mlp.1.0"), runs, run="run")
    with pytest.raises(UsageError, match=r"mine\.csv:3 \(mlp.99.0\)"):
        open_source(table(tmp_path, "mlp.0.0", "mlp.99.0"), runs, index=tiny_index)
    with pytest.raises(UsageError, match="more than once"):
        open_source(table(tmp_path, "mlp.0.0", "mlp.0.0"), runs, index=tiny_index)
