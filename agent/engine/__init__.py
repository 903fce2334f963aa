"""An engine does pieces of work, in this process or on the workers of a Ray cluster.

A piece is a value that says what to compute and where its output goes; running it twice does no
harm, so a worker that dies costs nothing but its piece, which another one takes. What the pieces
are is known to the rooms above: shards of an index, targets of a run, calls of instruments. Why so:
`docs/design/engine.md`; how to start a cluster: `docs/cluster.md`.
"""

from __future__ import annotations

from .engine import Engine, EngineChoice, NoWorkerError
from .local import LocalEngine
from .opening import open_engine
from .piece import Piece, PieceOutcome, SmallCall
from .worker import SubjectChoice, UnfitWorker, Worker

__all__ = [
    "Engine",
    "EngineChoice",
    "LocalEngine",
    "NoWorkerError",
    "Piece",
    "PieceOutcome",
    "SmallCall",
    "SubjectChoice",
    "UnfitWorker",
    "Worker",
    "open_engine",
]
