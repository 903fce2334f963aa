from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hubel.tools.files import file_sha256, remembered
from hubel.tools.files.remembered import TOO_FRESH, read_note, remembered_sha256, write_note

ABOUT = {"weights": "ab", "torch": "2"}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settle() -> None:
    """Wait until a file counts as unchanged for long enough."""
    time.sleep(2 * TOO_FRESH / 1e9)


def test_a_fact_is_read_for_what_it_is_about_only() -> None:
    assert read_note("tests", ABOUT) is None
    write_note("tests", ABOUT, "passed")
    assert read_note("tests", dict(reversed(ABOUT.items()))) == "passed"
    assert read_note("tests", ABOUT | {"torch": "3"}) is None
    assert read_note("others", ABOUT) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b"NaN",
        b"[" * 100_000,
        b'{"sha256": 1e999}',
        bytes(1 << 20),
    ],
)
def test_a_damaged_note_is_none(cache: Path, content: bytes) -> None:
    write_note("tests", ABOUT, "passed")
    (note,) = (cache / "tests").iterdir()
    note.write_bytes(content)
    assert read_note("tests", ABOUT) is None
    write_note("tests", ABOUT, "passed")
    assert read_note("tests", ABOUT) == "passed"


def test_the_note_of_another_thing_under_this_name_is_none(cache: Path) -> None:
    write_note("tests", ABOUT, "passed")
    write_note("others", {"a": 1}, "passed")
    (note,), (other,) = (cache / "tests").iterdir(), (cache / "others").iterdir()
    note.write_bytes(other.read_bytes())
    assert read_note("tests", ABOUT) is None


def test_what_is_no_file_is_none_and_stays(cache: Path) -> None:
    write_note("tests", ABOUT, "passed")
    (note,) = (cache / "tests").iterdir()
    note.unlink()
    os.mkfifo(note)
    assert read_note("tests", ABOUT) is None  # and does not wait
    note.unlink()
    note.mkdir()
    write_note("tests", ABOUT, "passed")
    assert read_note("tests", ABOUT) is None
    note.rmdir()
    (cache / "tests").rmdir()
    (cache / "tests").write_text("in the way")
    write_note("tests", ABOUT, "passed")
    assert read_note("tests", ABOUT) is None


def test_a_file_is_hashed_again_when_something_has_written_to_it(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    settle()
    first, status = remembered_sha256(file), file.stat()
    file.write_bytes(b"Weights")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert remembered_sha256(file) == file_sha256(file) != first


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    settle()
    first = remembered_sha256(file)
    monkeypatch.setattr(remembered, "file_sha256", None)
    assert remembered_sha256(file) == first


def test_the_hash_of_a_file_that_was_just_written_is_not_kept(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    remembered_sha256(tmp_path / "weights")
    assert not (cache / "hashes").exists()
