"""Compare: where two models, checkpoints or fine-tunes predict differently, and which layer did it.

1. Both read the same starts of texts (`compared_texts`). At each token: KL of the first's next-token
   distribution to the second's, and the loss of the token that follows
   (`tools/behaviour/model_comparison`).
2. Slices are kinds of tokens read (numbers, capitalised words, pieces of words ...) and, for a labelled
   data set, its labels and columns. Claim of each: predictions in it changed more than in the others.
   One interval over groups of texts for each, at the level at which all hold together. Slices of fewer
   groups than an interval needs are left out, and counted.
3. Layers: each layer of the second gets the first one's input, so that only its own change shows. The
   layer that changed most on one half of the groups is held against the mean of the others on the
   other half, since the largest of many is large by chance.
4. Units: neurons whose activation on the same input correlates least; they changed meaning.
5. Debiased CKA of the same layer in both, over texts; 1 where nothing changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import LEVEL, Interval
from ...evals.statistics.grouped import (
    LEAST_GROUPS,
    difference_over_groups,
    mean_over_groups,
)
from ..figures import BarChart, Figure, LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level, with_means
from .compared_texts import (
    MOST_SLICES,
    TokenSlice,
    large_slices,
    read_corpus_starts,
    read_labelled_starts,
    token_slices,
    unpadded,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.subject import Subject
    from ..measurements import Measured

SHOWN_UNITS = 20
WORSE = "the second subject predicts these texts worse than the first"
UNCHANGED = "the subjects predict the same at every token"
MOST_CHANGED = "the layer that changed most on one half of the texts changed more than the others"


@study(
    "compare",
    question="Where do two models predict differently, and which layer and units changed?",
    subjects=2,
)
def compare(
    study: StudyContext,
    corpus: Annotated[str, Field(description="text to read")] = "lee-news",
    data: Annotated[
        str, Field(description="labelled texts to read in its place; label and columns are slices")
    ] = "",
    documents: Annotated[int, Field(ge=2 * LEAST_GROUPS, le=5000, description="texts")] = 40,
    seed: int = 0,
) -> StudyResult:
    """Compare two subjects with one vocabulary: by token, slice of texts, layer and neuron.

    For a fine-tune, a checkpoint or a quantised copy next to the model that it comes from. Subjects
    with other vocabularies are compared by `similarity-between`.
    """

    def read() -> Measured:
        if data:
            return read_labelled_starts(study.subject, data, documents, seed)
        return read_corpus_starts(study.subject, corpus, documents)

    tokens = study.measured("tokens", read)
    both = (study.subject_at, unpadded(tokens["ids"]))
    predictions = study.measured("predictions", lambda: measure_predictions(*both))
    study.progress("layers", 0, 1)
    layers = study.measured("layers", lambda: measure_layers(*both))
    return conclude(tokens, predictions, layers, seed)


def measure_predictions(subject_at: Any, ids: Sequence[Sequence[int]]) -> Measured:
    """KL and losses at each token but the last."""
    from ...tools.behaviour.model_comparison import compare_predictions

    change = compare_predictions(subject_at(0), subject_at(1), ids)
    return {"kl": change.kl, "loss": change.loss, "other_loss": change.other_loss}


def measure_layers(subject_at: Any, ids: Sequence[Sequence[int]]) -> Measured:
    """Each layer's own change, each neuron's correlation and each layer's CKA; empty for other shapes."""
    from ...tools.behaviour.model_comparison import compare_layers_on_same_input

    first, second = subject_at(0), subject_at(1)
    shapes = [(s.shape.n_layers, s.shape.n_neurons, s.d_model) for s in (first, second)]
    if shapes[0] != shapes[1]:
        nothing = np.zeros((len(ids), 0))
        return {"relative": nothing, "correlation": nothing, "cka": np.zeros(0)}
    change = compare_layers_on_same_input(first, second, ids)
    return {
        "relative": change.relative,
        "correlation": change.correlation,
        "cka": _cka(first, second, ids),
    }


def conclude(
    tokens: Measured, predictions: Measured, layers: Measured, seed: int = 0
) -> StudyResult:
    """Claims about the loss, the slices and the layers; rows of slices, layers and units."""
    is_read = ~np.isnan(predictions["kl"])
    is_read[:, 0] = False  # position 0 is an attention sink with predictions of its own
    kl = predictions["kl"][is_read]
    rise = (predictions["other_loss"] - predictions["loss"])[is_read]
    text = np.nonzero(is_read)[0]
    group, n_groups = tokens["group"][text], len(np.unique(tokens["group"]))
    slices, left_out = large_slices(token_slices(tokens, is_read), group)
    if kl.any():
        level = joint_level(len(slices) + 2)
        claims = [above(WORSE, _mean(rise, group, level, seed), 0.0, n_groups)]
        claims += [_slice_claim(each, kl, group, level, seed) for each in slices]
        claims.append(_layer_claim(layers["relative"], tokens["group"], level, seed))
    else:
        claims = [cannot_say(f"{claim}: {UNCHANGED}", n_groups) for claim in (WORSE, MOST_CHANGED)]
    rows = [_slice_row(each, kl, rise) for each in slices]
    if left_out:
        name = f"{len(left_out)} of fewer than {LEAST_GROUPS} groups, or after the {MOST_SLICES} largest"
        member = np.any([each.member for each in left_out], axis=0)
        rows.append(_slice_row(TokenSlice("slices left out", name, "", member), kl, rise))
    rows += _layer_rows(layers)
    return StudyResult(rows, claims, _figures(slices, kl, group, layers, seed))


