"""What an engine is given, and what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .worker import Worker


class Piece(Protocol):
    """One piece of work: a small frozen dataclass of plain values, which travels to a worker."""

    @property
    def key(self) -> str:
        """Hash of all that the output depends on: inputs, revision of the subject, format."""
        ...

    @property
    def title(self) -> str:
        """What a message calls it: "shard 3/16", a target's address."""
        ...

    @property
    def output(self) -> Path:
        """File or folder, in a place that all nodes see, which appears in one step.

        Where it is there, the piece is done: its name has the key in it, or the caller looks into
        what it finds there.
        """
        ...

    def run(self, worker: Worker) -> None:
        """Make the output. Running it twice, even at the same time, does no harm.

        Raises:
            HubelError: the piece cannot be done; its line becomes the outcome's.
            UnfitWorker: this worker cannot do it; another one is given the piece.
        """
        ...


class SmallCall(Protocol):
    """A call that leaves nothing behind: a small frozen dataclass of plain values."""

    def run(self, worker: Worker) -> Any:
        """The answer, of plain values. Raises as a `Piece` does."""
        ...


class PieceOutcome(NamedTuple):
    """How a piece ended.

    Attributes:
        error: the line of what failed; "" if the output is there.
        seconds: from the start to the end on its worker; 0 if the output was there before.
        where: the worker; "" if the output was there before.
        deaths: workers that died at work on it.
    """

    piece: Piece
    error: str = ""
    seconds: float = 0.0
    where: str = ""
    deaths: int = 0
