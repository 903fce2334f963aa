"""Compare: where two models, checkpoints or fine-tunes predict differently, and which layer did it.

1. Both read the same contexts of a corpus. At each token: KL of the first's next-token distribution
   to the second's, and the loss of the token that follows (`tools/behaviour/model_comparison`).
2. Slices are kinds of tokens read (numbers, capitalised words, pieces of words ...). Claim of each:
   predictions after such tokens changed more than after the others of the same contexts. One
   interval over documents for each slice, at the level at which all hold together.
3. Layers: each layer of the second gets the first one's input, so that only its own change shows. The
   layer that changed most on one half of the documents is held against the mean of the others on the
   other half, since the largest of many is large by chance.
4. Units: neurons whose activation on the same input correlates least; they changed meaning.
5. Debiased CKA of the same layer in both, over documents; 1 where nothing changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import (
    LEAST_GROUPS,
    difference_over_groups,
    mean_over_groups,
)
from ...tools.errors import UsageError
from ..figures import BarChart, Figure, LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level, with_means

if TYPE_CHECKING:
    from ...evals.statistics.bootstrap import Interval
    from ...tools.subject import Subject
    from ..measurements import Measured

CONTEXT = 48
"""Tokens of a document that are read: KL of later ones is much the same, and costs as much again."""
SHOWN_UNITS = 20
SLICES = {
    "numbers": r"\s?\d+",
    "capitalised words": r"\s?[A-Z]\w*",
    "words": r"\s[a-z]\w*",
    "pieces of words": r"[a-z]+",
    "punctuation": r"\s?[^\w\s]+",
    "line ends": r"\s*\n\s*",
}
"""Kinds of tokens, by their text; the first that fits counts."""
OTHER = "other tokens"
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
    documents: Annotated[int, Field(ge=2 * LEAST_GROUPS, le=5000)] = 40,
    seed: int = 0,
) -> StudyResult:
    """Compare two subjects with one vocabulary: by token, kind of token, layer and neuron.

    For a fine-tune, a checkpoint or a quantised copy next to the model that it comes from. Subjects
    with other vocabularies are compared by `similarity-between`.
    """
    tokens = study.measured("tokens", lambda: measure_tokens(study.subject, corpus, documents))
    both = (study.subject_at, tokens["ids"])
    predictions = study.measured("predictions", lambda: measure_predictions(*both))
    study.progress("layers", 0, 1)
    layers = study.measured("layers", lambda: measure_layers(*both))
    return conclude(predictions, tokens["kind"], layers, seed)


def measure_tokens(subject: Subject, corpus: str, documents: int) -> Measured:
    """The first tokens of documents that are long enough, and the kind of each."""
    from ...tools.corpus import read_corpus

    ids: list[list[int]] = []
    for document in read_corpus(corpus).documents:
        read = subject.tokenize(document.text).ids[:CONTEXT]
        if len(read) == CONTEXT:
            ids.append(read)
        if len(ids) == documents:
            break
    if len(ids) < 2 * LEAST_GROUPS:
        raise UsageError(
            f"{corpus} has {len(ids)} documents of {CONTEXT} tokens or more; give a corpus with at "
            f"least {2 * LEAST_GROUPS}"
        )
    strings = subject.token_strings()
    kinds = np.array([[kind_of(strings[token]) for token in row] for row in ids])
    return {"ids": np.array(ids), "kind": kinds}


def kind_of(token: str) -> str:
    """The first slice whose pattern the token fits."""
    return next((name for name, form in SLICES.items() if re.fullmatch(form, token)), OTHER)


def measure_predictions(subject_at: Any, ids: np.ndarray) -> Measured:
    """KL and losses at each token but the last."""
    from ...tools.behaviour.model_comparison import compare_predictions

    change = compare_predictions(subject_at(0), subject_at(1), ids.tolist())
    return {"kl": change.kl, "loss": change.loss, "other_loss": change.other_loss}


def measure_layers(subject_at: Any, ids: np.ndarray) -> Measured:
    """Each layer's own change, each neuron's correlation and each layer's CKA; empty for other shapes."""
    from ...tools.behaviour.model_comparison import compare_layers_on_same_input

    first, second = subject_at(0), subject_at(1)
    if (first.shape.n_layers, first.d_model) != (second.shape.n_layers, second.d_model):
        nothing = np.zeros((len(ids), 0))
        return {"relative": nothing, "correlation": nothing, "cka": np.zeros(0)}
    change = compare_layers_on_same_input(first, second, ids.tolist())
    return {
        "relative": change.relative,
        "correlation": change.correlation,
        "cka": _cka(first, second, ids),
    }


