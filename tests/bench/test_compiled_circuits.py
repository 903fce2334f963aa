"""`hubel bench circuits` on two programs, and its AUROC against scikit-learn's."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hubel.agent.cli.main import run_command_line
from hubel.bench.compiled_circuits import bench_circuits, summary
from hubel.bench.planted_truth import auroc
from hubel.bench.result_cache import ResultCache
from hubel.tools.files.code_digest import code_digest
from hubel.tools.files.sealed_json import read_sealed, write_sealed


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_tied_scores_rank_at_chance(rows: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    value = auroc(scores[labels], scores[~labels])
    if labels.all() or not labels.any():
        assert value is None
    else:
        assert value == pytest.approx(roc_auc_score(labels, scores))
        assert auroc(0 * scores[labels], 0 * scores[~labels]) == 0.5


@pytest.mark.slow
def test_gradients_along_all_edges_find_what_single_patches_do_not() -> None:
    rows = list(
        bench_circuits(["induction", "vote"], ["hard"], ["random", "exact", "eap-ig-edges"])
    )
    induction, vote = (row.methods for row in rows)
    assert induction["exact"].auroc == 1
    assert vote["exact"].auroc is not None
    assert vote["exact"].auroc < 0.95
    for results in (induction, vote):
        assert results["eap-ig-edges"].auroc is not None
        assert results["eap-ig-edges"].auroc > 0.99
        assert results["eap-ig-edges"].f == pytest.approx(1, abs=0.1)
    best = summary(rows)
    assert (
        best["auroc_best"]
        == best["by_method"]["eap-ig-edges"]
        == best["by_difficulty"]["hard"]["eap-ig-edges"]
    )


def test_a_cached_result_is_not_computed_again(tmp_path: Path) -> None:
    """A cached result is taken as it is, and only what is missing is added."""
    cache = ResultCache("circuits", "of this code", tmp_path)
    (first,) = bench_circuits(["previous"], ["easy"], ["eap"], cache=cache)
    (kept,) = [path for path in cache.folder.iterdir() if '"eap"' in path.read_text()]
    content = read_sealed(kept)
    content["result"] |= {"precision": 0.25}
    write_sealed(kept, content)
    (again,) = bench_circuits(["previous"], ["easy"], ["eap", "random"], cache=cache)
    assert again.methods["eap"] == first.methods["eap"]._replace(precision=0.25)
    assert list(again.methods) == ["eap", "random"]
    (other,) = bench_circuits(
        ["previous"], ["easy"], ["eap"], cache=ResultCache("circuits", "of other code", tmp_path)
    )
    assert other.methods["eap"].precision == 1


def test_the_digest_of_code_changes_with_a_byte_of_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one.py").write_text("x = 1")
    before = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert code_digest(tmp_path) == before
    (tmp_path / "inner" / "one.py").write_text("x = 2")
    assert code_digest(tmp_path) != before


def test_compiled_circuits_ends_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--program",
        "previous",
        "--difficulty",
        "easy,medium",
        "--method",
        "eap,random",
        "--json",
        "--quiet",
    ]
    assert run_command_line(["bench", "circuits", *options]) == 0
    *circuits, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["circuit"] for row in circuits] == ["previous/easy/0", "previous/medium/0"]
    assert set(last["summary"]) == {"auroc_best", "by_method", "by_difficulty"}
    assert last["summary"]["auroc_best"] == last["summary"]["by_method"]["eap"]


@pytest.mark.slow
def test_the_table_names_the_hardest(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run_command_line(
            ["bench", "circuits", "--program", "previous", "--difficulty", "easy", "--quiet"]
        )
        == 0
    )
    assert "previous/easy/0" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["method", "difficulty", "program"])
def test_an_unknown_choice_is_refused_with_the_known(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["bench", "circuits", f"--{option}", "nothing"]) == 2
    assert "choose from" in capsys.readouterr().err
