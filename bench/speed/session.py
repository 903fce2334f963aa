"""A session that stays open: loading the subject again, and instruments on one text, call by call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .ratios import SpeedComparison, compare
from .rows import SpeedRow
from .speed_bench import Stopwatch

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

REPEATS = 3
"""The fastest of the calls after the first counts, as in a session that has been open for a while."""
TEXT = "He has not been seen since Sunday"
CALLS = {
    "activations.on_text": {"units": ["mlp.1.0"], "texts": [TEXT]},
    "activations.search": {"text": TEXT},
    "compare": {"unit": "mlp.1.0", "text": TEXT, "other": TEXT.replace("Sunday", "Monday")},
    "tokens.describe": {"words": ["Sunday"]},
    "logit_lens": {"unit": "mlp.1.0"},
    "nearest": {"unit": "mlp.1.0"},
    "ablate": {"unit": "mlp.1.0", "texts": [TEXT]},
    "patch": {"units": ["mlp.1.0"], "base": TEXT, "source": TEXT.replace("Sunday", "Monday")},
}
"""Instruments that take a few passes over a text; the others run the subject many times."""


def open_session(bench: SpeedBench) -> Iterator[SpeedRow | SpeedComparison]:
    """Loading with and without the memory of a passed self-test, and each instrument."""
    yield _load_again(bench)
    from ...tools.index import Index
    from ...tools.instruments import InstrumentContext, call

    context = InstrumentContext(bench.subject, Index.open(bench.index))
    for name, arguments in CALLS.items():
        call(name, arguments, context)
        costs: list[tuple[float, float]] = []
        for _ in range(REPEATS):
            watch = Stopwatch()
            call(name, arguments, context)
            costs.append(watch.read())
        yield SpeedRow(f"{name}, open session", *min(costs))


def _load_again(bench: SpeedBench) -> SpeedComparison:
    from ...tools.subject import load_subject
    from ...tools.subject.locate import subject_folder

    folder = str(subject_folder(bench.subject_name, None))

    def first_weights() -> np.ndarray:
        subject = load_subject(folder, device=bench.device, dtype=bench.dtype)
        return next(subject.model.parameters())[0].float().cpu().numpy()

    def without_notes() -> np.ndarray:
        with _cache(bench.folder / f"cache-{len(list(bench.folder.iterdir()))}"):
            return first_weights()

    with _cache(bench.folder / "cache-with-notes"):
        return compare(
            "load a subject that has passed its self-test",
            first_weights,
            without_notes,
            "hash and test it at every load",
        )


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Use another cache in the block; only notes are in it."""
    folder.mkdir(exist_ok=True)
    before = os.environ.get("HUBEL_CACHE")
    os.environ["HUBEL_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HUBEL_CACHE"]
        else:
            os.environ["HUBEL_CACHE"] = before
