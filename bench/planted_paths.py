"""Is a path found that was planted into a real subject? Its edges' ranks among all edges, for each
scoring method.

1. Some directions of the subject's residual stream are reserved, and paths of three kinds are
   planted in turn, at several strengths (`bench/known_circuits/planted_paths`). The subject is
   loaded for this and thrown away afterwards.
2. Each path is measured first: every edge patched exactly, the run with its edges alone, the run
   with all others. A path that does not act is a failure and enters no mean. What the rest of the
   subject does with the same prompts is reported.
3. A method scores all edges from the pairs. AUROC: the chance that a planted edge scores higher
   than another. Precision: the share of planted ones among as many edges at the top. Ranks: 1 is
   the top.

The other edges are not all false: the subject responds to the other token too, and an edge that
does more than a faint path deserves its place above it. So ranks of faint paths bound from below
what a method can see; they are not its mistakes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..tools.files.code_digest import code_digest
from .known_circuits import CODE
from .planted_truth import auroc
from .result_cache import ResultCache, means, row_to_dict

if TYPE_CHECKING:
    from torch import Tensor

    from ..tools.subject import Subject
    from .known_circuits.plant import ReservedSubject
    from .known_circuits.planted_paths import Kind, PlantedPath

PAIRS = 6
STRENGTHS = (4.0, 1.0, 0.25)
"""Logits: far above, about at, and below what the subject itself does with another token."""
QUICK_METHODS = ("random", "eap", "eap-ig-inputs", "eap-ig-edges")
"""Methods that take seconds on a real subject; the others take minutes to hours (`--method`)."""


class RankResult(NamedTuple):
    """Where a method ranks the planted edges.

    Attributes:
        ranks: of each planted edge among all edges, 1 the top; tied ones get their mean rank.
        seconds: CPU seconds.
    """

    auroc: float | None
    precision: float
    ranks: list[float]
    seconds: float


class PathRow(NamedTuple):
    """One planted path under all methods.

    Attributes:
        strength: logits by which the path moves the answer.
        acts: what exact patching shows (`PathEffects`).
        failed: why the path does not count, else None.
    """

    path: str
    kind: str
    strength: float
    seed: int
    planted: list[str]
    edges: int
    acts: dict[str, Any]
    failed: str | None
    methods: dict[str, RankResult]

    @property
    def name(self) -> str:
        """``copy/1/0``: kind, strength, seed."""
        return self.path

    def as_dict(self) -> dict[str, Any]:
        """For a JSON line."""
        return row_to_dict(self)


def bench_planted(
    load: Callable[[], Subject],
    subject: str,
    strengths: Sequence[float],
    methods: Sequence[str],
    seed: int = 0,
    cache: ResultCache | None = None,
) -> Iterator[PathRow]:
    """One row per path, the strongest first; what is cached is neither loaded nor computed again.

    Args:
        load: loads the subject, which is changed.
        subject: its name.
    """
    from .known_circuits.planted_paths import KINDS

    cache = cache or ResultCache("planted-paths", code_digest(*CODE))
    planter = _PathPlanter(load, seed)
    for strength in strengths:
        for kind in KINDS:
            key = (subject, kind, strength, seed)
            facts = cache.get_or_make(partial(planter.facts, kind, strength), *key)
            results = {
                method: cache.get_or_make(
                    partial(planter.rank, kind, strength, method), *key, method
                )
                for method in (() if facts["failed"] else methods)
            }
            ranks = {method: RankResult(**result) for method, result in results.items()}
            yield PathRow(**facts, methods=ranks)


class _PathPlanter:
    """The subject with its reserved directions, loaded when the first path must be planted."""

    def __init__(self, load: Callable[[], Subject], seed: int) -> None:
        self._load, self._seed = load, seed
        self._reserved: ReservedSubject | None = None

    @property
    def reserved(self) -> ReservedSubject:
        from .known_circuits.planted_paths import reserve_for_paths

        if self._reserved is None:
            self._reserved = reserve_for_paths(self._load(), self._seed)
        return self._reserved

    def facts(self, kind: Kind, strength: float) -> dict[str, Any]:
        """All fields of a `PathRow` but the methods."""
        from .known_circuits.planted_paths import measure_path

        def measure(planted: PlantedPath) -> dict[str, Any]:
            path, model = planted.path, self.reserved.model
            effects = measure_path(model, planted)
            return {
                "path": path.name,
                "kind": path.kind,
                "strength": path.strength,
                "seed": path.seed,
                "planted": [str(edge) for edge in planted.edges],
                "edges": model.graph.n_edges,
                "acts": effects._asdict() | {"each": list(effects.each)},
                "failed": effects.fault,
            }

        return self._with_path(kind, strength, measure)

    def rank(self, kind: Kind, strength: float, method: str) -> dict[str, Any]:
        """A `RankResult` as a dict."""
        from ..tools.circuits.methods import score_edges

        def score(planted: PlantedPath) -> dict[str, Any]:
            model = self.reserved.model
            started = time.process_time()
            scores = score_edges(method, model, planted.pairs).cpu()
            seconds = time.process_time() - started
            return rank_edges(scores, planted.truth, model.graph.all_edges, seconds)._asdict()

        return self._with_path(kind, strength, score)

    def _with_path(
        self, kind: Kind, strength: float, work: Callable[[PlantedPath], dict[str, Any]]
    ) -> dict[str, Any]:
        """Run `work` while a path is planted."""
        from .known_circuits.planted_paths import draw_path, plant_path

        path = draw_path(self.reserved, kind, strength, self._seed)
        with plant_path(self.reserved, path, PAIRS) as planted:
            return work(planted)


def rank_edges(scores: Tensor, truth: Tensor, possible: Tensor, seconds: float = 0.0) -> RankResult:
    """Rank the true edges among all possible ones by the size of their scores.

    Args:
        scores, truth, possible: of the same shape, "source target".
    """
    from scipy.stats import rankdata

    size, true = scores[possible].abs().numpy(), truth[possible].numpy()
    ranks = rankdata(-size)[true]
    precision = float((ranks <= int(true.sum())).mean())
    return RankResult(auroc(size[true], size[~true]), precision, sorted(ranks.tolist()), seconds)


def planted_summary(rows: Sequence[PathRow]) -> dict[str, Any]:
    """Mean AUROC as in `compiled_circuits.summary`, with strengths as difficulties.

    Failed paths are counted and enter no mean.
    """
    valid = [row for row in rows if not row.failed]
    strengths = list(dict.fromkeys(row.strength for row in valid))
    by_method = means(valid, "auroc")
    return {
        "auroc_best": max(by_method.values(), default=None),
        "by_method": by_method,
        "by_difficulty": {
            f"{strength:g} logits": means(
                [row for row in valid if row.strength == strength], "auroc"
            )
            for strength in strengths
        },
        "failed": len(rows) - len(valid),
    }