def conclude(
    predictions: Measured, kinds: np.ndarray, layers: Measured, seed: int = 0
) -> StudyResult:
    """Claims about the loss, the slices and the layers; rows of slices, layers and units."""
    kl, difference = predictions["kl"], predictions["other_loss"] - predictions["loss"]
    # position 0 is an attention sink with predictions of its own
    document = np.repeat(np.arange(len(kl)), kl.shape[1] - 1)
    kind, values = kinds[:, 1:-1].ravel(), kl[:, 1:].ravel()
    names = [name for name in (*SLICES, OTHER) if 0 < (kind == name).sum() < len(kind)]
    level = joint_level(len(names) + 2)
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    intervals: list[Interval] = []
    controls: list[float] = []
    for name in names:
        member = kind == name
        claims.append(_slice_claim(name, values, member, document, level, seed))
        rise = float(difference[:, 1:].ravel()[member].mean())
        intervals.append(mean_over_groups(values[member], document[member].tolist(), seed=seed))
        controls.append(float(values[~member].mean()))
        rows.append(_row("slice", name, intervals[-1].value, int(member.sum()), loss_rise=rise))
    if kl.any():
        loss_claim = _loss_claim(difference[:, 1:].ravel(), document, level, seed)
        claims = [loss_claim, *claims, _layer_claim(layers["relative"], level, seed)]
    else:
        claims = [cannot_say(f"{claim}: {UNCHANGED}", len(kl)) for claim in (WORSE, MOST_CHANGED)]
    rows += _layer_rows(layers)
    return StudyResult(rows, claims, _figures(names, intervals, controls, layers))


def _loss_claim(
    difference: np.ndarray, document: np.ndarray, level: float, seed: int
) -> StudyClaim:
    interval = mean_over_groups(difference, document.tolist(), level=level, seed=seed)
    n = len(np.unique(document))
    return above(WORSE, interval, 0.0, n)


def _slice_claim(
    name: str, kl: np.ndarray, member: np.ndarray, document: np.ndarray, level: float, seed: int
) -> StudyClaim:
    claim = f"predictions after {name} changed more than after other tokens"
    n = len(np.unique(document[member]))
    if n < LEAST_GROUPS:
        return cannot_say(f"{claim}: only {n} documents have any", n)
    groups = document.tolist()
    interval = difference_over_groups(kl, member, groups, level=level, seed=seed)
    return above(with_means(claim, kl[member].mean(), kl[~member].mean()), interval, 0.0, n)


def _layer_claim(relative: np.ndarray, level: float, seed: int) -> StudyClaim:
    n_layers = relative.shape[1]
    if n_layers < 2:
        why = "the subjects have other shapes" if not n_layers else "there is one layer"
        return cannot_say(f"{MOST_CHANGED}: {why}", 0)
    chosen, tested = relative[::2], relative[1::2]
    layer = int(chosen.mean(axis=0).argmax())
    others = np.delete(tested, layer, axis=1).mean(axis=1)
    gain = mean_over_groups(tested[:, layer] - others, level=level, seed=seed)
    claim = f"{MOST_CHANGED} on the other half, layer {layer}"
    return above(with_means(claim, tested[:, layer].mean(), others.mean()), gain, 0.0, len(tested))


def _layer_rows(layers: Measured) -> list[dict[str, Any]]:
    correlation = layers["correlation"]
    if not layers["relative"].shape[1]:
        return []
    own, n_documents = layers["relative"].mean(axis=0).tolist(), len(layers["relative"])
    rows = [
        _row("layer", f"layer {layer}", own[layer], n_documents, cka=cka)
        for layer, cka in enumerate(layers["cka"].tolist())
    ]
    order = np.argsort(np.nan_to_num(correlation.ravel(), nan=1.0), kind="stable")[:SHOWN_UNITS]
    for place in order.tolist():
        layer, neuron = divmod(place, correlation.shape[1])
        value = float(correlation[layer, neuron])
        if value < 1 - 1e-6:
            rows.append(
                _row("unit", f"mlp.{layer}.{neuron}", 1 - value, n_documents, correlation=value)
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

    `n` counts the tokens of a slice, and documents else.
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
    names: Sequence[str],
    intervals: Sequence[Interval],
    controls: Sequence[float],
    layers: Measured,
) -> list[Figure]:
    bars = BarChart(
        "slices",
        "Change of predictions by the kind of token read",
        "KL, nats",
        names,
        *zip(*intervals, strict=True),
        control=controls,
    )
    figures: list[Figure] = [bars]
    if layers["relative"].shape[1]:
        own = layers["relative"].mean(axis=0).tolist()
        line = PlottedLine("own change", list(range(len(own))), own)
        title = "What each layer writes on the same input, relative difference"
        figures.append(LinePlot("layers", title, "layer", "relative difference", [line]))
    return figures


def _cka(first: Subject, second: Subject, ids: np.ndarray) -> np.ndarray:
    """Debiased CKA of the same layer in both, from each document's mean vector."""
    import torch

    from ...tools.behaviour.model_comparison import ROWS_PER_PASS
    from ...tools.representation.cka import cka
    from ...tools.subject.address import Site

    n_layers = first.shape.n_layers
    sites = [Site("stream", layer) for layer in range(n_layers)]
    means = np.zeros((2, n_layers, len(ids), first.d_model))
    for number, subject in enumerate((first, second)):
        for start in range(0, len(ids), ROWS_PER_PASS):
            rows = slice(start, start + ROWS_PER_PASS)
            activations = subject.capture(torch.from_numpy(ids[rows]), sites).activations
            for layer, site in enumerate(sites):
                means[number, layer, rows] = activations[site][:, 1:].float().mean(1).cpu().numpy()
    values = [float(cka([a, b]).values[0, 1]) for a, b in zip(*means, strict=True)]
    return np.array(values)
