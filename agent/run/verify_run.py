"""Verify a run without computing anything: the chain of its events, its seal, and its files' hashes.

1. Every event is compared with its own hash and with that of the event before it, and the log with its
   seal (`runlog.chain`).
2. Every file that has a hash in the log is compared with it. A file without one is a problem once the
   run has ended.
3. Reviews are chains of their own; the database of checkpoints has its own hashes.

What is missing from a run from before the chain is called "not recorded"; it is not a problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tools.errors import HubelError
from ..runlog.chain import ChainReader, LogState
from ..runlog.config_file import read_settings
from ..runlog.data_files import check_hash, files_in
from ..runlog.layout import (
    CHECKPOINTS,
    CIRCUIT,
    CIRCUIT_ARRAYS,
    COLLECTED,
    LEXICON,
    MEASURED,
    SEAL,
    STUDY,
    TRANSFER,
    run_argument,
)
from ..runlog.reviews import Reviews
from .checkpoints import checkpoint_problem

ENDS = ("verdicts", "sealed")
"""Events after which a log is sealed."""


@dataclass(frozen=True)
class Verification:
    """What was found; all hashes are SHA-256 as hexadecimal digits."""

    run: str
    holds: bool
    events: int
    unchained: int
    """Events without a hash, from before the chain."""
    head: str
    """Hash of the last event."""
    sealed: bool
    files: int
    """Data files that were compared with their hashes."""
    problems: list[str]
    notes: list[str]
    """What is not recorded, and what is not complete yet."""


def verify_run(folder: Path) -> Verification:
    """Check all hashes of a run, of whatever kind; reads every event and every data file once."""
    problems: list[str] = []

    def attempt(check: Callable[[], Any]) -> None:
        try:
            check()
        except HubelError as error:
            problems.append(str(error))

    log = _LogCheck(folder)
    attempt(lambda: read_settings(folder))
    attempt(log.read)
    reviewed: dict[str, str] = {}
    attempt(lambda: reviewed.update(Reviews(folder).files()))
    hashes = reviewed | log.hashes()
    for name, hash in sorted(hashes.items()):
        attempt(lambda name=name, hash=hash: check_hash(folder, name, hash))
    if damage := checkpoint_problem(folder):
        problems.append(
            f"{CHECKPOINTS} of {folder} is damaged ({damage}); `hubel resume {run_argument(folder)}` deletes it "
            "and goes on from the journal"
        )
    state, notes = log.state(), []
    if not problems:
        problems += log.end_problems()
        notes = log.notes()
        (problems if state.seal else notes).extend(log.unrecorded(hashes))
    return Verification(
        run=folder.name,
        holds=not problems,
        events=state.events,
        unchained=state.unchained,
        head=state.head if state.events > state.unchained else "",
        sealed=state.seal is not None,
        files=len(hashes),
        problems=problems,
        notes=notes,
    )


class _LogCheck:
    """Reads a log to its end, or to where it breaks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader: ChainReader | None = None
        self._arrays: dict[str, str] = {}
        self._has_ended = False

    def read(self) -> None:
        """Read and check every event; raises CorruptError at the first that does not hold."""
        self._reader = ChainReader(self.folder)
        for envelope in self._reader:
            self._has_ended |= envelope.event in ENDS
            if envelope.event == "array":
                self._arrays[f"{CIRCUIT_ARRAYS}/{envelope.id}.npy"] = envelope.data()["sha256"]
            elif envelope.hash is None:
                envelope.data()  # without a hash only its form can be checked

    def state(self) -> LogState:
        """The state of the log as far as it was read."""
        return self._reader.state() if self._reader else LogState(0, 0, "", {}, None)

    def hashes(self) -> dict[str, str]:
        """Data files with their hashes."""
        return self._arrays | self.state().files

    def end_problems(self) -> list[str]:
        """Where the log and its seal disagree on how the run ended."""
        state, resume = self.state(), f"`hubel resume {run_argument(self.folder)}`"
        if state.seal is None:
            if self._has_ended and not state.unchained:
                return [
                    f"{self.folder} has ended but has no {SEAL}: it was removed, or the run was killed "
                    f"while writing it; if you trust the log, {resume} seals it again"
                ]
            return []
        if state.seal.events == state.events and state.seal.files != state.files:
            changed = {name for name, _ in set(state.seal.files.items()) ^ set(state.files.items())}
            return [f"{self.folder / SEAL} has another hash of {min(changed)} than the log"]
        return []

    def notes(self) -> list[str]:
        """What is not recorded, and how far the seal reaches."""
        state = self.state()
        if not state.events:
            return ["not recorded: there is no log here, so there is nothing to verify"]
        if state.unchained == state.events:
            return ["not recorded: this run was made before events had hashes"]
        notes = []
        if state.unchained:
            notes.append(f"not recorded: the first {state.unchained} events have no hashes")
        if state.seal is None:
            notes.append(
                "the run has not ended: events that were cut off at the end would not show"
            )
        elif state.events > state.seal.events:
            notes.append(f"{state.events - state.seal.events} events came after the log was sealed")
        return notes

    def unrecorded(self, hashes: dict[str, str]) -> list[str]:
        """Files that should have a hash in the log and have none."""
        if self.state().unchained or not self.state().events:
            return []
        parts = (COLLECTED, LEXICON, TRANSFER, CIRCUIT_ARRAYS, MEASURED)
        names = [name for part in parts for name in files_in(self.folder, part)]
        names += [name for name in (CIRCUIT, STUDY) if (self.folder / name).exists()]
        return [
            f"{self.folder / name} has no hash in the log: it was added, or the run was stopped while "
            "writing it"
            for name in names
            if name not in hashes
        ]
