"""A circuit run's configuration: all that is needed to run it again, kept as `config.toml` in its folder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...tools.errors import UsageError
from ..runlog.config_file import FORMAT, ConfigFile, read_settings
from ..runlog.layout import CONFIG, run_argument
from ..runlog.model_config import COMPOSITIONAL, MODEL_KEYS, UNLIMITED, BudgetConfig, ModelConfig

KIND = "circuit"


@dataclass(frozen=True)
class CircuitConfig(ConfigFile):
    """What a circuit run does. Written once, when the run is made; resuming reads it and changes nothing."""

    KEYS: ClassVar = {"explainer": MODEL_KEYS, "budget": {"run": "budget"}}
    REQUIRED: ClassVar = ("task",)

    task: str
    """A task's name, or the path of a user's file of pairs."""
    subject: str = "smollm2-135m"
    share: float = 0.02
    """Edges of the circuit, as a share of all. Not used when `faithfulness` is given."""
    faithfulness: float = 0.0
    """Least f on discovery prompts; the smallest circuit that has it is taken. 0: `share` says how large it is."""
    explainer: ModelConfig = COMPOSITIONAL
    """Names roles: `compositional`, or a language model."""
    patience: float = 600.0
    """Seconds to wait for a busy or silent server before it is a failure."""
    budget: BudgetConfig = UNLIMITED
    """Only the run's own limits; a circuit is one target."""
    discovery: int = 48
    """Prompts that rank the edges; with fewer, resampled prompts give other circuits."""
    heldout: int = 48
    """Prompts that verify. Intervals narrow with their square root, and they take most of the time."""
    method: str = "eap-ig-inputs"
    """How edges are scored (`tools/circuits/methods`)."""
    steps: int = 0
    """Steps of integrated gradients; 0: as many as the method's own."""
    opposing: float = 0.0
    """How much an edge that works against the answer counts in the ranking, relative to one that
    works for it: 1 ranks by size alone. 0: as much as brings f nearest to 1 on discovery prompts. Not
    searched for with `faithfulness`."""
    rounds: int = 0
    """Rounds in which the circuit's edges are swapped for others by what they do in it; none with `faithfulness`."""
    nodes: int = 16
    """Components that get a role, the strongest first."""
    imported: str = ""
    """SHA-256 of the run's `imported.json`, whose circuit is tested; "": a circuit is searched for. `share` then
    counts only where that file chooses no circuit."""
    keys_of: str = ""
    """Whether that file counts keys and values by `query-heads` or `key-value-heads`; "": as its format does."""
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

    @classmethod
    def load(cls, folder: Path) -> CircuitConfig:
        """Read a run's configuration.

        Raises:
            UsageError: there is no such run, it is not a circuit run, or it was made by a newer hubel.
            CorruptError: the file cannot be read.
        """
        settings = read_settings(folder)
        if settings.get("kind") != KIND:
            raise UsageError(
                f"{folder.name} is not a circuit run; `hubel show {run_argument(folder)}` shows it"
            )
        older = {"opposing": 1.0}  # runs made before the setting ranked by size alone
        return cls.from_settings({**older, **settings}, str(folder / CONFIG))


def is_circuit(folder: Path) -> bool:
    """Whether a run's folder holds a circuit run."""
    return read_settings(folder).get("kind") == KIND
