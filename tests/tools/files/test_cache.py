from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubel.tools.errors import UnavailableError
from hubel.tools.files import atomic_file, atomic_folder, cache_dir, file_sha256, locked, writing
from tests.support.processes import checkout_environment


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("HUBEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "hubel"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "hubel"


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model"
    for content in ("one", "two"):
        with atomic_folder(path) as folder:
            (folder / "a.txt").write_text(content)
            assert not path.exists() or (path / "a.txt").read_text() == "one"
        assert (path / "a.txt").read_text() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_what_was(tmp_path: Path, error: type[BaseException]) -> None:
    path, file = tmp_path / "model", tmp_path / "file"
    path.mkdir()
    (path / "old").touch()

    def fill_folder() -> None:
        with atomic_folder(path) as folder:
            (folder / "new").touch()
            raise error

    def fill_file() -> None:
        with atomic_file(file) as part:
            part.write_text("half")
            raise error

    for fill in (fill_folder, fill_file):
        with pytest.raises(error):
            fill()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["model", "old"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "model"
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom hubel.tools.files import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(path)], env=checkout_environment(), check=False
    )
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_folder(path) as folder:
        (folder / "whole").touch()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["model", "whole"]


@pytest.mark.parametrize(
    ("code", "what"),
    [(errno.ENOSPC, "make room"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")],
)
def test_errors_of_the_disk_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, what: str
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for folder, advises in ((tmp_path / "cache", True), (tmp_path, False)):
        with pytest.raises(UnavailableError, match=what) as error, atomic_file(folder / "file"):
            raise OSError(code, os.strerror(code))
        assert ("HUBEL_CACHE" in str(error.value)) == advises
        assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["cache"]


def test_a_full_disk_in_the_words_of_a_library_says_what_to_do(tmp_path: Path) -> None:
    words = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(UnavailableError, match="make room"), atomic_file(tmp_path / "file"):
        raise RuntimeError(words)
    with pytest.raises(RuntimeError, match="something else"), atomic_file(tmp_path / "file"):
        raise RuntimeError("something else")
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UnavailableError, match="move it away"),
        atomic_file(tmp_path / "file" / "inner"),
    ):
        pass
    with pytest.raises(UnavailableError, match="move it away"), locked(tmp_path / "file" / "inner"):
        pass


def test_other_errors_of_the_system_pass() -> None:
    with pytest.raises(FileNotFoundError), writing(Path("x")):
        raise FileNotFoundError(errno.ENOENT, "gone")


def test_a_lock_lets_one_process_at_a_time_fill_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "made"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom hubel.tools.files import atomic_file, locked\n"
        "path = Path(sys.argv[1])\n"
        "with locked(path):\n    if not path.exists():\n"
        "        with atomic_file(path) as part:\n            time.sleep(0.3)\n            part.write_text('x')\n"
        "            print('made')"
    )
    command = [sys.executable, "-c", program, str(path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=checkout_environment())
        for _ in range(3)
    ]
    assert sorted(process.communicate()[0] for process in running) == ["", "", "made\n"]


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 999)
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 999).hexdigest()
