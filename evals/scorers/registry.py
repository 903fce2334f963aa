"""The registry of scorers: a scorer is one decorated function in a file of this folder.

    @scorer("simulation")
    def simulation(task: ScoringTask) -> list[Score]: ...

``get_scorer("simulation")`` imports the folder's modules once, so a new scorer is one new file and
no edit elsewhere.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

import numpy as np
from jaxtyping import Int

from ...tools.errors import UsageError
from ..floors import FloorPredictions
from ..formula_parts import PartPredictions
from ..judge.protocol import Chat, Unscorable
from ..score import Score, Split
from ..statistics.sample import ActivityLevel, Sample
from .resources import ScorerResources, unscorable_without
from .windows import TokenText

FORMULA_SCORERS = (
    "meaning",
    "headline",
    "coverage",
    "strength",
    "unseen",
    "rare",
    "salient",
    "beyond_lookup",
)
"""What a run scores a formula by on holdout besides `simulation`; they cost no call."""
SIMULATED_CONTEXTS = 30
"""Contexts that a language model simulates, by default."""
LONGEST_SENTENCE = 2000
"""Characters of an explanation that a judge is given: a longer one is not an explanation."""


@dataclass(frozen=True, eq=False)
class ScoringTask:
    """One explanation on one split, with all that a scorer may use."""

    sample: Sample
    split: Split
    floor_predictions: FloorPredictions = field(default_factory=FloorPredictions)
    seed: int = 0
    """Scorers draw with [seed, a number of their own], so that none changes another's draws."""
    explanation: str = ""
    """The sentence, as the explainer wrote it; see `sentence`."""
    token_text: TokenText | None = None
    """The words of the sample's contexts."""
    chat: Chat | None = None
    """The judge; None leaves every decision to the predicate."""
    simulator: Chat | None = None
    """The language model that predicts activations from the sentence."""
    simulated_contexts: int = SIMULATED_CONTEXTS
    """Contexts that the simulator is asked about. More narrow the interval and cost tokens."""
    predicts: bool = True
    """Whether ``sample.predicted`` is the explanation's prediction. False for an explanation in
    words only: a judge can read it, and ``sample.predicted`` is never read."""
    parts: PartPredictions | None = None
    """What the named concepts of the explanation's formula predict alone."""
    seen: Int[np.ndarray, "contexts seq"] | None = None
    """How often explore, where it counts, has the token at each position."""
    activity: ActivityLevel | None = None
    """What counts as active; None: any signal but 0."""
    calibration: Sample | None = None
    """The same explanation on explore, where a calibration is fitted."""
    resources: ScorerResources = field(default_factory=ScorerResources)

    def require_prediction(self) -> Sample:
        """The sample with the explanation's predictions; Unscorable without a formula."""
        if not self.predicts:
            raise Unscorable("an explanation in words only: there are no predicted activations")
        return self.sample

    def require_parts(self) -> PartPredictions:
        """The parts of the formula; Unscorable without one."""
        self.require_prediction()
        if self.parts is None:
            raise unscorable_without("the parts of the formula")
        return self.parts

    @property
    def text(self) -> TokenText:
        """The words of the contexts; Unscorable without them."""
        if self.token_text is None:
            raise unscorable_without("the text of the contexts")
        return self.token_text

    @property
    def sentence(self) -> str:
        """The explanation as a judge reads it: one line, whatever it holds."""
        return " ".join(self.explanation.split())[:LONGEST_SENTENCE]

    def require_sentence(self) -> str:
        """`sentence`; Unscorable if it is empty."""
        if not self.sentence:
            raise Unscorable("there is no explanation in words")
        return self.sentence


Scorer = Callable[[ScoringTask], list[Score]]

_SCORERS: dict[str, Scorer] = {}


def scorer(name: str) -> Callable[[Scorer], Scorer]:
    """Register a scorer under a name.

    Raises:
        ValueError: the name is taken.
    """

    def register(function: Scorer) -> Scorer:
        if name in _SCORERS:
            raise ValueError(
                f"scorer {name!r} is registered already, by {_SCORERS[name].__module__}"
            )
        _SCORERS[name] = function
        return function

    return register


def get_scorer(name: str) -> Scorer:
    """The scorer of that name; a UsageError lists the known ones."""
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
