"""Standard output that is not UTF-8, or closed: every text is written, and JSON stays JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hubel
from tests.support.processes import checkout_environment

RUNS = Path(hubel.__file__).parent / "runs"


def hubel_command(*arguments: str, encoding: str = "utf-8", shell: str = "") -> tuple[int, bytes]:
    """The status and what was written to standard output."""
    command = [sys.executable, "-m", "hubel", *arguments, "--runs", str(RUNS)]
    process = subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", *command],
        capture_output=True,
        check=False,
        env=checkout_environment() | {"PYTHONIOENCODING": encoding},
    )
    assert b"Traceback" not in process.stderr
    return process.returncode, process.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_is_written_in_any_encoding(encoding: str) -> None:
    status, text = hubel_command("show", "example", encoding=encoding)
    assert status == 0
    lines = text.decode(encoding).splitlines()
    assert sum(line.lstrip("|").startswith(("mlp.", "head.")) for line in lines) == 5
    rules = [line for line in lines if "----" in line]
    assert rules
    assert max(map(len, rules)) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_json_is_valid_in_any_encoding(encoding: str) -> None:
    _, expected = hubel_command("show", "example", "--json")
    status, text = hubel_command("show", "example", "--json", encoding=encoding)
    assert status == 0
    assert [json.loads(line) for line in text.decode(encoding).splitlines()] == [
        json.loads(line) for line in expected.decode().splitlines()
    ]


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_a_closed_standard_output_is_no_traceback(closed: str) -> None:
    assert hubel_command("show", "example", shell=closed)[0] == 0
    assert hubel_command("show", "missing", shell=closed)[0] == 2
