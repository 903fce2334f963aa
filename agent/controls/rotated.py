"""Directions that mean nothing, explained by the run's explainer: what a score is worth.

A row of a random rotation of a layer's neurons (`tools.subject.nulls`) means nothing to a reader, yet
a formula predicts it about as well as it predicts a neuron. A dictionary's latents are compared with
random latents (`tools.dictionaries.random_latents`).

1. Each layer of the targets is a group; targets of one side have a group of their own. The negative
   side of a direction is the positive side of its opposite, so that both sides share one. Each
   dictionary is a group. Heads have none: the norm of a head's output has no direction to rotate.
2. The directions' activations are collected like the targets', from the index's activation store
   where it has them, and each is explained alone (`explain_alone`) and scored on holdout.
3. Each direction's result is kept in the cache under all that it depends on, so that every run of
   the index, the explainer and the seed after this one finds it there.
4. A group's results are one event of the run's log, with which a replay needs nothing else.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...evals.formula_parts import formula_parts
from ...evals.scorers.registry import FORMULA_SCORERS
from ...evals.scorers.score_all import score_all
from ...evals.scorers.task import scoring_task
from ...tools.dissection import Predicate, TextView
from ...tools.files.code_digest import code_digest
from ...tools.files.remembered import read_note, write_note
from ...tools.index import Collected, Index, collect
from ...tools.index.holdout import open_collected_holdout
from ...tools.subject.address import Site, Unit
from ..investigation.rotated_floors import EVENT, RotatedGroup
from ..investigation.split_data import SplitData
from ..runlog.progress import Reporter
from .explain_alone import explain_alone

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ...tools.subject.nulls import ArtificialUnit
    from ..explainers.protocol import Explainer
    from ..runlog.config import RunConfig
    from ..runlog.log import RunLog

NOTES = "controls"
"""Their folder in the cache."""
SCORERS = ("simulation", *FORMULA_SCORERS)
ROOT = Path(__file__).parents[2]
SEARCHING = ("tools/dissection", "tools/annotation", "tools/lexica", "agent/explainers")
CODE = [ROOT / folder for folder in (*SEARCHING, "evals")]
"""What a result depends on besides the activations."""


RotatedPlan = dict[RotatedGroup, int]
"""How many directions of each group are explained."""


def planned_directions(targets: Sequence[Unit], directions: int) -> RotatedPlan:
    """The plan for a run of these targets; groups with more targets come first.

    All together they are at most as many as the targets, unless one group has more: a run of many
    layers would wait for its controls longer than for its targets.
    """
    counts = Counter(filter(None, map(RotatedGroup.of, targets)))
    left = max(directions, len(targets))
    planned: RotatedPlan = {}
    for group, _ in counts.most_common():
        if directions and left >= directions:
            planned[group] = directions
            left -= directions
    return planned


def missing_groups(config: RunConfig, explainer: Explainer, log: RunLog) -> RotatedPlan:
    """What a run's log does not have of the directions that it should have; nothing for a language model.

    A language model would be paid for every direction. A script has no moves for them.
    """
    if explainer.converses or config.script:
        return {}
    real = [Unit.parse(target) for target in config.targets if target not in config.nulls]
    planned = planned_directions(real, config.rotated)
    return {group: n for group, n in planned.items() if not log.has(EVENT, id=str(group))}


@dataclass
class RotatedControls:
    """Explains and scores rotated directions of one index.

    Args:
        cache: what searches over the run's explore text share.
    """

    config: RunConfig
    explainer: Explainer
    subject: Subject
    index: Index
    lexicon: Lexicon
    reporter: Reporter
    cache: dict[str, Any] = field(default_factory=dict[str, Any])

    def record(self, planned: RotatedPlan, log: RunLog) -> None:
        """Write the event of each group.

        Raises:
            HubelError: the index, the text or the explainer failed.
        """
        for group, directions in self._results(planned).items():
            event = {
                **self._place(group),
                "side": group.side,
                "seed": self.config.seed,
                "explainer": self.explainer.name,
                "version": self.explainer.version,
                "directions": directions,
            }
            log.write(EVENT, event, id=str(group))

    def _place(self, group: RotatedGroup) -> dict[str, Any]:
        if not group.dictionary:
            return {"layer": group.layer}
        layer = self.subject.shape.dictionaries[group.dictionary].layer
        return {"layer": layer, "dictionary": group.dictionary}

    def _results(self, planned: RotatedPlan) -> dict[RotatedGroup, list[dict[str, Any]]]:
        """For each group the result of each direction, `{direction, predicate, sentence, scores}`."""
        facts = {
            (group, number): read_note(NOTES, self._about(group, number))
            for group, count in planned.items()
            for number in range(count)
        }
        if missing := [key for key, fact in facts.items() if fact is None]:
            with tempfile.TemporaryDirectory(prefix="hubel-controls-") as folder:
                measured = self._measure(missing, Path(folder))
            facts |= measured
        return {
            group: [facts[group, number] for number in range(count)]
            for group, count in planned.items()
        }

    @cached_property
    def _code(self) -> str:
        return code_digest(*CODE)

    def _about(self, group: RotatedGroup, number: int) -> dict[str, Any]:
        """All that a direction's result depends on."""
        index, config = self.index, self.config
        direction: list[Any] = [group.layer, group.side, number]
        if group.dictionary:
            from ...tools.dictionaries.random_latents import VERSION  # here: it loads torch

            direction += [self.subject.dictionaries[group.dictionary].sha256, VERSION]
        return {
            "subject": [index.subject_revision, str(self.subject.dtype)],
            "text": [index.corpus_sha256, index.contexts_sha256, index.salt, list(index.shares)],
            "max_contexts": config.max_contexts,
            "seed": config.seed,
            "explainer": [self.explainer.name, self.explainer.version],
            "scorers": list(SCORERS),
            "code": self._code,
            "direction": direction,
        }

    def _measure(
        self, missing: Sequence[tuple[RotatedGroup, int]], folder: Path
    ) -> dict[tuple[RotatedGroup, int], dict[str, Any]]:
        self._collect(missing, folder)
        data = SplitData(
            Collected.open(folder, "explore"),
            Collected.open(folder, "select"),
            self.lexicon,
            self.cache,
        )
        holdout = open_collected_holdout(folder)
        texts = [_text(split, self.lexicon) for split in (data.collected("select"), holdout)]
        facts: dict[tuple[RotatedGroup, int], dict[str, Any]] = {}
        for done, (group, number) in enumerate(missing):
            self._show(done, len(missing))
            fact = {"direction": number, **self._explained(group, number, data, holdout, *texts)}
            write_note(NOTES, self._about(group, number), fact)
            facts[group, number] = fact
        self._show(len(missing), len(missing))
        return facts

    def _show(self, done: int, total: int) -> None:
        self.reporter.update("directions that mean nothing, for comparison", done, total)

    def _address(self, group: RotatedGroup, number: int) -> Unit:
        """A direction's address: after the last neuron of its layer, or latent of its dictionary."""
        shape, name = self.subject.shape, group.dictionary
        site = Site.of_dictionary(name) if name else Site("mlp", group.layer)
        return Unit(
            "sae" if name else "mlp", group.layer, shape.count(site) + number, name, group.side
        )

    def _collect(self, missing: Sequence[tuple[RotatedGroup, int]], folder: Path) -> None:
        highest: dict[RotatedGroup, int] = {}
        for group, number in missing:
            whole = group._replace(side="both")
            highest[whole] = max(number + 1, highest.get(whole, 0))
        collect(
            self.subject,
            self.index,
            [],
            folder,
            max_contexts=self.config.max_contexts,
            seed=self.config.seed,
            extra=[unit for of in highest.items() for unit in self._directions(*of)],
        )

    def _directions(self, group: RotatedGroup, count: int) -> Sequence[ArtificialUnit]:
        """The first directions of a group."""
        from ...tools.dictionaries.random_latents import random_latents
        from ...tools.subject.nulls import rotated_units

        seed = self.config.seed
        if group.dictionary:
            return random_latents(self.subject, self.index, group.dictionary, count, seed)
        addresses = [self._address(group, number) for number in range(count)]
        return rotated_units(self.subject, addresses, seed=seed)

    def _explained(
        self,
        group: RotatedGroup,
        number: int,
        data: SplitData,
        holdout: Collected,
        select_text: TextView,
        holdout_text: TextView,
    ) -> dict[str, Any]:
        unit = self._address(group, number)
        winner = explain_alone(
            self.explainer,
            unit,
            data.of(unit, "explore"),
            data.of(unit, "select"),
            select_text,
            self.config.seed,
        )
        # Without an explanation the prediction is constant, and every score is what that gives.
        printed = winner.predicate if winner and winner.predicate else Predicate().to_text()
        predicate = Predicate.parse(printed)
        task = scoring_task(
            unit,
            "holdout",
            holdout,
            data.collected("explore"),
            predicate.predict_text(holdout_text),
            parts=formula_parts(predicate, holdout_text),
            seed=self.config.seed,
            resampling=self.config.resampling,
        )
        scores = [score for outcome in score_all(task, SCORERS) for score in outcome.scores]
        return {
            "sentence": winner.sentence if winner else None,
            "predicate": winner.predicate if winner else None,
            "scores": [
                {"scorer": score.scorer, "text": score.text, "value": score.value}
                for score in scores
            ],
        }


def _text(split: Collected, lexicon: Lexicon) -> TextView:
    return TextView(split.tokens, split.length, lexicon)
