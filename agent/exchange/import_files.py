"""Import: files of another tool as a set among the runs, checked as far as can be, whole or not at all.

1. The format is recognised, or given, and read (`formats`).
2. The words of each explanation are turned back into a formula where they are hubel's own
   (`formulas`).
3. With an index, every unit has to be in its subject, and every token of the texts in its vocabulary.
4. The set is written (`imported`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...tools.errors import UsageError
from ...tools.index import Index
from ...tools.subject.address import Unit
from .config import ImportConfig
from .formulas import with_formulas
from .imported import write_set
from .places import PlaceNames
from .records import ExplanationSet, SeenText
from .registry import ReadOptions, find_format, recognise

REPORTED = 3
"""Faults of one kind that a message names."""


def import_files(
    path: Path,
    folder: Path,
    *,
    format: str = "",
    index: Path | None = None,
    units: Mapping[str, str] | None = None,
) -> ExplanationSet:
    """Read files of another tool and keep them as a set.

    Args:
        folder: the new folder among the runs.
        format: name of the format; "" to recognise it.
        index: the index whose subject and vocabulary everything is checked against.
        units: what the file calls a place, to what it is here.

    Raises:
        UsageError: what was given is of no known format, cut short, or cannot be used; one line that
            says where.
    """
    places = PlaceNames(dict(units or {}))
    found = find_format(format, to=False) if format else recognise(path)
    if not path.exists():
        raise UsageError(f"no file or folder at {str(path)!r}")
    assert found.read is not None
    opened = None if index is None else Index.open(index)
    vocabulary = () if opened is None else opened.vocabulary
    explanations = found.read(path, ReadOptions(places, vocabulary))
    notes = (*explanations.notes, *places.notes())
    explanations = replace(explanations, name=folder.name, notes=notes)
    _check_units(path, explanations)
    explanations = with_formulas(explanations)
    if opened is not None:
        _check_against_index(path, explanations, opened)
    else:
        unchecked = "units and tokens were compared with no subject; --index I compares them"
        explanations = replace(explanations, notes=(*explanations.notes, unchecked))
    write_set(
        folder,
        explanations,
        ImportConfig(str(path), found.name, str(index or ""), dict(units or {})),
    )
    return explanations


def _check_units(path: Path, explanations: ExplanationSet) -> None:
    """Scores, events and rows are kept by unit, so there can be one explanation of each."""
    if not any(unit.sentence or unit.texts for unit in explanations):
        raise UsageError(f"{path} has no explanation; give a file or folder that has some")
    counts = Counter(unit.unit for unit in explanations)
    repeated = [unit for unit, count in counts.items() if count > 1]
    if repeated:
        raise UsageError(
            f"{path} has {len(repeated)} units more than once, {repeated[0]} first; import two files "
            "and compare them with `hubel eval A B`"
        )


def _check_against_index(path: Path, explanations: ExplanationSet, index: Index) -> None:
    """Raise UsageError for units that the subject does not have, and tokens that it never makes."""
    faults: list[str] = []
    for unit in explanations:
        try:
            index.shape.column(Unit.parse(unit.unit))
        except UsageError as error:
            faults.append(f"{unit.place or unit.unit}: {error}")
    _raise_faults(path, "units", len(explanations), faults, index.subject_name)
    vocabulary = set(index.vocabulary)
    strange = [
        f"{unit.place or unit.unit}: {token!r:.40}"
        for unit in explanations
        if (token := _strange_token(unit.texts, vocabulary)) is not None
    ]
    _raise_faults(path, "units with tokens", len(explanations), strange, index.subject_name)


def _strange_token(texts: Sequence[SeenText], vocabulary: set[str]) -> str | None:
    """The first token of a unit's texts that is not one of the vocabulary."""
    for text in texts:
        for token in text.tokens:
            if token not in vocabulary:
                return token
    return None


def _raise_faults(path: Path, what: str, of: int, faults: list[str], subject: str) -> None:
    if faults:
        listed = "; ".join(faults[:REPORTED])
        more = f"; and {len(faults) - REPORTED} more" if len(faults) > REPORTED else ""
        raise UsageError(
            f"{path}: {len(faults)} of {of} {what} are not of {subject}: {listed}{more}; give the index "
            "of the subject that the file is about, or --as MODULE=PLACE"
        )
