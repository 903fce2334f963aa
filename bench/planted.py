"""Are explanations right? A suite's planted units, nulls and controls in one run, compared with what
was planted.

1. The suite is planted into the subject, and the layers that it touches are indexed over the
   corpus, in the cache.
2. All its units are the targets of one run, which does not know what they are: they have addresses
   like any neuron.
3. When the run has ended, each explanation is simulated on holdout and compared with the noiseless
   truth there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..agent.investigation.verify import SINCE_PARTS
from ..agent.runlog.config import RunConfig
from ..agent.runlog.data_files import check_folder
from ..agent.runlog.layout import COLLECTED, CONFIG, SUITE
from ..agent.runlog.lexicon import predict, stored_lexicon
from ..agent.runlog.log import RunLog, WriterLock
from ..agent.runlog.verdict_score import verdict_score
from ..agent.runlog.views import TargetRow, target_rows
from ..evals.statistics.sample import ActivityLevel, Sample
from ..tools.corpus import RULE, read_corpus
from ..tools.dissection import Predicate, TextView
from ..tools.errors import UsageError
from ..tools.files import atomic_file, cache_dir
from ..tools.index.collected import Collected
from ..tools.index.holdout import open_collected_holdout
from ..tools.subject.address import Unit
from . import planted_truth
from .planted_truth import PlantedResult
from .stated_meaning import stated_parts, states_meaning

if TYPE_CHECKING:
    from ..agent.runlog.progress import Reporter
    from ..tools.subject import PlantedSubject, Subject, Suite, SuiteUnit

PROJECT_SUITE = Path(__file__).parents[1] / "evals" / "suites" / "project.toml"


@dataclass(frozen=True)
class PlantedReport:
    """A finished bench: one result per unit, and figures over all of them."""

    results: list[PlantedResult]
    summary: dict[str, Any]


def choose_units(suite: Suite, n: int | None, seed: int) -> list[SuiteUnit]:
    """All units of a suite, or `n` of them at random, in its order."""
    if n is None or n >= len(suite.units):
        return list(suite.units)
    places = np.random.default_rng(seed).choice(len(suite.units), n, replace=False)
    return [suite.units[place] for place in sorted(places.tolist())]


def planted_index(subject: PlantedSubject, corpus_name: str, reporter: Reporter) -> Path:
    """Folder of the index over the layers that a suite touches; builds or completes it if need be."""
    from ..tools.index import build_index

    corpus = read_corpus(corpus_name)
    parts = (subject.name, subject.revision, corpus.name, corpus.sha256[:8], RULE)
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts))
    folder = cache_dir() / "indexes" / f"planted-{name}"
    build_index(
        subject,
        corpus,
        folder,
        sites=("mlp",),
        layers=subject.suite.layers,
        store="auto",
        progress=reporter,
        warn=reporter.say,
    )
    return folder


def make_planted_run(
    folder: Path,
    subject: PlantedSubject,
    targets: Sequence[str],
    make_index: Callable[[], Path],
    **settings: Any,
) -> None:
    """Make the bench's run, or check that the existing one has the same suite, targets and explainer.

    Args:
        make_index: builds or completes the index over all targets; returns its folder.

    Raises:
        UsageError: a run of that name has something else.
    """
    from ..agent.run.execute import make_run, resolve

    if (folder / CONFIG).exists():
        _check_same(folder, subject, list(targets), settings)
        return
    index = str(make_index())
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / SUITE) as part:
        part.write_text(subject.suite.text, encoding="utf-8")
    settings |= {"index": index, "targets": list(targets), "suite": subject.suite.origin}
    config = RunConfig.from_settings(settings)
    make_run(folder, resolve(config))


def _check_same(
    folder: Path, subject: Subject, targets: list[str], settings: dict[str, Any]
) -> None:
    config = RunConfig.load(folder)
    same = {
        "suite or subject": config.subject.get("revision") == subject.revision,
        "targets": config.targets == targets,
        "explainer": config.explainer.name == settings.get("explainer", config.explainer.name),
    }
    if differences := [name for name, agrees in same.items() if not agrees]:
        raise UsageError(
            f"the run at {folder} has another {differences[0]}; give another --name, or delete it"
        )


def evaluate(folder: Path, subject: PlantedSubject, units: Sequence[SuiteUnit]) -> PlantedReport:
    """Compare a finished run's explanations with the truth."""
    check_folder(folder, COLLECTED)
    row_of = {row["target"]: row for row in target_rows(folder)}
    comparison = TruthComparison(subject, folder)
    results = [comparison.result(unit, row_of[target_of(subject, unit)]) for unit in units]
    summary = planted_truth.summary(results)
    summary |= {
        "auroc": comparison.discrimination(units, results),
        "calibration": planted_truth.calibration(results),
        "scorers": None,
    }
    write_truth(folder, results)
    return PlantedReport(results, summary)


