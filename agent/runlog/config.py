"""A run's configuration: all that is needed to run it again, kept as `config.toml` in its folder."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...tools.errors import CorruptError, UsageError
from ...tools.files import atomic_file
from .layout import CONFIG

FORMAT = 1
LIMITS = ("usd", "calls", "tokens", "seconds")
"""What a budget may limit."""


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked to do. Written once, when the run is made; `hubel resume` reads it and changes nothing."""

    index: str
    """Folder of the index, as given."""
    targets: list[str]
    """Addresses with their side sign, in order: the registered targets."""
    explainer: str = "compositional"
    concurrency: int = 8
    """Investigations side by side. Results do not depend on it."""
    max_contexts: int = 2000
    """Contexts a split that are collected and scored. More narrow the intervals and cost forward passes."""
    rounds: int = 2
    """Times that an explainer may revise after seeing the score on select."""
    base_url: str = ""
    """Address of the server behind `openai:MODEL` or `anthropic:MODEL`; "" is the provider's own."""
    effort: str = ""
    """How hard a reasoning model thinks (low, medium, high, ...); "" leaves it to the provider."""
    thinking: str = ""
    """Of Anthropic's models: "adaptive" or "disabled"; "" leaves it to the provider."""
    tools: str = "native"
    """How the language model calls tools: "native", "named" for a server that obeys only a tool's
    name, or "text" for one that knows no tool calls."""
    patience: float = 600.0
    """Seconds that a busy or silent server is waited for. Less fails targets that a minute more would have saved."""
    simulator: str = ""
    """Language model that predicts activations from the winner's sentence, on holdout; "" is none.
    Without it an explanation without a predicate has no verdict."""
    simulator_base_url: str = ""
    simulator_price: dict[str, float] = field(default_factory=dict)
    simulator_contexts: int = 30
    """Contexts that the simulator is asked about. More narrow the interval; each costs about 1,100 tokens."""
    judge: str = ""
    """Language model that says of held-out windows whether the winner's sentence fits (detection); "" is none."""
    judge_base_url: str = ""
    judge_price: dict[str, float] = field(default_factory=dict)
    logprobs: bool = False
    """Whether simulator and judge are asked for log-probabilities; some models refuse to give them."""
    price: dict[str, float] = field(default_factory=dict)
    """Of the language model, in US dollars a million tokens: input, output, cache_read,
    cache_write. Empty: not known, and dollars are null."""
    budget: dict[str, float] = field(default_factory=dict)
    """Limits of the whole run: usd, calls, tokens, seconds (of waiting for replies). Empty: none.
    Calls in flight when a limit is reached are still paid."""
    target_budget: dict[str, float] = field(default_factory=dict)
    """The same for each target."""
    competitor: bool = True
    """Whether a language model is shown what the formula search found, as an explanation to beat. Costs a search."""
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    script: str = ""
    """For the explainer `scripted`: the file of its moves."""
    suite: str = ""
    """Suite of planted units, as given; the run keeps its text as `suite.toml`. "" for a subject as it is."""
    nulls: dict[str, str] = field(default_factory=dict)
    """Targets that are no units of the subject: address to kind ("noise", "shuffled:mlp.9.33", "rotated")."""
    note: str = ""
    """What a person who has read an earlier explanation tells the language model, at the start of the conversation."""
    after_viewing: bool = False
    """Whether somebody has seen held-out text of the target: then nothing is scored there, and nothing can be kept."""
    origin: dict[str, str] = field(default_factory=dict)
    """Of a run that explains a target of another run again: that run, the target, and who asked for it."""
    subject: dict[str, str] = field(default_factory=dict)
    """Name, title and revision (hash of the weights) of the subject, from the index."""
    corpus: dict[str, str] = field(default_factory=dict)
    """Name and sha256 of the corpus, from the index."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of hubel and of the packages that numbers rest on."""
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write `config.toml`, whole or not at all."""
        import tomli_w

        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / CONFIG) as partial:
            partial.write_text(tomli_w.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Read a `config.toml`; `path` is the file or the run's folder.

        Raises:
            UsageError: there is no such run, or it was made by a newer hubel.
            CorruptError: the file cannot be read.
        """
        file = path / CONFIG if path.is_dir() else path
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"no run at {str(path)!r}; `hubel runs` lists those that are there"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CorruptError(
                f"{file} cannot be read as TOML: {error}; mend it, or start the run anew"
            ) from None
        return cls.from_mapping(data, str(file))

    @classmethod
    def from_mapping(cls, data: dict[str, Any], origin: str) -> RunConfig:
        """Check the names and the format of a configuration."""
        known = {f.name for f in fields(cls)}
        if data.get("format", FORMAT) > FORMAT:
            raise UsageError(
                f"{origin} was written by a newer hubel (format {data['format']}, here {FORMAT}); upgrade"
            )
        if unknown := sorted(set(data) - known):
            raise UsageError(
                f"{origin}: unknown setting {unknown[0]!r}; known ones are {', '.join(sorted(known))}"
            )
        if missing := sorted({"index", "targets"} - set(data)):
            raise UsageError(f"{origin}: the setting {missing[0]!r} is missing")
        return cls(**data)


def target_seed(seed: int, target: str) -> int:
    """The seed of everything random about a target: from the run's seed and the address alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{target}".encode()).digest()[:4], "big")


def versions() -> dict[str, str]:
    """Versions of hubel and of the packages that numbers rest on, without importing them."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import machine, python_version

    from ... import __version__

    found = {"hubel": __version__, "python": python_version(), "machine": machine()}
    for package in ("torch", "transformers", "tokenizers", "numpy", "scipy", "langgraph", "duckdb"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def find_run(name: str, runs: Path) -> Path:
    """The folder of a run given by name or by path.

    Raises:
        UsageError: there is none; the message lists those that are there.
    """
    for folder in (runs / name, Path(name)):
        if (folder / CONFIG).is_file():
            return folder
    there = sorted(p.parent.name for p in runs.glob("*/config.toml"))
    listed = ", ".join(there[:10]) + (", ..." if len(there) > 10 else "") if there else "none yet"
    raise UsageError(f"no run {name!r} under {runs}; there: {listed}")
