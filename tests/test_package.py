"""The wheel holds everything, and runs from an environment that holds nothing of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import hubel
from tests.support.processes import checkout_environment

ROOT = Path(hubel.__file__).parent
ROOMS = ("agent", "bench", "studies", "tools", "evals", "prompts")
AT_ROOT = ("__init__.py", "__main__.py", "py.typed", "constraints.txt")
CLUTTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed; the checkout is not on its path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that a build folder of the checkout can neither help nor be left behind."""
    copy = tmp_path_factory.mktemp("source")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=CLUTTER)
    for name in (*AT_ROOT, "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy, cwd=copy)
    (built,) = out.glob("hubel-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel, which then sees the dependencies that are installed already."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder.parent)
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder.parent
    ).strip()
    Path(site, "installed_already.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: Path) -> None:
    packed = {
        name.removeprefix("hubel/")
        for name in zipfile.ZipFile(wheel).namelist()
        if name.startswith("hubel/")
    }
    files = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert files | set(AT_ROOT) == packed


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == hubel.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert (
        "Permission is hereby granted"
        in archive.read(name.replace("METADATA", "licenses/LICENSE")).decode()
    )


@pytest.mark.slow
def test_the_command_runs_from_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    wanted = f"hubel {hubel.__version__}\n"
    assert run(environment / "bin" / "hubel", "--version", cwd=tmp_path) == wanted
    assert run(environment / "bin" / "python", "-m", "hubel", "--version", cwd=tmp_path) == wanted
    where = run(
        environment / "bin" / "python", "-c", "import hubel; print(hubel.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(environment)


@pytest.mark.slow
def test_every_module_imports_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil, hubel\n"
        "for module in pkgutil.walk_packages(hubel.__path__, 'hubel.'):\n"
        "    if module.name != 'hubel.__main__': importlib.import_module(module.name); print(module.name)"
    )
    imported = run(environment / "bin" / "python", "-c", code, cwd=tmp_path).split()
    assert {"hubel.agent.cli.main", "hubel.tools.errors", "hubel.evals", "hubel.prompts"} <= set(
        imported
    )


def test_public_names_are_there() -> None:
    for name in hubel.__all__:
        assert getattr(hubel, name) is not None
    assert set(hubel.__all__) <= set(dir(hubel))
    with pytest.raises(AttributeError, match="it has __version__"):
        _ = hubel.no_such_name


def test_processes_of_the_tests_import_the_package_under_test(tmp_path: Path) -> None:
    code = "import hubel, tests.support.processes as tests; print(hubel.__file__, tests.__file__, sep='\\n')"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=checkout_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    package, support = process.stdout.splitlines()
    assert package == hubel.__file__
    assert support == str(Path(__file__).parent / "support" / "processes.py")
