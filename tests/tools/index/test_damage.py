"""One changed bit in any file of an index is noticed in one line, or nothing that is read changes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.tools.corpus import SPLITS
from hubel.tools.errors import CorruptError
from hubel.tools.index import Index, Progress
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject

from .test_resume import build, files

UNITS = [Unit("mlp", 1, 5), Unit("head", 2, 3)]


def read_everything(folder: Path) -> str:
    """All that can be looked up, as text."""
    index = Index.open(folder)
    seen: list[Any] = [vars(index.summary), index.vocabulary]
    for split in SPLITS:
        reader = reader_of(index, split)
        contexts = reader.contexts()
        seen += [contexts.tokens.tolist(), contexts.length.tolist(), contexts.documents]
        for unit in UNITS:
            seen.append(reader.statistics(unit))
            seen += [reader.exemplars(unit, "+", kind) for kind in ("top", "quantile", "random")]
    return repr(seen)


def flip(path: Path, rng: random.Random) -> bytes:
    """Change one bit of a file; returns what it was."""
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(damaged)
    return content


def test_a_flipped_bit_is_noticed_or_harmless(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(index.path, folder)
    expected, rng, noticed = read_everything(folder), random.Random(0), 0
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(paths) > 20
    for path in paths * 4:
        whole = flip(path, rng)
        seen, error = outcome(lambda: read_everything(folder))
        path.write_bytes(whole)
        if error:
            noticed += 1
            assert path.name in error
            assert "build" in error
        else:
            assert seen == expected, path
    assert noticed > len(paths)
    assert read_everything(folder) == expected


def outcome(read: Callable[[], str]) -> tuple[str, str]:
    """What was read, and the message of a CorruptError, which is one line."""
    try:
        return read(), ""
    except CorruptError as error:
        message = str(error)
    assert "\n" not in message
    return "", message


def old_index(folder: Path) -> None:
    """Make an index one of format 1, which had no hashes."""
    content = json.loads((folder / "index.json").read_text())
    del content["files"], content["sha256"]
    (folder / "index.json").write_text(json.dumps(content | {"format": 1}, indent=1))


def test_an_index_without_hashes_stays_readable_and_says_so(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(index.path, folder)
    expected = read_everything(folder)
    assert Index.open(folder).note == ""
    old_index(folder)
    assert read_everything(folder) == expected
    assert "not recorded" in Index.open(folder).note


def test_a_damaged_index_without_hashes_is_one_line(index: Index, tmp_path: Path) -> None:
    folder, rng = tmp_path / "copy", random.Random(1)
    shutil.copytree(index.path, folder)
    old_index(folder)
    for path in sorted(folder.rglob("*.parquet")):
        whole = path.read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            _, error = outcome(lambda: read_everything(folder))
            # exemplars of other sites are not looked up
            assert path.name in error or path.parent.name == "exemplars"
        for _ in range(2):  # a flip may go unnoticed here, but never ends in another error
            path.write_bytes(whole)
            flip(path, rng)
            outcome(lambda: read_everything(folder))
        path.write_bytes(whole)


def test_a_repeated_build_keeps_an_index_without_hashes(tiny: Subject, tmp_path: Path) -> None:
    build(tiny, tmp_path / "i")
    old_index(tmp_path / "i")
    before = files(tmp_path / "i")
    build(tiny, tmp_path / "i")
    assert files(tmp_path / "i") == before
    assert Index.open(tmp_path / "i").note


def interrupted_build(subject: Subject, folder: Path, after: int) -> None:
    """Stop a build after so many tokens."""

    def interrupt(progress: Progress) -> None:
        if progress.done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(subject, folder, interrupt)


@pytest.mark.parametrize(("after", "has"), [(2500, "work/*/checkpoint-*"), (4000, "explore")])
def test_a_flip_in_an_unfinished_index_is_noticed_or_harmless(
    tiny: Subject, tmp_path: Path, after: int, has: str
) -> None:
    build(tiny, tmp_path / "whole")
    expected = without_times(read_everything(tmp_path / "whole"))
    begun, copy, rng, noticed = tmp_path / "begun", tmp_path / "copy", random.Random(2), 0
    interrupted_build(tiny, begun, after)
    assert list(begun.glob(has))
    paths = [path for path in sorted(begun.rglob("*")) if path.is_file() and path.stat().st_size]
    for path in paths:
        shutil.copytree(begun, copy)
        flip(copy / path.relative_to(begun), rng)
        seen, error = outcome(lambda: build_and_read(tiny, copy))
        noticed += bool(error)
        assert error or without_times(seen) == expected, path
        shutil.rmtree(copy)
    assert noticed > 5


def build_and_read(subject: Subject, folder: Path) -> str:
    build(subject, folder)
    return read_everything(folder)


def without_times(text: str) -> str:
    """Without the summary, which holds times."""
    return text.partition("}")[2]


def test_sizes_and_hashes_are_those_of_the_files(index: Index) -> None:
    import hashlib

    content = json.loads((index.path / "index.json").read_text())
    recorded = {name: (f["bytes"], f["sha256"]) for name, f in content["files"].items()}
    assert recorded == {
        name: (len(data), hashlib.sha256(data).hexdigest())
        for name, data in files(index.path).items()
    }
    assert np.sum([size for size, _ in recorded.values()]) == index.summary.bytes
