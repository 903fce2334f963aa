"""Measurements of a study's run: one file each in `measured/`, bound to the log by its hash.

Killed at any point, a run loses at most the measurement in progress.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ...studies.measurements import Measured, Measurements
from ...tools.errors import CorruptError, UsageError
from ...tools.files import atomic_file
from ..runlog.chain import FILE
from ..runlog.data_files import check_recorded, record_file
from ..runlog.layout import MEASURED, run_argument
from ..runlog.log import RunLog

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class MeasurementFiles(Measurements):
    """Measurements that are kept in a run's folder.

    Args:
        recorded: a replay, in which nothing may be measured.
    """

    def __init__(self, log: RunLog, *, recorded: bool = False) -> None:
        super().__init__()
        self._log, self._recorded = log, recorded

    def measured(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """The arrays of a measurement, from memory, from its file, or measured now.

        Raises:
            CorruptError: the file was changed, or it is missing in a replay.
        """
        if not NAME.fullmatch(name):
            raise UsageError(
                f"a measurement is named with letters, digits, '.', '-' and '_', not {name!r}"
            )
        return super().measured(name, lambda: self._read_or_write(name, measure))

    def _read_or_write(self, name: str, measure: Callable[[], Measured]) -> Measured:
        file = f"{MEASURED}/{name}.npz"
        path = self._log.folder / file
        # A file without a hash was being written when the run was stopped.
        if self._log.get(FILE, id=file) is None or not (path.exists() or self._recorded):
            self._write(name, file, measure)
        check_recorded(self._log, file)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

    def _write(self, name: str, file: str, measure: Callable[[], Measured]) -> None:
        if self._recorded:
            folder = run_argument(self._log.folder)
            raise CorruptError(
                f"the log has no measurement {name!r}; it was changed or cut short: "
                f"`hubel resume {folder}` measures again"
            )
        arrays = {key: np.asarray(value) for key, value in measure().items()}
        for key, array in arrays.items():
            if array.dtype.hasobject:
                raise UsageError(f"the array {key!r} of measurement {name!r} holds Python objects")
        path = self._log.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial, partial.open("wb") as opened:
            np.savez(opened, allow_pickle=False, **arrays)
        record_file(self._log, file)
