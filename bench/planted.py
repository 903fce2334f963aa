"""Are explanations right? A suite's planted units, nulls and controls through one run, held against
what was planted.

1. The suite is planted into the subject, and the layers that it touches are indexed over the
   corpus, in the cache.
2. All its units are the targets of one run, which knows nothing of what they are: they have
   addresses like any neuron.
3. When the run has ended, each explanation is simulated on holdout and compared with the noiseless
   truth there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..agent.runlog.config import RunConfig
from ..agent.runlog.layout import COLLECTED, CONFIG, SUITE
from ..agent.runlog.lexicon import stored_lexicon
from ..agent.runlog.log import RunLog, WriterLock, seal
from ..agent.runlog.views import rows
from ..evals.statistics.sample import Sample
from ..tools.corpus import read_corpus
from ..tools.errors import UsageError
from ..tools.files import atomic_file, cache_dir
from ..tools.index.holdout import open_collected_holdout
from . import planted_truth as truth_of
from .planted_truth import PlantedResult

if TYPE_CHECKING:
    from ..agent.runlog.progress import Reporter
    from ..tools.index import Collected
    from ..tools.subject import PlantedSubject, Subject, Suite, SuiteUnit

PROJECT_SUITE = Path(__file__).parents[1] / "evals" / "suites" / "project.toml"


@dataclass(frozen=True)
class PlantedReport:
    """A finished bench: a result a unit, and the numbers over all of them."""

    results: list[PlantedResult]
    summary: dict[str, Any]


def chosen(suite: Suite, n: int | None, seed: int) -> list[SuiteUnit]:
    """All units of a suite, or `n` of them at random, in its order."""
    if n is None or n >= len(suite.units):
        return list(suite.units)
    picked = np.random.default_rng(seed).choice(len(suite.units), n, replace=False)
    return [suite.units[number] for number in sorted(picked.tolist())]


def planted_index(subject: PlantedSubject, corpus_name: str, reporter: Reporter) -> Path:
    """The folder of the index over the layers that a suite touches, built or finished now if it is not there whole."""
    from ..tools.index import build_index

    corpus = read_corpus(corpus_name)
    parts = (subject.name, subject.revision, corpus.name, corpus.sha256[:8])
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts))
    folder = cache_dir() / "indexes" / f"planted-{name}"
    build_index(
        subject, corpus, folder, sites=("mlp",), layers=subject.suite.layers, progress=reporter
    )
    return folder


def make_planted_run(
    folder: Path,
    subject: PlantedSubject,
    units: Sequence[SuiteUnit],
    corpus: str,
    reporter: Reporter,
    **settings: Any,
) -> None:
    """Make the bench's run; one that is there already must have the same suite, units and
    explainer.

    Raises:
        UsageError: a run of that name is of something else.
    """
    from ..agent.run.execute import make_run, resolve

    targets = [str(subject.address_by_id[unit.id]) for unit in units]
    if (folder / CONFIG).exists():
        _check_same(folder, subject, targets, settings)
        return
    index = str(planted_index(subject, corpus, reporter))
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / SUITE) as part:
        part.write_text(subject.suite.text, encoding="utf-8")
    settings |= {"index": index, "targets": targets, "suite": subject.suite.origin}
    config = RunConfig.from_settings(settings)
    make_run(folder, resolve(config))


def _check_same(
    folder: Path, subject: Subject, targets: list[str], settings: dict[str, Any]
) -> None:
    found = RunConfig.load(folder)
    same = {
        "suite or subject": found.subject.get("revision") == subject.revision,
        "targets": found.targets == targets,
        "explainer": found.explainer.name == settings.get("explainer", found.explainer.name),
    }
    if other := [name for name, agrees in same.items() if not agrees]:
        raise UsageError(
            f"the run at {folder} is of another {other[0]}; give another --name, or delete it"
        )


def evaluate(folder: Path, subject: PlantedSubject, units: Sequence[SuiteUnit]) -> PlantedReport:
    """Hold a finished run's explanations against the truth."""
    found = {row["target"]: row for row in rows(folder)}
    judge = _Judge(subject, open_collected_holdout(folder / COLLECTED), folder)
    results = [judge.result(unit, found[str(subject.address_by_id[unit.id])]) for unit in units]
    decidable = [subject.address_by_id[row.id] for row in results if row.decidable]
    summary = truth_of.summary(results)
    summary |= {
        "auroc": judge.discrimination(decidable),
        "calibration": truth_of.calibration(results),
        "scorers": None,
    }
    _write_truth(folder, results)
    return PlantedReport(results, summary)


def _write_truth(folder: Path, results: Sequence[PlantedResult]) -> None:
    """Leave in the run's log what is true of each explanation, for the pages that show it."""
    with WriterLock(folder), closing(RunLog(folder)) as log:
        known = {
            row.target: {"r_truth": row.r_truth, "recovered": row.recovered}
            for row in results
            if row.decidable
        }
        fresh = {
            target: found for target, found in known.items() if log.get("truth", target) != found
        }
        for target, found in fresh.items():
            log.write("truth", found, target=target)
    if fresh:
        seal(folder)


class _Judge:
    """Compares what a run's explanations predict on holdout with what was planted there."""

    def __init__(self, subject: PlantedSubject, holdout: Collected, folder: Path) -> None:
        self._subject, self._holdout = subject, holdout
        self._lexicon = stored_lexicon(folder)

    def result(self, unit: SuiteUnit, row: dict[str, Any]) -> PlantedResult:
        """One unit's line."""
        from ..agent.cli.work import headline

        score, kept = headline(row), row["verdict"] == "kept"
        result = {
            "id": unit.id,
            "target": row["target"],
            "kept": kept,
            "explanation": row["explanation"],
            "null": unit.null.partition(":")[0] or False,
            "control": unit.control.partition(":")[0] or False,
            "family": unit.family,
            "r": None if score is None else score["value"],
        }
        return PlantedResult(
            **result | (self._against_truth(unit, row, kept) if unit.parts else {})
        )

    def _against_truth(self, unit: SuiteUnit, row: dict[str, Any], kept: bool) -> dict[str, Any]:
        truth, signal = self._truth_and_signal(row["target"])
        perfect = self._sample(truth, signal)
        found: dict[str, Any] = {"decidable": truth_of.is_decidable(perfect)}
        if row["predicate"] is None:
            return found
        sample = self._sample(self._predict(row["predicate"]), truth)
        r = truth_of.r_truth(sample)
        found |= truth_of.firing(sample, unit.weakest)._asdict()
        return found | {"r_truth": r, "recovered": truth_of.is_recovered(kept, r)}

    def discrimination(self, units: Sequence[Any]) -> float | None:
        """How well simulation tells a unit's true explanation from another unit's."""
        if len(units) < 2:
            return None
        truths, signals = zip(*(self._truth_and_signal(str(unit)) for unit in units), strict=True)
        return truth_of.discrimination(truth_of.cross_scores(truths, signals, self._holdout.mask))

    def _truth_and_signal(self, target: str) -> tuple[np.ndarray, np.ndarray]:
        from ..tools.subject import Unit

        unit = Unit.parse(target)
        return self._subject.truth(unit, self._holdout.tokens), self._holdout.activations(unit)

    def _predict(self, printed: str) -> np.ndarray:
        from ..agent.runlog.lexicon import predict

        return predict(printed, self._lexicon, self._holdout.tokens, self._holdout.length)

    def _sample(self, predicted: np.ndarray, true: np.ndarray) -> Sample:
        return Sample(predicted, true, self._holdout.mask, self._holdout.document)
