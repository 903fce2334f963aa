"""A circuit run's configuration: all that is needed to run it again, kept as `config.toml` in its folder."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...tools.errors import CorruptError, UsageError
from ...tools.files import atomic_file
from ..runlog.layout import CONFIG

FORMAT = 1
KIND = "circuit"


@dataclass(frozen=True)
class CircuitConfig:
    """What a circuit run was asked to do. Written once; going on with the run reads it and changes nothing."""

    task: str
    """A task's name, or the path of a user's file of pairs."""
    subject: str = "smollm2-135m"
    share: float = 0.02
    """Edges of the circuit, as a share of all. Not used when `faithfulness` is given."""
    faithfulness: float = 0.0
    """Least f on discovery prompts; the smallest circuit that has it is taken. 0: `share` says how large it is."""
    explainer: str = "compositional"
    """Who names roles: `compositional`, or a language model, `openai:MODEL` or `anthropic:MODEL`."""
    base_url: str = ""
    """Address of its server; "" is the provider's own."""
    effort: str = ""
    """How hard a reasoning model thinks (low, medium, high, ...); "" leaves it to the provider."""
    thinking: str = ""
    """Of Anthropic's models: "adaptive" or "disabled"; "" leaves it to the provider."""
    tools: str = "native"
    """How it calls tools: "native", "named" (through one that is named) or "text" (in words, where it knows none)."""
    patience: float = 600.0
    """Seconds that a busy or silent server is waited for before it is a failure."""
    price: dict[str, float] = field(default_factory=dict)
    """Of the model, in US dollars a million tokens; empty: not known, and dollars are null."""
    budget: dict[str, float] = field(default_factory=dict)
    """Limits: usd, calls, tokens, seconds (of waiting for replies). Empty: none."""
    discovery: int = 48
    """Prompts that rank the edges; with fewer, resampled prompts give other circuits."""
    heldout: int = 48
    """Prompts that verify. Intervals narrow with their square root, and they take most of the time."""
    method: str = "eap-ig-inputs"
    """How edges are scored (`tools/circuits/methods`)."""
    steps: int = 0
    """Steps of integrated gradients; 0: as many as the method's own."""
    opposing: float = 0.0
    """How much an edge that works against the answer counts in the ranking beside one that works
    for it: 1 ranks by size alone. 0: as much as brings f nearest to 1 on discovery prompts. Not
    searched for with `faithfulness`."""
    rounds: int = 0
    """Rounds in which the circuit's edges are swapped for others by what they do in it; none with `faithfulness`."""
    nodes: int = 16
    """Components that get a role, the strongest first."""
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = KIND
    format: int = FORMAT

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or not 0 <= self.faithfulness <= 1:
            raise UsageError(
                f"share {self.share!r}, faithfulness {self.faithfulness!r}: give a share above 0 and at most 1 "
                "(.02 is 2 % of the edges), or a faithfulness between 0 and 1"
            )
        if not 0 <= self.opposing < math.inf:
            raise UsageError(
                f"opposing {self.opposing!r}: give a number above 0, or 0 to have it found"
            )
        for name, least in (
            ("discovery", 12),
            ("heldout", 12),
            ("steps", 0),
            ("rounds", 0),
            ("nodes", 1),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name} {getattr(self, name)!r}: give at least {least}")

    def save(self, folder: Path) -> None:
        """Write `config.toml`, whole or not at all."""
        import tomli_w

        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / CONFIG) as partial:
            partial.write_text(tomli_w.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CircuitConfig:
        """Read a run's configuration; raises UsageError for what is no circuit run of this format."""
        data = _read(folder / CONFIG)
        if data.get("kind") != KIND:
            raise UsageError(
                f"{folder.name} is no circuit run; `hubel show {folder.name}` shows it"
            )
        if data.get("format", FORMAT) > FORMAT:
            raise UsageError(
                f"{folder} was written by a newer hubel (format {data['format']}, here {FORMAT}); upgrade"
            )
        if unknown := sorted(set(data) - {f.name for f in fields(cls)}):
            raise UsageError(f"{folder / 'config.toml'}: unknown setting {unknown[0]!r}")
        return cls(**{"opposing": 1.0, **data})  # older runs ranked by size alone


def is_circuit(folder: Path) -> bool:
    """Whether a run's folder holds a circuit run."""
    return _read(folder / CONFIG).get("kind") == KIND


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"no run at {str(file.parent)!r}; `hubel runs` lists those that are there"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptError(
            f"{file} cannot be read as TOML: {error}; mend it, or start the run anew"
        ) from None
