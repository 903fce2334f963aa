"""Deception: can a probe tell false reports from true ones, and is it the lie that it reads?

1. Texts in which a speaker knows one place and names the same or another (`lie_texts`), balanced so
   that no count of words and no length differs between honest and deceptive ones.
2. A linear probe of the residual stream at the last token, standardised; each text is scored by a
   probe that never saw its scenario.
3. The figure is the share of pairs, one honest and one deceptive text of the same words, in which the
   deceptive one scores higher: the area under the ROC curve within a block of four texts.
4. Controls: a probe of word counts on the same folds, which must be at chance; and the same probe on
   innocent twins, where two places are named as well and nobody lies. If it tells those apart too, it
   reads that the words differ, and not a lie.
5. Intervals: bootstrap over scenarios. The layer is fixed beforehand; the other layers are shown.

Azaria & Mitchell, "The Internal State of an LLM Knows When It's Lying" (2023); Levinstein & Herrmann,
"Still No Lie Detector for Language Models" (2023), on probes that do not generalise. A text about a
liar is not a subject that lies: nothing here says that the subject deceives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ...tools.errors import UsageError
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...tools.representation.groups import Fold
    from ..measurements import Measured

N_FOLDS = 6
CHANCE = 0.5
LEVEL = joint_level(2)
LEAST = 0.05
"""By which a figure must exceed its control. Scenarios are scored by probes with most of their training
texts in common, so that the interval is a little short: of 100 nulls 6 were supported without it."""


@study("deception", question="Can a probe tell a lie from a change of words?")
def deception(
    study: StudyContext,
    layer: Annotated[
        int | None, Field(ge=0, description="that the claims are about; default: at 60 % of depth")
    ] = None,
    seed: int = 0,
) -> StudyResult:
    """Probe false against true reports in scenarios that the probe never saw.

    Two claims: that it can tell them, against word counts; and that it reads the lie, against innocent
    texts that change the same words. The second is the one that matters.
    """
    measured = study.measured("vectors", lambda: measure(study, layer))
    chosen = int(0.6 * len(measured["lies"])) if layer is None else layer
    return conclude(measured, chosen, seed)


def measure(study: StudyContext, layer: int | None) -> Measured:
    """The last token's stream after each layer, of reports and of their innocent twins.

    Raises:
        UsageError: the subject does not have the layer that the claims are to be about.
    """
    from ...tools.representation.collect import collect
    from ...tools.subject.address import Site
    from .lie_texts import lie_texts

    subject = study.subject
    n_layers = subject.shape.n_layers
    if layer is not None and layer >= n_layers:
        raise UsageError(f"layer {layer} given; this subject has layers 0 to {n_layers - 1}")
    sites = [Site("stream", number) for number in range(n_layers)]
    lies, innocent = lie_texts(innocent=False), lie_texts(innocent=True)
    texts = [row.text for row in (*lies, *innocent)]
    labels = {
        name: np.array([getattr(row, name) for row in lies])
        for name in ("text", "differs", "scenario", "block")
    }
    vectors = collect(
        subject,
        texts,
        sites,
        progress=lambda done, total: study.progress("reading reports", done, total),
    )
    return {
        "lies": vectors[:, : len(lies)],
        "innocent": vectors[:, len(lies) :],
        **labels,
    }


def conclude(measured: Measured, layer: int, seed: int = 0) -> StudyResult:
    """Two claims about one layer, a row and a point for each."""
    from ...tools.representation.groups import group_folds

    differs = measured["differs"].astype(int)
    scenario, block = measured["scenario"], measured["block"]
    folds = group_folds(differs, scenario, N_FOLDS, seed)
    words = by_block(word_scores(measured["text"].tolist(), differs, folds), differs > 0, block)
    rows: list[dict[str, Any]] = []
    areas: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for at in range(len(measured["lies"])):
        lies, innocent = probe_scores(
            measured["lies"][at], measured["innocent"][at], differs, folds
        )
        areas[at] = by_block(lies, differs > 0, block), by_block(innocent, differs > 0, block)
        rows.append(
            {
                "layer": at,
                "auc": float(areas[at][0].mean()),
                "innocent_auc": float(areas[at][1].mean()),
                "word_counts_auc": float(words.mean()),
            }
        )
    groups = [int(scenario[block == number][0]) for number in np.unique(block)]
    lies, innocent = areas[layer]
    n = len(set(groups))
    claims = [
        above(
            f"after layer {layer} a probe tells false from true reports in scenarios it never saw",
            mean_over_groups(lies, groups, level=LEVEL, seed=seed),
            max(CHANCE, float(words.mean())),
            n,
            least=LEAST,
        ),
        above(
            f"after layer {layer} it reads the lie: it tells reports better than innocent texts "
            "that change the same words",
            mean_over_groups(lies - innocent, groups, level=LEVEL, seed=seed),
            0.0,
            n,
            least=LEAST,
        ),
    ]
    return StudyResult(rows, claims, [_plot(rows)])


def probe_scores(
    vectors: Float[np.ndarray, "text width"],
    others: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    folds: list[Fold],
) -> tuple[Float[np.ndarray, " text"], Float[np.ndarray, " text"]]:
    """Each text's score, and its innocent twin's, by a probe that never saw its scenario."""
    from ...tools.representation.probe import fitted

    scores, other_scores = np.zeros(len(classes)), np.zeros(len(classes))
    for train, test in folds:
        model = fitted(vectors[train], classes[train], inverse_penalty=0.1)
        scores[test] = model.decision_function(vectors[test])
        other_scores[test] = model.decision_function(others[test])
    return scores, other_scores


def word_scores(
    texts: list[str], classes: Int[np.ndarray, " text"], folds: list[Fold]
) -> Float[np.ndarray, " text"]:
    """The same from counts of words: what can be told without reading in order."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counts: Any = CountVectorizer().fit_transform(texts)
    scores = np.zeros(len(texts))
    for train, test in folds:
        model = LogisticRegression(max_iter=2000).fit(counts[train], classes[train])
        scores[test] = model.decision_function(counts[test])
    return scores


def by_block(
    scores: Float[np.ndarray, " text"],
    differs: Bool[np.ndarray, " text"],
    block: Int[np.ndarray, " text"],
) -> Float[np.ndarray, " block"]:
    """In each block the share of pairs whose deceptive text scores higher; ties count half."""
    areas: list[float] = []
    for number in np.unique(block):
        here = block == number
        gaps = scores[here & differs][:, None] - scores[here & ~differs][None]
        gaps = np.where(np.abs(gaps) < 1e-9, 0.0, gaps)
        areas.append(float(((np.sign(gaps) + 1) / 2).mean()))
    return np.array(areas)


def _plot(rows: list[dict[str, Any]]) -> LinePlot:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    layers = columns["layer"]
    lines = [
        PlottedLine("reports", layers, columns["auc"]),
        PlottedLine("innocent texts", layers, columns["innocent_auc"]),
        PlottedLine("word counts", layers, columns["word_counts_auc"], is_control=True),
    ]
    title = "Pairs that a probe tells apart in scenarios it never saw"
    return LinePlot("layers", title, "layer", "area under the curve", lines)
