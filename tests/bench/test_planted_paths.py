"""`hubel bench circuits --planted` on a tiny subject: ranks, the cache, and paths that do not count."""

import json
from pathlib import Path

import pytest
import torch

from hubel.agent.cli.main import run_command_line
from hubel.bench.planted_paths import bench_planted, planted_summary, rank_edges
from hubel.bench.result_cache import ResultCache
from hubel.tools.errors import UnavailableError
from hubel.tools.subject import Subject
from tests.support.tiny import tiny_subject


def load_again() -> Subject:
    raise UnavailableError("loaded again")


def test_planted_edges_rank_high_and_cached_rows_load_no_subject(tmp_path: Path) -> None:
    cache = ResultCache("planted-paths", "of this code", tmp_path)
    settings = ("tiny", (8.0,), ("random", "eap-ig-inputs"))
    rows = list(bench_planted(tiny_subject, *settings, cache=cache))
    assert [row.kind for row in rows] == ["copy", "relay", "match"]
    for row in rows:
        assert row.failed is None
        assert max(row.methods["eap-ig-inputs"].ranks) <= 6
        assert max(row.methods["random"].ranks) > 20
    again = list(bench_planted(load_again, *settings, cache=cache))
    assert [row.as_dict() for row in again] == [row.as_dict() for row in rows]
    summary = planted_summary(rows)
    assert summary["auroc_best"] == summary["by_method"]["eap-ig-inputs"] > 0.98
    assert set(summary["by_difficulty"]) == {"8 logits"}


def test_a_path_that_does_not_act_is_counted_as_failed(tmp_path: Path) -> None:
    """A path fainter than what the subject does on its own edges."""
    rows = list(
        bench_planted(
            tiny_subject, "tiny", (1e-6,), ("random",), cache=ResultCache("x", "code", tmp_path)
        )
    )
    failed = [row for row in rows if row.failed]
    assert failed
    assert all(row.methods == {} for row in failed)
    assert planted_summary(rows)["failed"] == len(failed)
    assert planted_summary(failed)["auroc_best"] is None


def test_tied_edges_share_their_ranks() -> None:
    possible, truth = (
        torch.ones(1, 5, dtype=torch.bool),
        torch.tensor([[True, True, False, False, False]]),
    )
    assert rank_edges(torch.zeros(1, 5), truth, possible).ranks == [3, 3]
    result = rank_edges(torch.tensor([[3.0, -1.0, 2.0, 0.0, 0.0]]), truth, possible)
    assert (result.ranks, result.precision, result.auroc) == ([1, 3], 0.5, pytest.approx(5 / 6))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["circuits", "--planted", "--trained"], "give one of them"),
        (["circuits", "--planted", "--difficulty", "easy"], "leave them out with --planted"),
        (["circuits", "--planted", "--method", "sheep"], "choose from"),
        (["null", "--planted"], "belongs to `hubel bench circuits`"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["bench", *argv]) == 2
    assert message in capsys.readouterr().err


def test_planted_paths_ends_in_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    subject = tiny_subject()
    subject.model.save_pretrained(tmp_path / "subject")
    subject.tokenizer.save_pretrained(tmp_path / "subject")
    argv = [
        "bench",
        "circuits",
        "--planted",
        "--subject",
        str(tmp_path / "subject"),
        "--method",
        "random,eap",
        "-q",
    ]
    assert run_command_line([*argv, "--json"]) == 0
    *paths, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(paths) == 9
    assert set(last["summary"]) == {"auroc_best", "by_method", "by_difficulty", "failed"}
    assert run_command_line(argv) == 0
    assert "share of its strength that each edge carries" in capsys.readouterr().out
