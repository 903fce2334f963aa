"""The registry of scorers: a scorer is one decorated function in a file of this folder.

    @scorer("simulation")
    def simulation(task: ScoringTask) -> list[Score]: ...

``get("simulation")`` imports the folder's modules once, so a new scorer is one new file and no edit
elsewhere.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

from ...tools.errors import UsageError
from ..floors import FloorPredictions
from ..judge.protocol import Chat
from ..score import Score, Split
from ..statistics.sample import Sample
from .resources import ScorerResources, unscorable_without
from .windows import TokenText

SIMULATED_CONTEXTS = 30
"""Contexts of a simulation by a language model."""


@dataclass(frozen=True, eq=False)
class ScoringTask:
    """One explanation on one split: what it predicts, what it says, who judges, and what there is to work with."""

    sample: Sample
    split: Split
    floor_predictions: FloorPredictions = field(default_factory=FloorPredictions)
    seed: int = 0
    explanation: str = ""
    """The sentence, as a judge is told it."""
    token_text: TokenText | None = None
    """The words of the sample's contexts."""
    chat: Chat | None = None
    """The judge; None leaves every decision to the predicate."""
    simulator: Chat | None = None
    """The language model that predicts activations from the sentence; None where there is none."""
    simulated_contexts: int = SIMULATED_CONTEXTS
    """Contexts that it is asked about; more narrow the interval, and cost tokens."""
    predicts: bool = True
    """Whether ``sample.predicted`` is an explanation's prediction. False for one in words only:
    only a judge can read it, and what is in ``sample.predicted`` is never looked at."""
    calibration: Sample | None = None
    """The same explanation on explore: what a calibration may be fitted on."""
    resources: ScorerResources = field(default_factory=ScorerResources)

    @property
    def text(self) -> TokenText:
        """The words; Unscorable where there are none."""
        if self.token_text is None:
            raise unscorable_without("the text of the contexts")
        return self.token_text


Scorer = Callable[[ScoringTask], list[Score]]

_SCORERS: dict[str, Scorer] = {}


def scorer(name: str) -> Callable[[Scorer], Scorer]:
    """Register a scorer under a name; a name that is taken raises."""

    def register(function: Scorer) -> Scorer:
        if name in _SCORERS:
            raise ValueError(
                f"scorer {name!r} is registered already, by {_SCORERS[name].__module__}"
            )
        _SCORERS[name] = function
        return function

    return register


def get_scorer(name: str) -> Scorer:
    """The scorer of that name; UsageError lists the known ones."""
    _discover()
    if name not in _SCORERS:
        raise UsageError(f"no scorer {name!r}; known: {', '.join(scorer_names())}")
    return _SCORERS[name]


def scorer_names() -> list[str]:
    """The registered scorers in alphabetical order."""
    _discover()
    return sorted(_SCORERS)


@cache
def _discover() -> None:
    package = import_module(__package__ or "hubel.evals")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
