"""Is a path found that was planted into a real subject? Its edges' ranks among all edges, for each
scoring method.

1. Some directions of the subject's stream are reserved, and paths of three kinds are planted in
   turn, of several strengths (`bench/known_circuits/planted_paths`). The subject is loaded for this
   and given up afterwards.
2. Each path is first measured: every edge patched exactly, the run with its edges alone, the run
   with all others. One that does not act is a failure and no datum; what the rest of the subject
   makes of the same prompts is reported.
3. A method scores all edges from the pairs. AUROC: the chance that a planted edge scores higher
   than another. Precision: the share of planted ones among as many edges at the top. Ranks: 1 is
   the top.

The other edges are not all false: the subject makes something of the other token too, and an edge
that does more than a faint path deserves its place above it. So ranks of faint paths are a floor
for what a method can see, not its mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .known_circuits import CODE
from .planted_truth import auroc
from .result_cache import ResultCache, code_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ..tools.subject import Subject
    from .known_circuits.plant import Reserved
    from .known_circuits.planted_paths import Planted

PAIRS = 6
STRENGTHS = (4.0, 1.0, 0.25)
"""Logits: far above, about at, and below what the subject itself makes of another token."""
METHODS = ("random", "eap", "eap-ig-inputs", "eap-ig-edges")
"""Those that take seconds on a real subject; the others take minutes to hours, and can be asked for."""


class Ranked(NamedTuple):
    """Where a method puts the planted edges.

    Attributes:
        ranks: of each planted edge among all edges, 1 the top; tied ones have their mean rank.
        seconds: CPU seconds.
    """

    auroc: float | None
    precision: float
    ranks: list[float]
    seconds: float


class PathRow(NamedTuple):
    """One planted path under all methods.

    Attributes:
        acts: what patching shows (`Acts`); failed: why the path is no datum, else None.
    """

    path: str
    kind: str
    strength: float
    seed: int
    planted: list[str]
    edges: int
    acts: dict[str, Any]
    failed: str | None
    methods: dict[str, Ranked]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            **self._asdict(),
            "methods": {name: found._asdict() for name, found in self.methods.items()},
        }


def bench_planted(
    load: Callable[[], Subject],
    subject: str,
    strengths: Sequence[float],
    methods: Sequence[str],
    seed: int = 0,
    stored: ResultCache | None = None,
) -> Iterator[PathRow]:
    """One row a path, the loudest first; what is stored is not made again, and without need nothing
    is loaded.

    Args:
        load: loads the subject, which is changed; `subject` is its name.
    """
    from .known_circuits.planted_paths import KINDS

    stored = stored or ResultCache("planted-paths", code_digest(*CODE))
    ground = _Ground(load, seed)
    for strength in strengths:
        for kind in KINDS:
            name = (subject, kind, strength, seed)
            facts = stored.or_make(partial(ground.facts, kind, strength), *name)
            asked = () if facts["failed"] else methods
            found = {
                m: stored.or_make(partial(ground.ranked, kind, strength, m), *name, m)
                for m in asked
            }
            yield PathRow(**facts, methods={m: Ranked(**row) for m, row in found.items()})


class _Ground:
    """The subject with its reserved directions, loaded when a path must be planted."""

    def __init__(self, load: Callable[[], Subject], seed: int) -> None:
        self._load, self._seed, self._reserved = load, seed, None

    def facts(self, kind: Any, strength: float) -> dict[str, Any]:
        """What the path is and does."""
        from .known_circuits.planted_paths import acts

        def look(planted: Planted) -> dict[str, Any]:
            found, path, graph = (
                acts(self.reserved.model, planted),
                planted.path,
                self.reserved.model.graph,
            )
            what = {
                "path": path.name,
                "kind": path.kind,
                "strength": path.strength,
                "seed": path.seed,
            }
            edges = [str(edge) for edge in planted.edges]
            return what | {
                "planted": edges,
                "edges": graph.n_edges,
                "acts": found._asdict() | {"each": list(found.each)},
                "failed": found.fault,
            }

        return self._with(kind, strength, look)

    def ranked(self, kind: Any, strength: float, method: str) -> dict[str, Any]:
        """Where a method puts the path's edges."""
        from ..tools.circuits.methods import score_edges

        def look(planted: Planted) -> dict[str, Any]:
            started = time.process_time()
            scores = score_edges(method, self.reserved.model, planted.pairs).cpu()
            seconds = time.process_time() - started
            return ranked(
                scores, planted.truth, self.reserved.model.graph.all_edges, seconds
            )._asdict()

        return self._with(kind, strength, look)

    def _with(
        self, kind: Any, strength: float, look: Callable[[Planted], dict[str, Any]]
    ) -> dict[str, Any]:
        from .known_circuits.planted_paths import draw_path, planted

        path = draw_path(self.reserved, kind, strength, self._seed)
        with planted(self.reserved, path, PAIRS) as found:
            return look(found)

    @property
    def reserved(self) -> Reserved:
        """The subject, changed."""
        from .known_circuits.planted_paths import reserve_for_paths

        if self._reserved is None:
            self._reserved = reserve_for_paths(self._load(), self._seed)
        return self._reserved


def ranked(scores: Tensor, truth: Tensor, possible: Tensor, seconds: float = 0.0) -> Ranked:
    """How sizes of scores rank the true edges among all that there are."""
    from scipy.stats import rankdata

    size, true = scores[possible].abs().numpy(), truth[possible].numpy()
    ranks = rankdata(-size)[true]
    n = int(true.sum())
    return Ranked(
        auroc(size[true], size[~true]), float((ranks <= n).mean()), sorted(ranks.tolist()), seconds
    )


def planted_summary(rows: Sequence[PathRow]) -> dict[str, Any]:
    """The contract's summary, with strengths as difficulties; failed paths are counted and in no mean."""
    good = [row for row in rows if not row.failed]
    strengths = list(dict.fromkeys(row.strength for row in good))
    by_method = mean_by_method(good, "auroc")
    return {
        "auroc_best": max(by_method.values(), default=None),
        "by_method": by_method,
        "by_difficulty": {
            f"{strength:g} logits": mean_by_method(
                [row for row in good if row.strength == strength], "auroc"
            )
            for strength in strengths
        },
        "failed": len(rows) - len(good),
    }


def mean_by_method(rows: Sequence[PathRow], figure: str) -> dict[str, float]:
    """The mean of one figure over paths, by method."""
    methods = list(dict.fromkeys(name for row in rows for name in row.methods))
    return {
        name: float(np.mean([getattr(row.methods[name], figure) for row in rows]))
        for name in methods
    }
