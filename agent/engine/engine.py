"""The protocol of an engine, and which one a command uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ...tools.errors import UnavailableError
from .piece import Piece, PieceOutcome, SmallCall

EngineName = Literal["local", "ray"]


class NoWorkerError(UnavailableError):
    """No worker is left, and none comes: this ends the command, and not one piece or target of it."""


@dataclass(frozen=True)
class EngineChoice:
    """What `--engine`, `--address` and `--workers` say.

    Attributes:
        address: HOST:PORT of a Ray cluster's head, or "auto" for the one on this machine; "" starts
            Ray on this machine for as long as the command takes.
        workers: 0 for one on each GPU, or on each node without one.
    """

    name: EngineName = "local"
    address: str = ""
    workers: int = 0


class Engine(Protocol):
    """Does pieces of work and answers small calls. Closing it ends its workers."""

    @property
    def workers(self) -> int:
        """How many pieces are worked on side by side."""
        ...

    @property
    def note(self) -> str:
        """For a progress line: nodes and workers; "" in one process."""
        ...

    def run(self, pieces: Iterable[Piece]) -> Iterator[PieceOutcome]:
        """Do pieces in any order; yields each as it ends, also those whose output is there already.

        A piece that fails is an outcome with a line, and the others go on. Pieces are drawn when a
        worker is free, so memory does not grow with their number.

        Raises:
            NoWorkerError: no worker is left, and none comes.
        """
        ...

    def call(self, request: SmallCall) -> Any:
        """The answer of a free worker. Safe to use from many threads, which wait for their turn.

        Raises:
            HubelError: what the call raised, as the same class.
            NoWorkerError: no worker is left, and none comes.
        """
        ...

    def close(self) -> None:
        """End the workers; a `run` or `call` that is waiting ends with `Stopped`."""
        ...
