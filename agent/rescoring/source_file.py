"""A source of explanations as one file, for the workers of an engine.

A worker does not read the log of a run, which another process is writing. All that scoring needs of a
source is in this file, named by its hash; the activations stay where they are.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...evals.statistics.resampling import Resampling
from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ...tools.files.jsonable import jsonable
from ..exchange.records import ExplainedUnit, ExplanationSet, unit_of_row, unit_row
from .sources import ExplanationSource
from .tables import Explanation


def write_source(folder: Path, source: ExplanationSource) -> Path:
    """Write a source into a folder; returns the file, whose name has the hash of what is in it."""
    text = json.dumps(_content(source), sort_keys=True)
    path = folder / f"source-{hashlib.sha256(text.encode()).hexdigest()}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        part.write_text(text)
    return path


def read_source(path: Path) -> ExplanationSource:
    """Read what `write_source` wrote; raises CorruptError if it is something else."""
    try:
        text = path.read_text()
    except OSError as error:
        raise CorruptError(f"{path} cannot be read ({error.strerror}): score again") from error
    if path.stem != f"source-{hashlib.sha256(text.encode()).hexdigest()}":
        raise CorruptError(f"{path} is not what was written: delete it and score again")
    content: dict[str, Any] = json.loads(text)
    imported = content.pop("imported")
    return ExplanationSource(
        **content
        | {
            "folder": Path(content["folder"]),
            "explanations": [Explanation(**row) for row in content["explanations"]],
            "resampling": Resampling.from_settings(content["resampling"]),
            "imported": imported and _set_of(imported),
        }
    )


def _content(source: ExplanationSource) -> dict[str, Any]:
    """All of a source that scores depend on, as plain JSON values."""
    parts = {name: value for name, value in vars(source).items() if name != "imported"}
    return jsonable(
        parts
        | {
            "folder": str(source.folder.absolute()),
            "explanations": [asdict(explanation) for explanation in source.explanations],
            "rows": [{"target": row["target"]} for row in source.rows],
            "resampling": source.resampling.to_settings(),
            "imported": None if source.imported is None else _set_content(source.imported),
        }
    )


def _set_content(imported: ExplanationSet) -> dict[str, Any]:
    """An imported set without what only its own tool measured."""
    return {"head": imported.head(), "units": [unit_row(_shown(unit)) for unit in imported.units]}


def _shown(unit: ExplainedUnit) -> ExplainedUnit:
    """A unit with the texts that its explainer may have seen, without values."""
    texts = tuple(
        replace(text, values=(), predicted=(), ids=()) for text in unit.texts_of("prompt", "shown")
    )
    return replace(unit, texts=texts, scores=(), promoted=(), suppressed=(), statistics={})


def _set_of(content: dict[str, Any]) -> ExplanationSet:
    return ExplanationSet.from_head(content["head"], list(map(unit_of_row, content["units"])))
