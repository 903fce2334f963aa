"""Opens the engine that a command's options name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import EngineChoice, open_engine
from ..runlog.log import WriterLock

if TYPE_CHECKING:
    from ..engine import Engine
    from ..runlog.progress import Reporter


@contextmanager
def chosen_engine(
    choice: EngineChoice | None, shared: Path, reporter: Reporter, held: Iterable[Path] = ()
) -> Iterator[Engine | None]:
    """The engine of a command; None where everything is done in this process.

    Args:
        shared: folder of the outputs, which all nodes must see.
        held: runs that the command will write; if another process does, it is refused before
            workers are started.
    """
    if choice is None or choice.name == "local":
        yield None
        return
    for folder in held:
        if folder.is_dir():
            with WriterLock(folder):
                pass
    with open_engine(choice, shared, reporter.say) as engine:
        reporter.say(f"engine: {engine.note}")
        yield engine
