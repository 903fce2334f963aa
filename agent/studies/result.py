"""study.json: the result of a study's run, as the review page and a user's own programs read it.

It is a pure function of the measurements: a replay makes the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from ...tools.errors import CorruptError, UsageError
from ...tools.files.jsonable import jsonable
from ...tools.files.regular_file import IrregularFileError, read_regular
from ..runlog.data_files import check_file
from ..runlog.layout import STUDY, run_argument

if TYPE_CHECKING:
    from ...studies import Study, StudyResult
    from .config import StudyConfig

FORMAT = 1
MAX_BYTES = 64 << 20
"""The largest study.json that is read; 20,000 points with their texts take 4 MB."""


class ClaimRow(TypedDict):
    """A claim, as `hubel study --json` prints it."""

    study: str
    claim: str
    verdict: str
    value: float | None
    low: float | None
    high: float | None
    control: float | None
    n: int


class StudyDocument(TypedDict):
    """The content of study.json."""

    format: int
    study: str
    family: str
    question: str
    subjects: list[str]
    options: dict[str, Any]
    claims: list[ClaimRow]
    rows: list[dict[str, Any]]
    figures: list[dict[str, Any]]


def study_document(study: Study, config: StudyConfig, result: StudyResult) -> StudyDocument:
    """What is written of a result; numbers as JSON has them.

    Raises:
        UsageError: a number is not finite.
    """
    claims = [{"study": study.name, **jsonable(claim)} for claim in result.claims]
    document = {
        "format": FORMAT,
        "study": study.name,
        "family": study.family,
        "question": study.question,
        "subjects": list(config.subjects),
        "options": dict(config.options),
        "claims": claims,
        "rows": [jsonable(row) for row in result.rows],
        "figures": [jsonable(figure) for figure in result.figures],
    }
    try:
        text = json.dumps(document, allow_nan=False, default=_plain)
    except ValueError as error:
        raise UsageError(
            f"{study.name} computed numbers that are not finite, so there is no result; try "
            "--dtype float32, or more texts in each group"
        ) from error
    return cast(StudyDocument, json.loads(text))


def _plain(value: Any) -> Any:
    """A numpy number as Python has it."""
    import numpy as np  # here, since reading a result needs none and `--help` loads this module

    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a study returned {value!r}, which JSON cannot hold")


def read_study(folder: Path) -> StudyDocument:
    """The result of a run.

    Raises:
        UsageError: the run has no result yet, or a newer hubel wrote it.
        CorruptError: it was changed after it was written, or cannot be read.
    """
    path = folder / STUDY
    if not path.exists():
        raise UsageError(
            f"{folder.name} has no result yet; `hubel resume {run_argument(folder)}` goes on "
            "where it stopped"
        )
    check_file(folder, STUDY)
    try:
        document = json.loads(read_regular(path, MAX_BYTES, inside=folder))
    except (ValueError, IrregularFileError) as error:
        raise CorruptError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise CorruptError(f"{path} is not the result of a study")
    if document["format"] > FORMAT:
        raise UsageError(
            f"{path} was written by a newer hubel (format {document['format']}, here {FORMAT}); upgrade"
        )
    return cast(StudyDocument, document)