def write_truth(folder: Path, results: Sequence[PlantedResult]) -> None:
    """Log how true each explanation is, for the pages that show the run."""
    with WriterLock(folder), closing(RunLog(folder)) as log:
        for row in results:
            truth = {"r_truth": row.r_truth, "recovered": row.recovered}
            if row.decidable and log.get("truth", row.target) != truth:
                log.write("truth", truth, target=row.target)
        log.seal()


def target_of(subject: PlantedSubject, unit: SuiteUnit) -> str:
    """The target of a run that a unit of the suite is."""
    return str(subject.address_by_id[unit.id])


def outcome(row: TargetRow) -> dict[str, Any]:
    """What a run says of a target, for a `PlantedResult`."""
    score = verdict_score(row)
    return {
        "target": row["target"],
        "kept": row["verdict"] == "kept",
        "explanation": row["explanation"],
        "r": None if score is None else score["value"],
    }


class TruthComparison:
    """Compares what a run's explanations predict on holdout with what was planted there."""

    def __init__(self, subject: PlantedSubject, folder: Path) -> None:
        self._subject, self._config = subject, RunConfig.load(folder)
        self._explore = Collected.open(folder / COLLECTED, "explore")
        self._holdout = open_collected_holdout(folder / COLLECTED)
        self._lexicon = stored_lexicon(folder)
        self._text = TextView(self._holdout.tokens, self._holdout.length, self._lexicon)

    def result(self, unit: SuiteUnit, row: TargetRow) -> PlantedResult:
        """The result of one unit, from the row of the target that has its activations."""
        return PlantedResult(
            id=unit.id,
            null=unit.null.partition(":")[0] or False,
            control=unit.control.partition(":")[0] or False,
            family=unit.family,
            **outcome(row),
            **(self._against_truth(unit, row) if unit.parts else {}),
        )

    def _against_truth(self, unit: SuiteUnit, row: TargetRow) -> dict[str, Any]:
        """The fields of a `PlantedResult` that need a truth; nulls and controls have none."""
        target, planted = Unit.parse(row["target"]), self._subject.address_by_id[unit.id]
        truth, signal = self._truth_and_signal(unit, target)
        decidable = planted_truth.is_decidable(self._sample(truth, signal), self._activity(target))
        if row["predicate"] is None:
            return {"decidable": decidable}
        holdout = self._holdout
        predicted = predict(row["predicate"], self._lexicon, holdout.tokens, holdout.length)
        sample = self._sample(predicted, truth)
        r = planted_truth.r_truth(sample)
        predicate = Predicate.parse(row["predicate"])
        by_part = self._subject.truth_by_part(planted, holdout.tokens)
        stated = stated_parts(predicate, by_part, self._text, holdout.mask)
        return {
            "decidable": decidable,
            **planted_truth.firing(sample, unit.weakest)._asdict(),
            "r_truth": r,
            "recovered": planted_truth.is_recovered(row["verdict"] == "kept", r),
            "states_meaning": states_meaning(stated),
        }

    def discrimination(
        self, units: Sequence[SuiteUnit], results: Sequence[PlantedResult]
    ) -> float | None:
        """How well simulation tells a decidable unit's true explanation from another's (AUROC)."""
        pairs = [
            self._truth_and_signal(unit, Unit.parse(row.target))
            for unit, row in zip(units, results, strict=True)
            if row.decidable
        ]
        if len(pairs) < 2:
            return None
        truths, signals = zip(*pairs, strict=True)
        scores = planted_truth.cross_scores(truths, signals, self._holdout.mask)
        return planted_truth.discrimination(scores)

    def _truth_and_signal(self, unit: SuiteUnit, target: Unit) -> tuple[np.ndarray, np.ndarray]:
        planted = self._subject.address_by_id[unit.id]
        truth = self._subject.truth(planted, self._holdout.tokens)
        return truth, self._holdout.activations(target)

    def _activity(self, unit: Unit) -> ActivityLevel | None:
        """What the run's verdict takes for an active token of the unit."""
        if self._config.definitions < SINCE_PARTS:
            return None
        return ActivityLevel.of(self._explore.activations(unit)[self._explore.mask])

    def _sample(self, predicted: np.ndarray, true: np.ndarray) -> Sample:
        holdout = self._holdout
        return Sample(predicted, true, holdout.mask, holdout.document, holdout.group)
