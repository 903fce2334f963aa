"""Sources of explanations for `hubel eval`, with the activations they are scored on.

A run has its own explanations, activations and seed. A table is scored on a run's activations
(`--run`), or on activations collected for it over an index (`--index`), which are kept under the
runs folder for the next time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...evals.statistics.resampling import CURRENT, Resampling
from ...tools.errors import UsageError
from ...tools.rows import KINDS
from ...tools.subject.address import Unit, parse_targets
from ..exchange.config import is_imported
from ..exchange.imported import read_set
from ..exchange.records import ExplainedUnit, ExplanationSet
from ..runlog.config import RunConfig, find_run, is_run, layer_of
from ..runlog.layout import run_argument
from ..runlog.views import target_rows
from .tables import Explanation, is_table, read_table, reject_faulty_rows


@dataclass(frozen=True)
class ExplanationSource:
    """Explanations with the folder that holds their log and their activations."""

    name: str
    folder: Path
    explanations: Sequence[Explanation]
    index: str
    subject: Mapping[str, str]
    """Name, title, revision."""
    corpus: str
    seed: int = 0
    nulls: Mapping[str, str] = field(default_factory=dict)
    """Null targets, which are not units of the subject: address to kind."""
    dictionaries: Mapping[str, str] = field(default_factory=dict)
    """Where the latents of each dictionary are read ("stream.12")."""
    planted: bool = False
    """Whether the run's subject has planted units, which exist on its own corpus only."""
    is_run: bool = True
    """Whether the explanations are the run's own, not a table's."""
    after_viewing: bool = False
    """Whether the run was made after somebody opened its target's held-out text."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The run's rows, with those of targets without an explanation."""
    imported: ExplanationSet | None = None
    """The set that the explanations are from, if it was imported."""
    max_contexts: int = 2000
    resampling: Resampling = CURRENT
    """How the run makes its intervals, so that the same score has the same one."""

    def layer_of(self, target: Unit) -> int:
        """The layer of a target; -1 for a latent of a dictionary that is not known."""
        return layer_of(target, self.dictionaries)


def open_source(
    name: str, runs: Path, *, run: str | None = None, index: Path | None = None
) -> ExplanationSource:
    """A run by its name or folder, or a table by its path.

    Args:
        run: for a table, the run on whose text it is scored.
        index: for a table, the index on whose held-out text it is scored.

    Raises:
        UsageError: there is no such run or table, or rows of the table cannot be used.
    """
    path = Path(name)
    if is_table(path):
        return _table(path, runs, run, index)
    if path.is_file():
        raise UsageError(
            f"{name!r} is neither a run nor a table; name a table {', '.join(KINDS)}, with the columns "
            "target and text"
        )
    if run:
        raise UsageError(
            f"--run says on which run's text a table is scored; {name!r} is a run itself"
        )
    folder = find_run(name, runs)
    return _imported(folder, runs, index) if is_imported(folder) else _run(folder)


def is_scored_elsewhere(name: str, runs: Path) -> bool:
    """Whether a source has no text of its own, so that it is scored on an index: a table, or a set."""
    if is_table(Path(name)):
        return True
    folders = [folder for folder in (runs / name, Path(name)) if is_run(folder)]
    return bool(folders) and is_imported(folders[0])


def _imported(folder: Path, runs: Path, index: Path | None) -> ExplanationSource:
    """The explanations of an imported set, to be scored on the text of an index."""
    if index is None:
        raise UsageError(
            f"{folder.name} is an imported set: say with --index I on which text to score it, best "
            "one that its explainer has not read"
        )
    explanations = read_set(folder)
    # the same words about the same unit count once; a unit may have several explanations
    distinct = list(dict.fromkeys(map(explanation_of, explanations.explained)))
    if not distinct:
        raise UsageError(f"{folder.name} has no explanation to score")
    source = _on_index(folder.name, distinct, runs, index)
    return replace(source, imported=explanations)


def explanation_of(unit: ExplainedUnit) -> Explanation:
    """What an imported unit's explanation claims."""
    sentence, gist = (" ".join(text.split()) for text in (unit.sentence, unit.gist))
    return Explanation(unit.unit, sentence, unit.predicate or None, unit.place or unit.unit, gist)


def _run(folder: Path) -> ExplanationSource:
    """The explanations of a run, to be scored on its own text."""
    config = RunConfig.load(folder)
    run_rows = target_rows(folder)
    explanations = [
        Explanation(row["target"], row["explanation"], row["predicate"], gist=row["gist"] or "")
        for row in run_rows
        if row["explanation"]
    ]
    if not explanations:
        raise UsageError(
            f"{folder.name} has no explanation to score; `hubel show {run_argument(folder)}` says why"
        )
    return ExplanationSource(
        name=folder.name,
        folder=folder,
        explanations=explanations,
        index=config.index,
        subject=config.subject,
        corpus=config.corpus["name"],
        seed=config.seed,
        nulls=config.nulls,
        dictionaries=config.dictionaries,
        planted=bool(config.suite),
        after_viewing=config.after_viewing,
        rows=run_rows,
        max_contexts=config.max_contexts,
        resampling=config.resampling,
    )


def _table(path: Path, runs: Path, run: str | None, index: Path | None) -> ExplanationSource:
    """The explanations of a table, to be scored on the text of a run or of an index."""
    if bool(run) == bool(index):
        raise UsageError(
            f"{path.name} is a table: "
            "say on which text to score it, with --run RUN or with --index I"
        )
    explanations = read_table(path)
    if run:
        return _table_on_run(path, explanations, _run(find_run(run, runs)))
    assert index is not None
    return _on_index(path.name, explanations, runs, index)


def _on_index(
    name: str, explanations: list[Explanation], runs: Path, index: Path
) -> ExplanationSource:
    """Explanations from elsewhere, on the held-out text of an index."""
    from ...tools.index import Index

    opened = Index.open(index)

    def fault(explanation: Explanation) -> str:
        try:
            parse_targets(explanation.target, opened.shape)
        except UsageError as error:
            return str(error)
        return ""

    reject_faulty_rows(name, explanations, fault)
    # the folder keeps the activations for the next time: it is named after what they depend on
    targets = list(dict.fromkeys(explanation.target for explanation in explanations))
    digest = hashlib.sha256("\n".join([opened.corpus_sha256, *targets]).encode()).hexdigest()
    return ExplanationSource(
        name=name,
        folder=runs / f".eval-{Path(name).stem}-{digest[:8]}",
        explanations=explanations,
        index=str(index),
        dictionaries={name: str(of.reads) for name, of in opened.shape.dictionaries.items()},
        subject={
            "name": opened.subject_name,
            "title": opened.subject_title,
            "revision": opened.subject_revision,
        },
        corpus=opened.corpus_name,
        is_run=False,
    )


def _table_on_run(
    path: Path, explanations: list[Explanation], run: ExplanationSource
) -> ExplanationSource:
    collected = {Unit.parse(row["target"]).unsided for row in run.rows}

    def fault(explanation: Explanation) -> str:
        if Unit.parse(explanation.target).unsided in collected:
            return ""
        return f"{run.name} has no activations of it; give --index to collect them"

    reject_faulty_rows(path.name, explanations, fault)
    return replace(run, name=path.name, explanations=explanations, is_run=False, rows=())
