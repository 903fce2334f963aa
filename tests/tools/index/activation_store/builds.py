"""A small index with its store, built in many steps, and how two of them are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hubel.tools.index import ExemplarCounts, Progress, build_index
from tests.tools.index.conftest import CONTEXT_LEN, small_corpus

if TYPE_CHECKING:
    from hubel.tools.index.activation_store.folder import StoreChoice
    from hubel.tools.subject.subject import Subject


def build(
    subject: Subject,
    out: Path,
    store: StoreChoice = "all",
    progress: Callable[[Progress], None] | None = None,
    documents: int = 150,
) -> list[str]:
    """Build or finish the index in `out`; returns the warnings."""
    lines: list[str] = []
    build_index(
        subject,
        small_corpus(documents),
        out,
        context_len=CONTEXT_LEN,
        exemplar_counts=ExemplarCounts(top=(3, 2, 2), pool=(4, 2, 2), sample=(64, 32, 32)),
        checkpoint_every=2,
        store=store,
        progress=progress,
        warn=lines.append,
    )
    return [line for line in lines if "a small corpus" not in line]


def files(folder: Path) -> dict[str, bytes]:
    """All files but `index.json`, which has times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "index.json"
    }


def stop_after(tokens: int) -> Callable[[Progress], None]:
    """A progress callback that interrupts the pass."""

    def stop(progress: Progress) -> None:
        if progress.done > tokens:
            raise KeyboardInterrupt

    return stop
