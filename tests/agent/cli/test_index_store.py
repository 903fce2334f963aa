"""`hubel index --store`: which layers are kept, and how a wrong value is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from tests.agent.cli.test_index_text import small_subject, texts  # noqa: F401


@pytest.mark.parametrize("value", ["foo", "1,x", "3-1"])
def test_a_wrong_value_is_refused_before_anything_is_read(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "index",
        "--subject",
        "nosuch",
        "--corpus",
        "nosuch.jsonl",
        "--out",
        str(tmp_path / "i"),
    ]
    assert run_command_line([*argv, "--store", value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--store {value!r} given; expected auto, all, none, or layers" in line
    assert not (tmp_path / "i").exists()


def test_the_size_of_the_store_is_reported(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes: dict[str, int] = {}
    for value in ("none", "1", "all"):
        argv = ["index", "--subject", small_subject, "--corpus", str(texts / "folder"), "--json"]
        assert run_command_line([*argv, "--out", str(tmp_path / value), "--store", value]) == 0
        sizes[value] = json.loads(capsys.readouterr().out)["store_bytes"]
    assert 0 == sizes["none"] < sizes["1"] < sizes["all"]
