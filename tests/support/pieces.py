"""Small pieces of work and calls for tests of engines; they travel to other processes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from hubel.agent.engine import UnfitWorker, Worker
from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.files import atomic_file


@dataclass(frozen=True)
class Square:
    """Writes the square of a number into a file named after it.

    Attributes:
        seconds: how long it takes.
        fault: "fails", "unfit" (the worker is) or "kills" (its process).
    """

    folder: Path
    number: int
    seconds: float = 0.0
    fault: str = ""

    @property
    def key(self) -> str:
        return f"square-{self.number}"

    @property
    def title(self) -> str:
        return f"square {self.number}"

    @property
    def output(self) -> Path:
        return self.folder / f"{self.key}.txt"

    def run(self, worker: Worker) -> None:
        counter = worker.keep("counter", lambda: [0])
        counter[0] += 1
        time.sleep(self.seconds)
        if self.fault == "fails":
            raise UsageError(f"{self.number} has no square; give another number")
        if self.fault == "unfit":
            raise UnfitWorker(f"{worker.where}: has no squares")
        if self.fault == "kills":
            os._exit(1)
        with atomic_file(self.output) as part:
            part.write_text(str(self.number**2))


@dataclass(frozen=True)
class Add:
    """Adds two numbers; refuses negative ones."""

    left: int
    right: int

    def run(self, worker: Worker) -> dict[str, int]:
        if min(self.left, self.right) < 0:
            raise ArgumentError(f"{self.left}, {self.right} given; expected numbers from 0")
        return {"sum": self.left + self.right, "pid": os.getpid()}
