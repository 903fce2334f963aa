"""The 113 binary tasks of SAE-Probes, and eight of them out of distribution (names that end in _OOD).

Kantamneni et al., "Are Sparse Autoencoders Useful? A Case Study in Sparse Probing" (ICML 2025). The
package sae-probes 0.4.2 is fetched once (45 MB) and not installed; hubel ships the index
`sae_probes.csv` with each file's hash, source and licence, and none of the text. Labels are 0 and 1
as the package's label encoder numbers them: the alphabetical order of its own labels, which are the
slice `given`.

What a reader should know:

- Classes were balanced by repeating rows: of 5,000 rows up to 1,760 are exact repetitions, so that a
  split by row has most of them on both sides. Groups are the texts, so a split by group has not.
- A few texts have both labels (19 of 909 in disease_class_digestive_system_diseases).
- The three agnews tasks set news against code.
- The out-of-distribution file of QNLI has sentences without questions, so it is another task.
"""

from __future__ import annotations

import csv
import io
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from .labelled_texts import LabelledTexts
from .package_files import package_member
from .registry import register

REQUIREMENT, INSIDE = "sae-probes==0.4.2", "sae_probes/data"
SHA256 = "b05e8d792d7c444ea87258814a4b47323437d1f7525c16e3afb815b6a8c15f74"
"""Of the package's whole folder of data."""
FAMILY = "sae-probes"


class SaeProbesTask(NamedTuple):
    """One task, as the index has it."""

    name: str
    member: str
    sha256: str
    rows: int
    summary: str
    source: str
    licence: str

    @property
    def is_out_of_distribution(self) -> bool:
        """Whether it has the texts of another source for a task that is there as well."""
        return self.name.endswith("_OOD")


@cache
def sae_probes_tasks() -> dict[str, SaeProbesTask]:
    """Every task by its name, without the `sae-probes/` before it."""
    path = Path(__file__).with_suffix(".csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [SaeProbesTask(**{**row, "rows": int(row["rows"])}) for row in csv.DictReader(file)]
    return {row.name: row for row in rows}


def read_task(task: SaeProbesTask) -> LabelledTexts:
    """A task's texts in the package's order.

    Raises:
        UnavailableError: the package registry cannot be reached, or the disk cannot be written.
        CorruptError: what was fetched is not what was tested.
    """
    path = package_member(REQUIREMENT, INSIDE, SHA256, task.member, task.sha256)
    rows = _read_zstandard(path)
    given = tuple(row["target"] for row in rows)
    numbers = {label: str(number) for number, label in enumerate(sorted(set(given)))}
    return LabelledTexts(
        f"{FAMILY}/{task.name}",
        tuple(row["prompt"] for row in rows),
        tuple(numbers[label] for label in given),
        slices={"given": given},
        source=task.source,
        licence=task.licence,
    )


def _read_zstandard(path: Path) -> list[dict[str, str]]:
    import pyarrow as pa

    text = pa.input_stream(str(path), compression="zstd").read().decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


for _task in sae_probes_tasks().values():
    register(f"{FAMILY}/{_task.name}", _task.summary, partial(read_task, _task))
