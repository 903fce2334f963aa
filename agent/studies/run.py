"""Study runs: make one, run it to its end from wherever it was stopped, and replay it.

The folder holds `config.toml`, the log, `measured/`, and the result, `study.json`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...studies import StudyContext, find_study
from ...tools.errors import CorruptError, HubelError, UsageError
from ...tools.files import atomic_file
from ..runlog.compare_logs import differences
from ..runlog.config import versions
from ..runlog.data_files import check_folder, record_file, record_inputs
from ..runlog.layout import CONFIG, EVENTS, MEASURED, STUDY, run_argument
from ..runlog.log import RunLog, WriterLock, canonical, read_events
from ..runlog.progress import Reporter
from .config import StudyConfig
from .measurement_files import MeasurementFiles
from .result import StudyDocument, read_study, study_document

if TYPE_CHECKING:
    from ...tools.subject import Subject

LOADED = "subject"
"""Event: a subject that was loaded, with the revision of its weights."""
SHOWN_MISMATCHES = 20


@dataclass(frozen=True)
class StudyReplay:
    """What a replay computed, and where it differs from study.json."""

    document: StudyDocument
    mismatches: list[str]
    bitwise: bool


def study_config(
    name: str,
    options: Mapping[str, Any],
    subjects: list[str],
    device: str = "auto",
    dtype: str = "float32",
) -> StudyConfig:
    """The configuration of a study, checked before anything is loaded.

    Raises:
        UsageError: an unknown study, or too few or too many subjects for it.
        ArgumentError: an option that does not fit.
    """
    study = find_study(name)
    needed, given = study.subjects, len(subjects)
    if (needed >= 0 and given != needed) or (needed < 0 and given < 2):
        expected = (
            "two or more subjects" if needed < 0 else f"{needed} subject{'s' * (needed != 1)}"
        )
        raise UsageError(f"{name} needs {expected}, and {given} given: name each with --subject")
    checked = study.arguments.model_validate(study.checked(options)).model_dump(mode="json")
    return StudyConfig(name, list(subjects), _without_nulls(checked), device, dtype)


def run_study(folder: Path, config: StudyConfig, reporter: Reporter | None = None) -> StudyDocument:
    """Make a run, or go on with the one of that name, and execute it.

    A new run in which nothing could be measured, as with an unknown data set, is not kept.
    """
    is_new = make_study_run(folder, config)
    try:
        return execute_study_run(folder, reporter)
    except HubelError:
        if is_new and not any((folder / MEASURED).glob("*.npz")):
            shutil.rmtree(folder)
        raise


def make_study_run(folder: Path, config: StudyConfig) -> bool:
    """Write the configuration of a new run; a run of that name with the same configuration is kept.

    Returns:
        Whether the run is new.

    Raises:
        UsageError: the run of that name has another configuration.
    """
    if not (folder / CONFIG).exists():
        replace(config, versions=versions()).save(folder)
        return True
    if replace(StudyConfig.load(folder), versions={}) != replace(config, versions={}):
        raise UsageError(
            f"the run {folder.name} was started as something else (see its config.toml); give another "
            f"--name, or continue it as it is with `hubel resume {run_argument(folder)}`"
        )
    return False


def execute_study_run(
    folder: Path, reporter: Reporter | None = None, subjects: Mapping[str, Subject] | None = None
) -> StudyDocument:
    """Run to the end; safe to interrupt at any point and to call again.

    Args:
        subjects: loaded subjects by name, used instead of loading them.
    """
    reporter = reporter or Reporter()
    config, began = StudyConfig.load(folder), time.monotonic()
    with WriterLock(folder), closing(RunLog(folder)) as log:
        record_inputs(log)
        context = StudyContext(
            config.subjects,
            lambda name: _load(name, config, log, reporter, subjects or {}),
            MeasurementFiles(log),
            lambda step, done, total: reporter.update(step, done, total),
        )
        document = _concluded(context, config)
        with atomic_file(folder / STUDY) as partial:
            text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
            partial.write_text(text + "\n", encoding="utf-8")
        record_file(log, STUDY)
        if log.get("duration") is None:
            log.write("duration", {"seconds": round(time.monotonic() - began, 3)})
        log.seal()
    return document


def replay_study(folder: Path) -> StudyReplay:
    """Compute a finished study again from its measurements, without a subject.

    Raises:
        CorruptError: there is no log, or a measurement is missing or was changed.
    """
    if not (folder / EVENTS).is_dir():
        raise CorruptError(f"{folder.name} has no log (there is no {EVENTS}/): nothing to replay")
    old = read_study(folder)
    check_folder(folder, MEASURED)
    with tempfile.TemporaryDirectory(prefix="hubel-replay-") as name:
        copy = Path(name)
        shutil.copy(folder / CONFIG, copy)
        (copy / MEASURED).symlink_to((folder / MEASURED).resolve())
        with closing(RunLog(copy)) as log:
            for event in read_events(folder):
                if event.event == "file" and str(event.id).startswith(f"{MEASURED}/"):
                    log.write(event.event, event.data, id=event.id)
            config = StudyConfig.load(copy)
            measurements = MeasurementFiles(log, recorded=True)
            new = _concluded(StudyContext(config.subjects, _no_subject, measurements), config)
    mismatches = differences(old, new, origin=STUDY)
    same = canonical(old) == canonical(new)
    return StudyReplay(new, mismatches[:SHOWN_MISMATCHES], same)


def _concluded(context: StudyContext, config: StudyConfig) -> StudyDocument:
    study = find_study(config.study)
    return study_document(study, config, study(context, config.options))


def _load(
    name: str,
    config: StudyConfig,
    log: RunLog,
    reporter: Reporter,
    loaded: Mapping[str, Subject],
) -> Subject:
    """A subject; raises UsageError if its weights differ from those that were measured before."""
    from ...tools.subject import load_subject

    subject = loaded.get(name)
    if subject is None:
        reporter.say(f"loading {name}")
        subject = load_subject(
            name, device=config.device, dtype=config.dtype, progress=reporter.say
        )
    before = log.get(LOADED, id=name)
    if before is not None:
        subject.require_revision(before["revision"], "the run")
    else:
        log.write(LOADED, {"revision": subject.revision}, id=name)
    return subject


def _no_subject(name: str) -> Subject:
    raise CorruptError(
        f"a replay loads no subject, and the study asked for {name!r} outside of a measurement"
    )


def _without_nulls(options: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null; an option that is left out has its default, which is null wherever it may be."""
    return {name: value for name, value in options.items() if value is not None}


def study_seconds(folder: Path) -> float | None:
    """Seconds that the run took when it was first finished; None before."""
    with closing(RunLog(folder, writable=False)) as log:
        timing = log.get("duration")
    return None if timing is None else float(timing["seconds"])
