"""Circuit runs: make one, and run it to its end from wherever it was stopped.

The folder holds `config.toml`, the log with every measurement, `arrays/`, and the results:
`circuit.json`, `circuit.svg` and `report.html`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.circuits.tasks import find_task
from ...tools.errors import UsageError
from ...tools.files import atomic_file
from ..engine import SubjectChoice
from ..runlog.config import versions
from ..runlog.data_files import record_file, record_inputs
from ..runlog.layout import (
    CIRCUIT,
    CIRCUIT_DRAWING,
    CIRCUIT_IMPORTED,
    CIRCUIT_REPORT,
    CONFIG,
    PIECES,
    run_argument,
)
from ..runlog.log import RunLog, WriterLock, canonical
from ..runlog.model_config import UNLIMITED, BudgetConfig
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .context import CircuitContext
from .journal import MeasurementJournal
from .measure_on_engine import EngineMeasurements
from .model_access import check_model, open_journaled_model
from .result import CircuitResult
from .role_finders import check_finder

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel
    from ...tools.subject import Subject
    from ..engine import Engine
    from ..llm import LanguageModel


def make_circuit_run(
    folder: Path,
    config: CircuitConfig,
    imported: bytes = b"",
    check_subject: Callable[[], None] = lambda: None,
) -> None:
    """Write the configuration of a new run; a run of that name with the same configuration is kept.

    Args:
        imported: the file of another program's circuit, which the run tests.
        check_subject: called for a new run, last of all checks.

    Raises:
        UsageError: the run of that name has another configuration; an unknown task, method, explainer.
            Nothing is written then.
    """
    from ...tools.circuits.methods import find_method
    from ..llm.meter import Checks

    find_task(config.task)
    find_method(config.method)
    check_finder(config.explainer.name)
    if not (folder / CONFIG).exists():
        checks = Checks()
        checked = check_model(config, checks)
        check_subject()
        if imported:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(folder / CIRCUIT_IMPORTED) as partial_file:
                partial_file.write_bytes(imported)
        replace(checked, versions=versions()).save(folder)
        with closing(RunLog(folder)) as log:
            checks.write_to(log)
        return
    if _identity(CircuitConfig.load(folder)) != _identity(config):
        raise UsageError(
            f"the run {folder.name} was started as something else (see its config.toml); give another --name, or "
            f"continue it as it is with `hubel resume {run_argument(folder)}`"
        )


def _identity(config: CircuitConfig) -> CircuitConfig:
    """What may not change when a run is resumed; the way of calling tools is detected, not chosen."""
    explainer = replace(config.explainer, tools="", price={})
    return replace(config, versions={}, budget=UNLIMITED, explainer=explainer)


def execute_circuit_run(
    folder: Path,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    limits: BudgetConfig | None = None,
    model: LanguageModel | None = None,
    engine: Engine | None = None,
) -> CircuitResult:
    """Run to the end; safe to interrupt at any point and to call again. Returns circuit.json's content.

    Args:
        subject: used instead of the configured one, if it has the same weights.
        limits: of the language model; override those that the run was made with.
        model: used instead of the configured language model.
        engine: whose workers measure, instead of this process. Results do not depend on it.

    Raises:
        BudgetReached: a limit; the same call with a larger one continues.
        NoRoles: the language model's replies could not be used; the same call asks again.
    """
    from .drawing import draw_circuit
    from .investigation import investigate
    from .report import render_report

    reporter = reporter or Reporter()
    config = CircuitConfig.load(folder)
    with WriterLock(folder), closing(RunLog(folder)) as log, ExitStack() as stack:
        record_inputs(log)
        context = CircuitContext(
            folder,
            config,
            log,
            MeasurementJournal(folder, log),
            load=partial(_load_model, config, log, reporter, subject),
            reporter=reporter,
            open_model=partial(open_journaled_model, config, log, limits, model, stack),
        )
        if engine is not None:
            choice = _choose_subject(config, log, subject)
            context.remote = EngineMeasurements(engine, folder, choice, reporter)
        result: CircuitResult = json.loads(canonical(investigate(context)))
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1)
        _write(log, CIRCUIT, text + "\n")
        if result["verdict"] != "cannot do":
            _write(log, CIRCUIT_DRAWING, draw_circuit(result))
        _write(log, CIRCUIT_REPORT, render_report(result, folder.name))
        shutil.rmtree(folder / PIECES, ignore_errors=True)  # what an engine's workers left
        log.seal()
    return result


def _load_model(
    config: CircuitConfig, log: RunLog, reporter: Reporter, subject: Subject | None
) -> CircuitModel:
    """The subject as a graph; raises UsageError if its weights differ from those in the log."""
    from ...tools.circuits.selftest import open_circuit_model
    from ...tools.subject import load_subject

    if subject is None:
        reporter.say(f"loading {config.subject}")
        subject = load_subject(
            config.subject, device=config.device, dtype=config.dtype, progress=reporter.say
        )
        if config.dtype != "float32":
            reporter.say(f"circuits are computed in float32, with the weights in {config.dtype}")
    if revision := _measured_revision(log):
        subject.require_revision(revision, "the run")
    return open_circuit_model(subject)


def _choose_subject(config: CircuitConfig, log: RunLog, subject: Subject | None) -> SubjectChoice:
    """What every worker loads: the weights of the run's earlier measurements, if it has any."""
    from ...tools.subject.load import subject_revision

    revision = _measured_revision(log) or (
        subject_revision(config.subject) if subject is None else subject.revision
    )
    return SubjectChoice(config.subject, revision, config.device, config.dtype)


def _measured_revision(log: RunLog) -> str:
    """The revision of the subject that the run has measured; "" if it has measured nothing."""
    for measurement in log.all("measurement").values():
        if measurement["request"] == {"what": "subject"}:
            return measurement["value"]["revision"]
    return ""


def _write(log: RunLog, name: str, text: str) -> None:
    with atomic_file(log.folder / name) as partial_file:
        partial_file.write_text(text, encoding="utf-8")
    record_file(log, name)
