"""Explain a target again, as a run of its own that says where it comes from.

The new run has the old one's explainer, index and limits, one target, and a person's note to a
language model. The formula search reads no notes, and sees other text instead: more contexts, or
others of them. Where held-out text of the target was opened before, the new explanation comes after
viewing: it is scored on select and on another corpus (`elsewhere`) and gets no verdict of keeping.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...tools.errors import ArgumentError
from ..runlog.config import RunConfig
from ..runlog.layout import SUITE
from . import score_on_other_corpus
from .rows import row_of
from .run_catalog import RunCatalog, StoredRun, UnknownName

if TYPE_CHECKING:
    from .request_models import AgainBody

OUTPUT = "again.log"
"""Where the new run's folder keeps what its process said."""
MOST_JOBS = 4


class Jobs:
    """The runs that were started from the page, by their names."""

    def __init__(self, library: RunCatalog) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._scorer = ThreadPoolExecutor(max_workers=1)
        """Edits are scored elsewhere one after the other: each loads the subject."""
        self._scoring: subprocess.Popen[bytes] | None = None

    def start(self, run: StoredRun, target: str, body: AgainBody) -> str:
        """Make the new run and start it; returns its name.

        Raises:
            ArgumentError: the explainer would find the same again, or too many runs are going.
            UsageError: the index is gone.
        """
        from ..run.execute import make_run

        with run.store.reading() as db:
            row_of(run, db, target)
        config = RunConfig.load(run.folder)
        _check(config, body)
        with self._lock:
            if sum(job.poll() is None for job in self._started.values()) >= MOST_JOBS:
                raise ArgumentError(f"{MOST_JOBS} explanations are being made; wait for one to end")
            folder = _new_folder(run)
            opened = run.reviews.opened(target) is not None
            make_run(folder, again(config, target, run.name, body, after_viewing=opened))
            if config.suite:
                shutil.copy(run.folder / SUITE, folder / SUITE)
            self._library.add(folder)
            self._started[folder.name] = _resume(folder, after_viewing=opened)
        return folder.name

    def score_elsewhere(self, run: StoredRun, review: str) -> None:
        """Score an edit on another corpus; what comes of it is an event beside the edit."""
        self._scorer.submit(self._score, run.folder, review)

    def _score(self, folder: Path, review: str) -> None:
        with score_on_other_corpus.start(folder, review) as self._scoring:
            pass  # left when the process has ended

    def state(self, name: str) -> dict[str, Any]:
        """How far a job is: running, done or failed, and why."""
        job = self._started.get(name)
        if job is None:
            raise UnknownName(
                f"there is no job {name[:100]!r}; jobs are forgotten when the server ends, their runs are not"
            )
        code = job.poll()
        state: Literal["running", "done", "failed"] = (
            "running" if code is None else "done" if code == 0 else "failed"
        )
        run = self._library.run(name, fresh=False)
        return {
            "state": state,
            "run": name,
            "error": _last_line(run.folder / OUTPUT) if state == "failed" else None,
        }

    def close(self) -> None:
        """Ask what still goes on to stop; `hubel resume` goes on with it."""
        self._scorer.shutdown(wait=False, cancel_futures=True)
        jobs = [*self._started.values(), *filter(None, [self._scoring])]
        for job in jobs:
            if job.poll() is None:
                job.terminate()
        for job in jobs:
            with suppress(subprocess.TimeoutExpired):
                job.wait(timeout=5)


def _check(config: RunConfig, body: AgainBody) -> None:
    """Whether anything would be different the second time."""
    other = body.max_contexts not in (None, config.max_contexts) or body.seed not in (
        None,
        config.seed,
    )
    if config.explainer.is_language_model:
        if not (body.note or other):
            raise ArgumentError(
                "say in a note what the explainer should look at, or give other settings"
            )
    elif not other:
        raise ArgumentError(
            f"{config.explainer.name} reads no notes and would find the same again; give another "
            f"max_contexts (the run has {config.max_contexts}) or seed ({config.seed}), so that it sees "
            "other text"
        )


def again(
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


def _new_folder(run: StoredRun) -> Path:
    number = 1
    while (folder := run.folder.parent / f"{run.name}-again-{number}").exists():
        number += 1
    return folder


def _resume(folder: Path, *, after_viewing: bool) -> subprocess.Popen[bytes]:
    package = str(__package__).partition(".")[0]
    plain = [
        sys.executable,
        "-m",
        package,
        "resume",
        folder.name,
        "--runs",
        str(folder.parent),
        "--quiet",
    ]
    command = [*score_on_other_corpus.COMMAND, str(folder)] if after_viewing else plain
    with (folder / OUTPUT).open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def _last_line(path: Path) -> str:
    lines = (
        path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if path.exists()
        else []
    )
    return lines[-1][:500] if lines else "the process ended without a word"
