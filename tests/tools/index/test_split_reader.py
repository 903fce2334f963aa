"""Looking things up is fast and needs no torch."""

from __future__ import annotations

import subprocess
import sys
import time

from hubel.tools.index import Exemplar, Index
from hubel.tools.index.split_reader import select_exemplars
from hubel.tools.subject.address import Unit
from tests.support.processes import checkout_environment

COLD = """
import sys, time
start = time.perf_counter()
from hubel.tools.index import Exemplar, Index
from hubel.tools.index.split_reader import select_exemplars
from hubel.tools.subject.address import Unit
index = Index.open(sys.argv[1])
for side in "+-":
    assert index.exemplars(Unit.parse("mlp.1.5"), side, "top", 2)
index.statistics(Unit.parse("mlp.1.5"))
index.contexts("explore")
heavy = {"torch", "transformers", "scipy", "sklearn"} & set(sys.modules)
assert not heavy, heavy
print(time.perf_counter() - start)
"""


def test_a_cold_process_answers_within_a_second(index: Index) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(index.path)],
        capture_output=True,
        text=True,
        env=checkout_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cpu_bound_by_imports = float(done.stdout)
    assert cpu_bound_by_imports < 3  # 0.3 s on a quiet machine; tests share theirs


def test_a_warm_process_answers_in_milliseconds(index: Index) -> None:
    index.exemplars(Unit("mlp", 1, 0))
    start = time.process_time()
    for unit in range(20):
        index.exemplars(Unit("mlp", 1, unit))
        index.statistics(Unit("mlp", 1, unit))
    assert (time.process_time() - start) / 20 < 0.02


def test_a_text_printed_twice_is_shown_again_only_behind_everything_else() -> None:
    text = list(range(40))
    first = exemplar(0, text, peak=20, strength=3.0)
    again = exemplar(1, [99, *text], peak=21, strength=2.5)
    elsewhere = exemplar(2, text, peak=30, strength=2.0)
    assert select_exemplars([elsewhere, again, first], "top", 8, 1) == [first, elsewhere, again]
    assert select_exemplars([elsewhere, again, first], "quantile", 3, 1) == [
        first,
        again,
        elsewhere,
    ]


def exemplar(context: int, ids: list[int], peak: int, strength: float) -> Exemplar:
    return Exemplar(
        context,
        0,
        ids,
        list(map(str, ids)),
        [strength * (at == peak) for at in range(len(ids))],
        peak,
    )
