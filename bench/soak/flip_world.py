"""What the flip soak damages: a subject, an index, runs and a cache, small and on disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...agent.run.execute import make_run, resolve
from ...agent.runlog.config import RunConfig
from ...agent.runlog.layout import EVENTS, LOCK
from . import fixtures
from .fork_server import ForkServer

TARGETS = ("mlp.1.5", "mlp.2.7-", "head.1.0")
PARTS = ("finished run", "stopped run", "index", "unfinished index", "subject", "cache")
"""Names of what is damaged."""
STOP_AFTER, SHORT = 0.6, 16
"""The unfinished index is stopped after this share of its tokens, and has contexts so short that
select has several batches: explore is then finished, and select has a checkpoint."""


@dataclass(frozen=True)
class Step:
    """A command line on the copy of a part.

    Attributes:
        leads_on: later steps use what it makes, and are skipped if it fails.
        writes: a file that it writes, which counts as its output.
    """

    argv: tuple[str, ...]
    cache: Path
    leads_on: bool = False
    writes: Path | None = None


@dataclass(frozen=True)
class Part:
    """Something on disk that commands read.

    Attributes:
        place: where its copy is put.
        undamaged: what else its commands need: from where and to where it is copied.
    """

    name: str
    original: Path
    place: Path
    steps: tuple[Step, ...]
    undamaged: tuple[tuple[Path, Path], ...]

    def files(self) -> Iterator[Path]:
        """Its files that are not empty, relative to it."""
        for path in self.original.rglob("*"):
            if path.is_file() and path.stat().st_size and path.name not in (LOCK, ".lock"):
                yield path.relative_to(self.original)

    def copy(self) -> None:
        """Put a fresh copy into its place."""
        for source, target in (*self.undamaged, (self.original, self.place)):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)


def make_world(folder: Path, fork_server: ForkServer) -> list[Part]:
    """Make the originals in a folder; returns the parts to damage."""
    folder.mkdir()
    subject, corpus = _write_subject(folder), _write_corpus(folder)
    build = ("index", "--subject", str(subject), "--corpus", str(corpus), "--json", "--quiet")
    _must(fork_server, folder, (*build, "--out", str(folder / "index")))
    _stop_index(folder, subject, corpus)
    finished, stopped = folder / "finished", folder / "stopped"
    for run in (finished, stopped):
        config = {"index": str(folder / "index"), "targets": list(TARGETS)}
        config |= {"max_contexts": fixtures.CONTEXTS, "concurrency": 1}
        make_run(run, resolve(RunConfig.from_settings(config)))
    _must(fork_server, folder, ("resume", str(finished), "--quiet"))
    _kill_half_way(fork_server, folder, stopped)
    # The page's store of a run is cached under the run's place.
    shutil.copytree(finished, folder / "trial" / "run")
    _must(fork_server, folder, ("report", str(folder / "trial" / "run"), "--quiet"))
    return [*_parts_of_runs(folder), *_parts_of_indexes(folder, build)]


def _parts_of_runs(folder: Path) -> list[Part]:
    """The runs, and their cache."""
    trial, run, html = folder / "trial", folder / "trial" / "run", folder / "trial" / "report.html"

    def step(*argv: object, leads_on: bool = False, writes: Path | None = None) -> Step:
        return Step((*map(str, argv), "--quiet"), trial / "cache", leads_on, writes)

    finished, stopped = folder / "finished", folder / "stopped"
    undamaged = ((folder / "cache", trial / "cache"),)
    report = step("report", run, "--out", html, writes=html)
    reading = (
        step("replay", run),
        step("verify", run),
        step("show", run, "--json"),
        step("eval", run, "--json", "--scorers", "simulation"),
        report,
    )
    ending = (step("resume", run, leads_on=True), step("show", run, "--json"))
    cached = (
        report,
        step("resume", trial / "stopped", leads_on=True),
        step("show", trial / "stopped", "--json"),
    )
    with_runs = ((finished, run), (stopped, trial / "stopped"))
    return [
        Part("finished run", finished, run, reading, undamaged),
        Part("stopped run", stopped, run, ending, undamaged),
        Part("cache", folder / "cache", trial / "cache", cached, with_runs),
    ]


def _parts_of_indexes(folder: Path, build: tuple[str, ...]) -> list[Part]:
    """The indexes, and their subject."""
    trial, index = folder / "trial", folder / "trial" / "index"
    undamaged = ((folder / "cache", trial / "cache"),)

    def step(*argv: object, leads_on: bool = False) -> Step:
        return Step((*map(str, argv), "--quiet"), trial / "cache", leads_on)

    look_ups = (
        *(("activations.exemplars", f"unit=mlp.{n}.5") for n in range(fixtures.N_LAYERS)),
        *(
            ("activations.exemplars", f"unit=head.{n}.1", "kind=quantile")
            for n in range(fixtures.N_LAYERS)
        ),
        ("activations.statistics", "unit=mlp.2.7"),
        ("activations.statistics", "unit=head.1.3"),
        ("corpus.search", "unit=mlp.0.3", "pattern=river"),
    )
    looking = [step("tool", *words, "--index", index, "--json") for words in look_ups]
    settings = ("--runs", trial / "runs", "--name", "new", "--json")
    explain = step("run", "--index", index, "--targets", ",".join(TARGETS), *settings)
    again = step(*build, "--out", index, "--context-len", SHORT, leads_on=True)
    subject = ("--subject", trial / "subject", "--index", folder / "index")
    rank = step("tool", "activations.search", "text=the cat sat on", *subject, "--json")
    return [
        Part("index", folder / "index", index, (*looking, explain), undamaged),
        Part("unfinished index", folder / "begun", index, (again, *looking), undamaged),
        Part("subject", folder / "subject", trial / "subject", (rank,), undamaged),
    ]


def _write_subject(folder: Path) -> Path:
    """The miniature subject as a folder, as a user would have it."""
    from ..tiny_subject import miniature

    subject, path = miniature(), folder / "subject"
    subject.model.save_pretrained(path)
    subject.tokenizer.save_pretrained(path)
    return path


def _write_corpus(folder: Path) -> Path:
    path = folder / "corpus.jsonl"
    lines = [json.dumps({"id": d.id, "text": d.text}) for d in fixtures.documents()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _stop_index(folder: Path, subject_folder: Path, corpus: Path) -> None:
    """Leave an index half-built: with a finished split, and another's checkpoint."""
    from ...tools.corpus import read_corpus
    from ...tools.index import Progress, build_index
    from ...tools.subject import load_subject

    def stop(progress: Progress) -> None:
        if progress.done > STOP_AFTER * progress.total:
            raise KeyboardInterrupt

    subject = load_subject(str(subject_folder))
    with suppress(KeyboardInterrupt):
        build_index(
            subject,
            read_corpus(str(corpus)),
            folder / "begun",
            context_len=SHORT,
            progress=stop,
            checkpoint_every=1,
            store="all",
        )


def _kill_half_way(fork_server: ForkServer, folder: Path, run: Path) -> None:
    """Start a run and kill it when its activations are on disk and its first target has ended."""

    def has_ended() -> bool:
        return any(b'"conclusion"' in path.read_bytes() for path in (run / EVENTS).glob("*"))

    argv = ("resume", str(run), "--quiet")
    pid = fork_server.start_command(argv, folder / "output", folder / "cache")
    with suppress(ProcessLookupError):
        while not has_ended():
            os.kill(pid, 0)  # raises when the process has ended
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
    if fork_server.wait().status != -signal.SIGKILL:
        raise RuntimeError(f"{run} ended before it could be killed")


def _must(fork_server: ForkServer, folder: Path, argv: tuple[str, ...]) -> None:
    """Run a command that has to succeed."""
    output = folder / "output"
    if fork_server.command(argv, output, folder / "cache").status:
        raise RuntimeError(f"{argv} failed: {output.with_name('output.err').read_text()[-600:]}")
