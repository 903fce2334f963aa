"""A run's configuration: all that is needed to run it again, kept as `config.toml` in its folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...evals.statistics.resampling import Resampling
from ...tools.errors import UsageError
from ...tools.subject.address import NO_LAYER, Unit
from .config_file import FORMAT, ConfigFile, read_settings
from .layout import CIRCUIT, CONFIG
from .model_config import (
    COMPOSITIONAL,
    MODEL_KEYS,
    NOBODY,
    UNLIMITED,
    BudgetConfig,
    ModelConfig,
    role_keys,
)

SINCE_PARTS = 2
"""Definitions (`RunConfig.definitions`) that have the floor *list* and scores of a formula's parts."""


@dataclass(frozen=True)
class RunConfig(ConfigFile):
    """What a run does: written once, when it is made; `hubel resume` reads it and changes nothing."""

    KEYS: ClassVar = {
        "explainer": MODEL_KEYS,
        "simulator": role_keys("simulator"),
        "judge": role_keys("judge"),
        "budget": {"run": "budget", "target": "target_budget"},
    }
    REQUIRED: ClassVar = ("index", "targets")

    index: str
    """Folder of the index, as given."""
    targets: list[str]
    """Addresses with their side sign, in order: the registered targets."""
    explainer: ModelConfig = COMPOSITIONAL
    concurrency: int = 8
    """Investigations side by side. Results do not depend on it."""
    max_contexts: int = 2000
    """Contexts of each split that are collected and scored. More of them narrow the intervals and cost
    forward passes."""
    rounds: int = 2
    """Times that an explainer may revise after seeing the score on select."""
    patience: float = 600.0
    """Seconds to wait for a busy or silent server. With a short wait, targets fail that a longer one
    would have saved."""
    simulator: ModelConfig = NOBODY
    """Predicts activations from the winner's sentence, on holdout. Without one an explanation
    without a predicate has no verdict."""
    simulator_contexts: int = 30
    """Contexts that the simulator is asked about. More of them narrow the interval; each costs about
    1,100 tokens."""
    judge: ModelConfig = NOBODY
    """Says of held-out windows whether the winner's sentence fits (detection)."""
    batch: bool = False
    """Whether simulator and judge are asked in batches: half the price, and hours of delay."""
    logprobs: bool = False
    """Whether simulator and judge are asked for log-probabilities; some models refuse to give them."""
    budget: BudgetConfig = UNLIMITED
    competitor: bool = True
    """Whether a language model is shown what the formula search found, as an explanation to beat.
    Costs a search."""
    rotated: int = 0
    """Rotated directions of each layer that are explained for comparison; 0 for none. The first run of
    an index pays for them, a search each."""
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    script: str = ""
    """For the explainer `scripted`: the file of its moves."""
    suite: str = ""
    """Suite of planted units, as given; the run keeps its text as `suite.toml`. "" if nothing is planted."""
    collected_together: int = 0
    """Targets whose activations are collected, and which are then investigated, before the next ones
    are; 0: all. Results do not depend on it."""
    nulls: dict[str, str] = field(default_factory=dict)
    """Targets that are not units of the subject: address to kind ("noise", "shuffled:mlp.9.33",
    "rotated")."""
    dictionaries: dict[str, str] = field(default_factory=dict)
    """Of each dictionary with latents among the targets: where they are read ("stream.12")."""
    note: str = ""
    """What a person who has read an earlier explanation tells the language model at the start of the
    conversation."""
    after_viewing: bool = False
    """Whether a person has seen held-out text of the target: then nothing is scored there, and nothing
    can be kept."""
    origin: dict[str, str] = field(default_factory=dict)
    """Of a run that explains a target of another run again: that run, the target, and who started it."""
    subject: dict[str, str] = field(default_factory=dict)
    """Name, title and revision (hash of the weights) of the subject, from the index."""
    corpus: dict[str, str] = field(default_factory=dict)
    """Name and sha256 of the corpus, from the index."""
    intervals: dict[str, str] = field(default_factory=dict)
    """What is resampled and how the ends are found; older runs, which do not say so, used percentiles
    over documents."""
    definitions: int = 1
    """Version of the definitions of scores, floors and verdicts that the run goes by
    (docs/contract.md). Older runs, which do not say so, replay by the first."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of hubel and of the packages that numbers rest on."""
    format: int = FORMAT

    @property
    def resampling(self) -> Resampling:
        """How this run makes its intervals; raises CorruptError for what is not known."""
        return Resampling.from_settings(self.intervals)

    @property
    def asks_language_models(self) -> bool:
        """Whether investigations ask a model, or its stand-in, whose replies must be journaled at once."""
        named = self.simulator.name or self.judge.name
        return bool(named) or self.explainer.is_language_model

    @property
    def parts(self) -> list[list[str]]:
        """The targets in parts that are collected and investigated one after the other."""
        size = self.collected_together or len(self.targets) or 1
        return [self.targets[i : i + size] for i in range(0, len(self.targets), size)]

    def layer_of(self, target: Unit) -> int:
        """The layer of a target; -1 for a latent of a dictionary that is not known."""
        return layer_of(target, self.dictionaries)

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Read a `config.toml`; `path` is the file or the run's folder.

        Raises:
            UsageError: there is no such run, or it was made by a newer hubel.
            CorruptError: the file cannot be read.
        """
        return cls.from_settings(read_settings(path), str(path / CONFIG if path.is_dir() else path))


def layer_of(target: Unit, dictionaries: Mapping[str, str]) -> int:
    """The layer of a target; -1 for a latent of a dictionary that is not known.

    Args:
        dictionaries: where the latents of each are read, such as "stream.12".
    """
    if target.site != "sae":
        return target.layer
    place = dictionaries.get(target.name, f"?.{NO_LAYER}")
    return int(place.rpartition(".")[2])


def target_seed(seed: int, target: str) -> int:
    """The seed of everything random about a target: from the run's seed and the address alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{target}".encode()).digest()[:4], "big")


def versions() -> dict[str, str]:
    """Versions of hubel and of the packages that its numbers depend on, without importing them."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import machine, python_version

    from ... import __version__

    versions_by_name = {"hubel": __version__, "python": python_version(), "machine": machine()}
    for package in ("torch", "transformers", "tokenizers", "numpy", "scipy", "langgraph", "duckdb"):
        try:
            versions_by_name[package] = version(package)
        except PackageNotFoundError:
            versions_by_name[package] = "not installed"
    return versions_by_name


def find_run(name: str, runs: Path) -> Path:
    """The folder of a run given by name or by path.

    Raises:
        UsageError: there is none; the message lists those that are there.
    """
    for folder in (runs / name, Path(name)):
        if is_run(folder):
            return folder
    names = [folder.name for folder in run_folders(runs)]
    listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "none yet"
    raise UsageError(f"no run {name[:200]!r} under {runs}; there: {listed}")


def run_folders(runs: Path) -> list[Path]:
    """The folders of all runs, by name, also those that are damaged or cannot be read."""
    try:
        entries = sorted(os.scandir(runs), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(entry.path) for entry in entries if is_run(Path(entry.path))]


def is_run(folder: Path) -> bool:
    """Whether a folder looks like a run, readable or not: it has a configuration or a circuit."""
    try:
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            return True
        # `lexists`: something other than a regular file is a damaged run, and reading it says so
        return any(os.path.lexists(folder / name) for name in (CONFIG, CIRCUIT))
    except (OSError, ValueError):  # too long, or with a null byte
        return False
