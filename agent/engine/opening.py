"""Opens the engine that a command uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .engine import Engine, EngineChoice
from .local import LocalEngine
from .worker import Worker

if TYPE_CHECKING:
    from ...tools.subject import Subject


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
    from .ray_engine import RayEngine

    engine = RayEngine.start(choice, shared, say)
    try:
        yield engine
    finally:
        engine.close()
