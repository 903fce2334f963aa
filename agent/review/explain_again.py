"""Explain a target again, in a new run that says where it comes from.

The new run has the old one's explainer, index and limits, one target, and a person's note to a
language model. The formula search reads no notes; it sees other text instead: more contexts, or
other ones. If held-out text of the target was opened before, the new explanation comes after
viewing: it is scored on select and on another corpus (`score_on_other_corpus`) and cannot be kept.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import ArgumentError, CorruptError
from ...tools.files.regular_file import read_regular
from ..runlog.config import RunConfig
from ..runlog.config_file import MAX_BYTES
from ..runlog.layout import SUITE
from . import score_on_other_corpus
from .run_catalog import RunCatalog, StoredRun, UnknownName
from .target_list import row_of

if TYPE_CHECKING:
    from .request_models import AgainBody

OUTPUT = "again.log"
"""Where the new run's folder keeps the output of its process."""
MAX_JOBS = 4


class Jobs:
    """The runs that were started from the page, by their names."""

    def __init__(self, catalog: RunCatalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._scorer = ThreadPoolExecutor(max_workers=1)
        """Edits are scored on another corpus one after the other, since each loads the subject."""
        self._scoring: subprocess.Popen[bytes] | None = None

    def start(self, run: StoredRun, target: str, body: AgainBody) -> str:
        """Make the new run and start it; returns its name.

        Raises:
            ArgumentError: the explainer would repeat its explanation, or too many runs are going.
            UsageError: the index is gone.
        """
        from ..run.execute import make_run

        with run.store.reading() as db:
            row_of(run, db, target)
        config = RunConfig.load(run.folder)
        _check_difference(config, body)
        suite = _suite(run.folder) if config.suite else b""
        with self._lock:
            if sum(process.poll() is None for process in self._processes.values()) >= MAX_JOBS:
                raise ArgumentError(f"{MAX_JOBS} explanations are being made; wait for one to end")
            folder = _new_folder(run)
            is_opened = run.reviews.opened(target) is not None
            make_run(folder, rerun_config(config, target, run.name, body, after_viewing=is_opened))
            if config.suite:
                (folder / SUITE).write_bytes(suite)
            self._catalog.add(folder)
            self._processes[folder.name] = _resume(folder, after_viewing=is_opened)
        return folder.name

    def score_elsewhere(self, run: StoredRun, review: str) -> None:
        """Score an edit on another corpus; the score is an event in the reviews."""
        self._scorer.submit(self._score, run.folder, review)

    def _score(self, folder: Path, review: str) -> None:
        with score_on_other_corpus.start(folder, review) as self._scoring:
            pass  # leaving the block waits for the process

    def state(self, name: str) -> dict[str, Any]:
        """How far a job is: running, done or failed, and why."""
        process = self._processes.get(name)
        if process is None:
            raise UnknownName(
                f"there is no job {name[:100]!r}; jobs are forgotten when the server ends, their runs are not"
            )
        status = process.poll()
        state = "running" if status is None else "done" if status == 0 else "failed"
        error = None
        if state == "failed":
            error = _last_line(self._catalog.run(name, fresh=False).folder / OUTPUT)
        return {"state": state, "run": name, "error": error}

    def close(self) -> None:
        """Ask running jobs to stop; `hubel resume` goes on with them."""
        self._scorer.shutdown(wait=False, cancel_futures=True)
        processes = [*self._processes.values(), *filter(None, [self._scoring])]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)


def _check_difference(config: RunConfig, body: AgainBody) -> None:
    """Raise ArgumentError if nothing would be different the second time."""
    has_other_text = body.max_contexts not in (None, config.max_contexts)
    has_other_text |= body.seed not in (None, config.seed)
    if config.explainer.is_language_model:
        if not (body.note or has_other_text):
            raise ArgumentError(
                "say in a note what the explainer should look at, or give other settings"
            )
    elif not has_other_text:
        raise ArgumentError(
            f"{config.explainer.name} reads no notes and would find the same again; give another "
            f"max_contexts (the run has {config.max_contexts}) or seed ({config.seed}), so that it sees "
            "other text"
        )


def rerun_config(
    config: RunConfig, target: str, run: str, body: AgainBody, *, after_viewing: bool
) -> RunConfig:
    """The configuration of the new run."""
    return replace(
        config,
        targets=[target],
        nulls={t: kind for t, kind in config.nulls.items() if t == target},
        note=body.note,
        max_contexts=config.max_contexts if body.max_contexts is None else body.max_contexts,
        seed=config.seed if body.seed is None else body.seed,
        after_viewing=after_viewing,
        origin={"run": run, "target": target, "by": body.name},
    )


def _suite(folder: Path) -> bytes:
    try:
        return read_regular(folder / SUITE, MAX_BYTES, inside=folder)
    except OSError as error:
        raise CorruptError(f"{folder / SUITE} cannot be read: {error.strerror}") from None


def _new_folder(run: StoredRun) -> Path:
    number = 1
    while (folder := run.folder.parent / f"{run.name}-again-{number}").exists():
        number += 1
    return folder


def _resume(folder: Path, *, after_viewing: bool) -> subprocess.Popen[bytes]:
    package = str(__package__).partition(".")[0]
    command = [
        sys.executable,
        "-m",
        package,
        "resume",
        folder.name,
        "--runs",
        str(folder.parent),
        "--quiet",
    ]
    if after_viewing:
        command = [*score_on_other_corpus.COMMAND, str(folder)]
    with (folder / OUTPUT).open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def _last_line(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else "the process ended without a message"
