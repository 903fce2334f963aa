"""Files of strangers: what is opened, what is refused, and that nothing waits."""

import os
from pathlib import Path

import pytest

from hubel.tools.files.regular_file import (
    IrregularFileError,
    check_regular,
    open_regular,
    read_regular,
)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a", inside=tmp_path, max_bytes=3) as file:
        assert file.read() == b"abc"
    assert read_regular(tmp_path / "a", 3) == b"abc"


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for refuse in (open_regular, check_regular):
        with pytest.raises(IrregularFileError, match="FIFO"):
            refuse(tmp_path / "fifo")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IrregularFileError, match="a folder"):
        open_regular(tmp_path)


def test_a_link_is_followed_only_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "run" / "own").write_bytes(b"own")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run" / "own")
    (tmp_path / "run" / "out").symlink_to(tmp_path / "secret")
    assert read_regular(tmp_path / "run" / "link", 10, inside=tmp_path / "run") == b"own"
    with pytest.raises(IrregularFileError, match="leads out"):
        open_regular(tmp_path / "run" / "out", inside=tmp_path / "run")
    with pytest.raises(IrregularFileError, match="leads out"):
        open_regular(tmp_path / "run" / ".." / "secret", inside=tmp_path / "run")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcd")
    for refuse in (open_regular, check_regular):
        with pytest.raises(IrregularFileError, match="larger than the 3 bytes"):
            refuse(tmp_path / "a", max_bytes=3)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "absent")
