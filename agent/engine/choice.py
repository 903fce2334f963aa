"""Which engine a command uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...tools.errors import UnavailableError
from .local import LocalEngine
from .worker import Worker

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from .engine import Engine

EngineName = Literal["local", "ray"]


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


@contextmanager
def open_engine(
    choice: EngineChoice,
    shared: Path,
    say: Callable[[str], None] = lambda line: None,
    subject: Subject | None = None,
) -> Iterator[Engine]:
    """An engine, closed when the block ends.

    Args:
        shared: folder of the outputs, which all nodes must see.
        say: called with lines about workers that come, die or are left out.
        subject: one that this process has loaded, for the local engine.

    Raises:
        UsageError: the address is not one.
        UnavailableError: Ray is not installed, does not answer, or has no worker that is fit.
    """
    if choice.name == "local":
        yield LocalEngine(Worker(subject=subject))
        return
    raise UnavailableError(f"--engine {choice.name}: there is no such engine here")
