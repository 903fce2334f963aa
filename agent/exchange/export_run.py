"""Export: a run, or an imported set, as the file or folder of a format, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...tools.errors import UsageError
from ...tools.files.atomic import scratch_folder
from .config import is_imported
from .from_run import set_of_run
from .imported import read_set
from .losses import losses
from .records import ExplanationSet
from .registry import ExchangeFormat, find_format
from .run_texts import RunTexts


@dataclass(frozen=True)
class Exported:
    """What was written, and what the format has no room for."""

    path: Path
    format: ExchangeFormat
    units: int
    explained: int
    left_out: list[str]
    """One line for each kind of thing."""


def export_run(folder: Path, format: str, out: Path) -> Exported:
    """Write the explanations of a run or an imported set.

    Raises:
        UsageError: the format is not written, the path is taken or has another suffix, or there is
            nothing that the format can hold.
        CorruptError: the run's files cannot be read.
    """
    target = find_format(format, to=True)
    _check_path(target, out)
    shows_text = "texts" in target.holds
    texts = None
    if is_imported(folder):
        explanations = read_set(folder)
    else:
        texts = RunTexts.open(folder) if shows_text else None
        explanations = set_of_run(folder, texts)
    if not explanations.explained:
        raise UsageError(f"{folder.name} has no explanation to export; `hubel show` says why")
    assert target.write is not None
    with scratch_folder(out) as part:
        whole = part / out.name  # under its own name, whose suffix may say what to write
        if not target.suffixes:
            whole.mkdir()
        extra = target.write(explanations, whole, texts)
        whole.rename(out)
    left_out = [*losses(explanations, target.holds), *extra]
    return Exported(out, target, len(explanations), len(explanations.explained), left_out)


def _check_path(target: ExchangeFormat, out: Path) -> None:
    """Raise UsageError where the path is taken, or its suffix would hide what it is."""
    if out.exists():
        raise UsageError(f"{out} is there already; choose another --out, or delete it")
    if target.suffixes and out.suffix not in target.suffixes:
        raise UsageError(
            f"--out {out}: {target.name} is a file {' or '.join(target.suffixes)}; add the suffix"
        )


def read_any(folder: Path) -> ExplanationSet:
    """The explanations of a run or of an imported set, without further text."""
    return read_set(folder) if is_imported(folder) else set_of_run(folder)