def _mean(
    values: Float[np.ndarray, " row"], group: Int[np.ndarray, " row"], level: float, seed: int
) -> Interval:
    return mean_over_groups(values, group.tolist(), level=level, seed=seed)


def _slice_claim(
    each: TokenSlice,
    kl: Float[np.ndarray, " token"],
    group: Int[np.ndarray, " token"],
    level: float,
    seed: int,
) -> StudyClaim:
    interval = difference_over_groups(kl, each.member, group.tolist(), level=level, seed=seed)
    others = "after other tokens" if each.what == "kind of token" else "in other texts"
    claim = f"predictions {each.where} changed more than {others}"
    means = kl[each.member].mean(), kl[~each.member].mean()
    return above(with_means(claim, *means), interval, 0.0, len(np.unique(group[each.member])))


def _slice_row(
    each: TokenSlice, kl: Float[np.ndarray, " token"], rise: Float[np.ndarray, " token"]
) -> dict[str, Any]:
    change, loss_rise = float(kl[each.member].mean()), float(rise[each.member].mean())
    return _row(each.what, each.name, change, int(each.member.sum()), loss_rise=loss_rise)


def _layer_claim(
    relative: Float[np.ndarray, "text layer"],
    group: Int[np.ndarray, " text"],
    level: float,
    seed: int,
) -> StudyClaim:
    n_layers = relative.shape[1]
    if n_layers < 2:
        why = "the subjects have other shapes" if not n_layers else "there is one layer"
        return cannot_say(f"{MOST_CHANGED}: {why}", 0)
    chooses = np.unique(group, return_inverse=True)[1] % 2 == 0
    chosen, tested = relative[chooses], relative[~chooses]
    layer = int(chosen.mean(axis=0).argmax())
    others = np.delete(tested, layer, axis=1).mean(axis=1)
    gain = _mean(tested[:, layer] - others, group[~chooses], level, seed)
    claim = f"{MOST_CHANGED} on the other half, layer {layer}"
    means = tested[:, layer].mean(), others.mean()
    return above(with_means(claim, *means), gain, 0.0, len(np.unique(group[~chooses])))


def _layer_rows(layers: Measured) -> list[dict[str, Any]]:
    correlation = layers["correlation"]
    if not layers["relative"].shape[1]:
        return []
    own, n_texts = layers["relative"].mean(axis=0).tolist(), len(layers["relative"])
    rows = [
        _row("layer", f"layer {layer}", own[layer], n_texts, cka=cka)
        for layer, cka in enumerate(layers["cka"].tolist())
    ]
    order = np.argsort(np.nan_to_num(correlation.ravel(), nan=1.0), kind="stable")[:SHOWN_UNITS]
    for place in order.tolist():
        layer, neuron = divmod(place, correlation.shape[1])
        value = float(correlation[layer, neuron])
        if value < 1 - 1e-6:
            rows.append(
                _row("unit", f"mlp.{layer}.{neuron}", 1 - value, n_texts, correlation=value)
            )
    return rows


def _row(
    what: str,
    name: str,
    change: float,
    n: int,
    *,
    loss_rise: float | None = None,
    cka: float | None = None,
    correlation: float | None = None,
) -> dict[str, Any]:
    """`change` is the KL of a slice, the own change of a layer, 1 - r of a unit.

    `n` counts the tokens of a slice, and texts else.
    """
    return {
        "what": what,
        "name": name,
        "change": change,
        "loss rise": loss_rise,
        "CKA": cka,
        "correlation": correlation,
        "n": n,
    }


def _figures(
    slices: Sequence[TokenSlice],
    kl: Float[np.ndarray, " token"],
    group: Int[np.ndarray, " token"],
    layers: Measured,
    seed: int,
) -> list[Figure]:
    figures: list[Figure] = []
    if slices:
        intervals = [_mean(kl[each.member], group[each.member], LEVEL, seed) for each in slices]
        bars = BarChart(
            "slices",
            "Change of predictions by slice; control: all other tokens",
            "KL, nats",
            [each.name for each in slices],
            *zip(*intervals, strict=True),
            control=[float(kl[~each.member].mean()) for each in slices],
        )
        figures.append(bars)
    if layers["relative"].shape[1]:
        own = layers["relative"].mean(axis=0).tolist()
        line = PlottedLine("own change", list(range(len(own))), own)
        title = "What each layer writes on the same input, relative difference"
        figures.append(LinePlot("layers", title, "layer", "relative difference", [line]))
    return figures


def _cka(first: Subject, second: Subject, ids: Sequence[Sequence[int]]) -> np.ndarray:
    """Debiased CKA of the same layer in both, from each text's mean vector."""
    import torch

    from ...tools.behaviour.model_comparison import batches_of_one_length
    from ...tools.representation.cka import cka
    from ...tools.subject.address import Site

    n_layers = first.shape.n_layers
    sites = [Site("stream", layer) for layer in range(n_layers)]
    means = np.zeros((2, n_layers, len(ids), first.d_model))
    for number, subject in enumerate((first, second)):
        for rows in batches_of_one_length(ids):
            batch = torch.tensor([list(ids[row]) for row in rows])
            activations = subject.capture(batch, sites).activations
            for layer, site in enumerate(sites):
                means[number, layer, rows] = activations[site][:, 1:].float().mean(1).cpu().numpy()
    values = [float(cka([a, b]).values[0, 1]) for a, b in zip(*means, strict=True)]
    return np.array(values)
