"""Every byte of a recorded file is checked before it is used, and only what is read is hashed."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from hubel.tools.errors import CorruptError
from hubel.tools.files import checked_file
from hubel.tools.files.checked_file import CheckedFile, FileHashes, check_file
from hubel.tools.files.sealed_json import read_sealed, write_sealed


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 20 bytes: two blocks of 8, and one of 4."""
    monkeypatch.setattr(checked_file, "BLOCK", 8)
    (tmp_path / "f").write_bytes(bytes(range(20)))
    return tmp_path / "f"


def test_bytes_are_those_of_the_file(path: Path) -> None:
    hashes = FileHashes.of(path)
    assert (hashes.bytes, len(hashes.blocks)) == (20, 3)
    assert FileHashes.from_json(json.loads(json.dumps(hashes.to_json()))) == hashes
    with CheckedFile(path, hashes, "") as file, path.open("rb") as plain:
        for offset, size in ((0, 3), (7, 2), (8, 8), (15, 5), (19, 9), (25, 1), (0, -1)):
            file.seek(offset)
            plain.seek(offset)
            assert file.read(size) == plain.read(size)
        file.seek(-4, os.SEEK_END)
        assert (file.tell(), file.read(2), file.tell()) == (16, b"\x10\x11", 18)


def test_a_changed_byte_is_noticed_when_its_block_is_read(path: Path) -> None:
    hashes = FileHashes.of(path)
    path.write_bytes(bytes([*range(9), 99, *range(10, 20)]))
    with CheckedFile(path, hashes, "make it again") as file:
        assert file.read(8) == bytes(range(8))
        with pytest.raises(CorruptError, match=r"f is damaged \(bytes 8 to 16 .*make it again"):
            file.read(1)
        file.seek(16)
        assert file.read() == bytes(range(16, 20))
    with pytest.raises(CorruptError, match="is damaged"):
        check_file(path, hashes, "")


def test_other_sizes_and_no_file_are_refused(path: Path) -> None:
    hashes = FileHashes.of(path)
    path.write_bytes(b"short")
    with pytest.raises(CorruptError, match="has 5 bytes, but 20 were written"):
        CheckedFile(path, hashes, "")
    path.unlink()
    with pytest.raises(CorruptError, match="is missing"):
        CheckedFile(path, hashes, "")
    os.mkfifo(path)
    with pytest.raises(CorruptError, match="FIFO"):
        CheckedFile(path, hashes, "")


def test_every_flip_in_a_sealed_object_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    content = {"a": 1.5, "b": ["x", {"10": None, "9": True}], "c": "é\n"}
    path = tmp_path / "o.json"
    write_sealed(path, content)
    assert read_sealed(path) == content
    whole, noticed = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.Random(place).randrange(8)
        path.write_bytes(damaged)
        try:
            assert read_sealed(path) == content
        except ValueError:
            noticed += 1
    assert noticed > 0.7 * len(whole)  # the rest is white space
