"""What has come up in an investigation by a language model so far; each parsed tool call adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ....tools.dissection import Predicate
from ....tools.errors import ArgumentError
from ..predictions import tally

if TYPE_CHECKING:
    from ..protocol import Experiment, ExploreFit, GradedPredicate, Hypothesis
    from .aliases import Aliases

MIN_EXPERIMENTS, SILENT_SHARE = 4, 1 / 3
"""What a conclusion needs: this number of readable experiments, and this share predicting silence."""


@dataclass
class InvestigationState:
    """Hypotheses, experiments and outcomes so far, and whether they suffice for a conclusion."""

    aliases: Aliases
    fit: Callable[[str], ExploreFit]
    grade: Callable[[tuple[str, ...]], GradedPredicate]
    hypotheses: dict[str, Hypothesis] = field(default_factory=dict)
    proposed: int = 0
    """Hypotheses that were proposed, rejected ones included: they keep their ids too."""
    experiments: dict[str, Experiment] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the experiment's id."""
    firing_levels: Mapping[str, float] = field(default_factory=dict)
    """What counts as firing, by side."""
    looked: set[str] = field(default_factory=set)
    """Hypotheses that a second look has tested."""
    challenges: set[str] = field(default_factory=set)
    """Experiments that a second look made."""
    sentence: Callable[[str], str] = lambda printed: Predicate.parse(printed).sentence()
    """A printed predicate in English."""
    follows: Callable[[str, Sequence[Experiment]], Sequence[bool]] = lambda printed, planned: [
        False for _ in planned
    ]
    """Whether the predictions of some experiments follow from a printed predicate."""
    results: int = 4
    """The last number of a result; r1 to r4 are what the unit does on the corpus."""

    def readable_outcomes(self) -> list[Mapping[str, Any]]:
        """Outcomes of the experiments that could be read."""
        outcomes = (self.outcomes.get(id) for id in self.experiments)
        return [outcome for outcome in outcomes if outcome and outcome["outcome"] != "void"]

    def tally(self, hypothesis: str) -> tuple[int, int]:
        """How many predictions of a hypothesis came true, and how many failed."""
        known = self.hypotheses.get(hypothesis)
        return tally(self.readable_outcomes(), hypothesis, known.inherited if known else ())

    def experiments_of(self, hypothesis: str) -> list[Experiment]:
        """Its readable experiments, those that it inherited included."""
        inherited = self.hypotheses[hypothesis].inherited
        read = [self.experiments[str(row["experiment"])] for row in self.readable_outcomes()]
        return [e for e in read if e.hypothesis == hypothesis or e.id in inherited]

    def inherit(self, revision: Hypothesis) -> Hypothesis:
        """A revision with the experiments of its parent whose predictions follow from it."""
        if revision.parent is None or revision.predicate is None:
            return revision
        planned = self.experiments_of(revision.parent)
        follow = self.follows(revision.predicate, planned) if planned else ()
        kept = tuple(e.id for e, follows in zip(planned, follow, strict=True) if follows)
        return replace(revision, inherited=kept)

    def own_experiments(self) -> list[Experiment]:
        """Readable experiments that were not made by a second look."""
        readable = (str(outcome["experiment"]) for outcome in self.readable_outcomes())
        return [self.experiments[id] for id in readable if id not in self.challenges]

    def n_silent(self) -> int:
        """How many of its own experiments predicted silence."""
        return sum(map(self._predicts_silence, self.own_experiments()))

    def _predicts_silence(self, planned: Experiment) -> bool:
        """Whether it predicts "silent", or bounds that end below what counts as firing."""
        if planned.quantity not in ("max", "mean"):
            return False
        if planned.relation == "silent":
            return True
        level = self.firing_levels.get(planned.side, float("-inf"))
        return planned.bounds is not None and planned.bounds[1] < level

    def missing_evidence(self, hypothesis: str) -> str:
        """What a conclusion with this hypothesis still needs, or an empty string."""
        readable, silent = len(self.own_experiments()), self.n_silent()
        kept, failed = self.tally(hypothesis)
        if readable < MIN_EXPERIMENTS:
            return f"{readable} experiments could be read; make at least {MIN_EXPERIMENTS}"
        if kept <= failed:
            return (
                f"{hypothesis} kept {kept} predictions and failed {failed}, so it cannot win; "
                "test or revise it"
            )
        if silent < readable * SILENT_SHARE:
            return (
                f"{silent} of your {readable} experiments predicted silence; a third must: "
                "predict where U does nothing"
            )
        return ""

    def require_hypothesis(self, id: str) -> None:
        """Raise ArgumentError if no hypothesis has that id."""
        if id not in self.hypotheses:
            raise ArgumentError(f"hypothesis {id!r}: {self.known_hypotheses()}")

    def known_hypotheses(self) -> str:
        """The latest hypotheses' ids, for the error message about an unknown one."""
        if not self.hypotheses:
            return "there is none yet; use propose"
        last = ", ".join(list(self.hypotheses)[-8:])
        return f"there is none of that id; the last that were taken are {last}"
