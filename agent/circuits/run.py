"""Circuit runs: make one, take it from wherever it stands to its end.

The folder holds `config.toml`, the log with every measurement, `arrays/`, and what came out:
`circuit.json`, `circuit.svg` and `report.html`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.circuits.tasks import find_task
from ...tools.errors import UsageError
from ...tools.files import atomic_file
from ..runlog.config import versions
from ..runlog.layout import CIRCUIT, CIRCUIT_DRAWING, CIRCUIT_REPORT, CONFIG
from ..runlog.log import RunLog, WriterLock, canonical
from ..runlog.model_config import UNLIMITED, BudgetConfig
from ..runlog.progress import Reporter
from .config import CircuitConfig
from .context import CircuitContext
from .journal import Journal
from .model_access import check_model, make_asker
from .role_finders import check_finder

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel
    from ...tools.subject import Subject
    from ..llm import LanguageModel


def make_circuit_run(folder: Path, config: CircuitConfig) -> None:
    """Write the configuration of a new run, or find that the same one is there already, to go on
    with.

    Raises:
        UsageError: a run of that name was asked for something else; an unknown task, method or explainer.
    """
    from ...tools.circuits.methods import find_method

    find_task(config.task)
    find_method(config.method)
    check_finder(config.explainer.name)
    if not (folder / CONFIG).exists():
        replace(check_model(config), versions=versions()).save(folder)
        return
    there = CircuitConfig.load(folder)
    if _asked_for(there) != _asked_for(config):
        raise UsageError(
            f"the run {folder.name} was asked for something else (its config.toml says what); give another --name, or "
            f"`hubel resume {folder.name}` goes on with it as it is"
        )


def _asked_for(config: CircuitConfig) -> CircuitConfig:
    """What a run is of; limits may be others when it goes on, and how tools are called is found out."""
    explainer = replace(config.explainer, tools="", price={})
    return replace(config, versions={}, budget=UNLIMITED, explainer=explainer)


def work_on_circuit(
    folder: Path,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    limits: BudgetConfig | None = None,
    model: LanguageModel | None = None,
) -> dict[str, Any]:
    """Take a run to its end; safe to interrupt at any point and to call again. Returns what is in
    circuit.json.

    Args:
        limits: of what a language model takes, before those that the run was made with; `model`: who answers for it.

    Raises:
        BudgetReached: a limit; the same call with a larger one goes on.
        NoRoles: the language model's replies could not be used; the same call asks again.
    """
    from .drawing import draw
    from .investigation import investigate
    from .report import report

    reporter = reporter or Reporter()
    config = CircuitConfig.load(folder)
    with WriterLock(folder), closing(RunLog(folder)) as log, ExitStack() as opened:
        asker = partial(make_asker, config, log, limits, model, opened)
        room = CircuitContext(
            folder,
            config,
            log,
            Journal(folder, log),
            _loader(config, log, reporter, subject),
            reporter,
            asker,
        )
        found = json.loads(canonical(investigate(room)))
        _write(
            folder / CIRCUIT,
            json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n",
        )
        if found["nodes"]:
            _write(folder / CIRCUIT_DRAWING, draw(found))
        _write(folder / CIRCUIT_REPORT, report(found, folder.name))
    return found


def _loader(
    config: CircuitConfig, log: RunLog, reporter: Reporter, subject: Subject | None
) -> Callable[[], CircuitModel]:
    """Loads the subject when it is first needed, and sees to it that it is the one that the run began with."""

    def load() -> CircuitModel:
        from ...tools.circuits.selftest import open_circuit_model
        from ...tools.subject import load_subject

        if subject is None:
            reporter.say(f"loading {config.subject}")
        loaded = subject or load_subject(config.subject, device=config.device, dtype=config.dtype)
        for measurement in log.all("measurement").values():
            if measurement["request"] == {"what": "subject"}:
                loaded.require_revision(measurement["value"]["revision"], "the run")
        return open_circuit_model(loaded)

    return load


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
