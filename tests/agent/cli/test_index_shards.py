"""`hubel index --shard` and `hubel index merge`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.bench.soak.kill_shards import index_files
from tests.agent.cli.test_index_text import small_subject, texts  # noqa: F401


def test_shards_by_hand_are_the_index_of_one_process(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = ["--subject", small_subject, "--corpus", str(texts / "folder"), "--store", "all"]
    parts = [str(tmp_path / f"part-{number}") for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        argv = ["index", "--shard", f"{number}/2", *source, "--out", part, "--json"]
        assert run_command_line(argv) == 0
        assert json.loads(capsys.readouterr().out)["shard"] == f"{number}/2"
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    assert run_command_line(["index", *source, "--out", str(whole)]) == 0
    capsys.readouterr()
    assert run_command_line(["index", "merge", *parts, "--out", str(merged), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["shards"] == 2
    assert row["store_bytes"] > 0
    assert index_files(merged) == index_files(whole)
    assert run_command_line(["index", "merge", parts[1], "--out", str(tmp_path / "x")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "shard 1 of 2 is missing" in line


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--shard", "0/4", "--subject", "s", "--corpus", "c", "--out", "o"], "such as 3/16"),
        (["--shard", "1/4"], "required: --subject, --corpus, --out"),
        (["merge", "--out", "o"], "required: PART"),
        (["merge", "p", "--out", "o", "--subject", "s"], "--subject belongs to `hubel index`"),
    ],
)
def test_wrong_use_is_refused_in_one_line(
    argv: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["index", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
