"""Where the explanations that `hubel eval` scores come from, and the activations that they are
scored against.

A run brings its own explanations, activations and seed. A table is scored on a run's activations
(`--run`), or on those that are collected for it now over an index (`--index`), which are kept under
the runs folder for the next time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import UsageError
from ...tools.subject.address import Unit, parse_targets
from ..runlog.config import RunConfig, find_run
from ..runlog.views import rows
from .tables import Explanation, is_table, read_table, reject_faulty_rows

if TYPE_CHECKING:
    from ...tools.index import Index


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
    """Targets that are no units of the subject."""
    planted: bool = False
    """Whether the run's subject has planted units, which exist on its own corpus only."""
    is_run: bool = True
    """Whether the explanations are the run's own; those of a table are new to it."""
    after_viewing: bool = False
    """Whether the run was made after somebody had opened its target's held-out text."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The run's rows; those of targets without an explanation too."""
    max_contexts: int = 2000


def open_source(
    what: str, runs: Path, *, run: str | None = None, index: Path | None = None
) -> ExplanationSource:
    """A run by its name or folder, or a table by its path.

    Raises:
        UsageError: there is no such thing; or rows of a table cannot be used.
    """
    path = Path(what)
    if is_table(path):
        return _table(path, runs, run, index)
    if run:
        raise UsageError(
            f"--run says on which run's text a table is scored; {what!r} is a run itself"
        )
    return _run(find_run(what, runs))


def _run(folder: Path) -> ExplanationSource:
    config = RunConfig.load(folder)
    found = rows(folder)
    own = [
        Explanation(r["target"], r["explanation"] or "", r["predicate"])
        for r in found
        if r["explanation"]
    ]
    if not own:
        raise UsageError(
            f"{folder.name} has no explanation to score; `hubel show {folder.name}` says why"
        )
    return ExplanationSource(
        name=folder.name,
        folder=folder,
        explanations=own,
        index=config.index,
        subject=config.subject,
        corpus=config.corpus["name"],
        seed=config.seed,
        nulls=config.nulls,
        planted=bool(getattr(config, "suite", "")),
        after_viewing=config.after_viewing,
        rows=found,
        max_contexts=config.max_contexts,
    )


def _table(path: Path, runs: Path, run: str | None, index: Path | None) -> ExplanationSource:
    if bool(run) == bool(index):
        raise UsageError(
            f"{path.name} is a table: say on which text to score it, with --run RUN or with --index I"
        )
    explanations = read_table(path)
    if run:
        return _table_on_run(path, explanations, _run(find_run(run, runs)))
    from ...tools.index import Index

    assert index is not None
    opened = Index.open(index)
    _check_units(path, explanations, opened)
    digest = hashlib.sha256(
        "\n".join([opened.corpus_sha256, *(e.target for e in explanations)]).encode()
    ).hexdigest()
    return ExplanationSource(
        name=path.name,
        folder=runs / f".eval-{path.stem}-{digest[:8]}",
        explanations=explanations,
        index=str(index),
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
    there = {str(Unit.parse(row["target"]).unsided) for row in run.rows}

    def fault(explanation: Explanation) -> str:
        unit = str(Unit.parse(explanation.target).unsided)
        return (
            ""
            if unit in there
            else f"{run.name} has no activations of it; give --index to collect them"
        )

    reject_faulty_rows(path.name, explanations, fault)
    return replace(run, name=path.name, explanations=explanations, is_run=False, rows=())


def _check_units(path: Path, explanations: list[Explanation], index: Index) -> None:
    def fault(explanation: Explanation) -> str:
        try:
            parse_targets(explanation.target, index.shape)
        except UsageError as error:
            return str(error)
        return ""

    reject_faulty_rows(path.name, explanations, fault)
