"""Attention: where do heads look, without knowing what for?

1. Every head's attention on the first tokens of some documents, in five numbers a document
   (`tools/representation/head_summaries`).
2. Controls: what uniform attention over the same tokens would give; and, for the token before, what
   another earlier token gets on average.
3. The previous-token head is chosen on one half of the documents and measured on the other, since
   the best of many is good by chance.
4. Intervals: the mean over documents with Student's t, all claims together at 95 %.

Attention is not an explanation: a head that attends to a token need not use it. What a head does is
measured by removing it (`hubel circuit`, `hubel tool ablate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ...tools.errors import UsageError
from ...tools.representation.head_summaries import MEASURES, first_tokens, head_summaries
from ..figures import BarChart, Figure, HeatMap, LinePlot, PlottedLine, ScatterPlot
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, below, joint_level

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.subject import Subject
    from ..measurements import Measured

LEAST_DOCUMENTS = 8
"""Half of them choose a head, and an interval needs a few."""
MOSTLY = 0.5
"""Of a previous-token head's attention, beyond what another earlier token gets."""
CLAIMS = 3
SHOWN_HEADS = 12

Summaries = Mapping[str, "Float[np.ndarray, 'document layer head']"]


@study(
    "attention", question="Where do heads attend: to a sink, to the token before, or everywhere?"
)
def attention(
    study: StudyContext,
    corpus: Annotated[str, Field(description="text to read")] = "lee-news",
    documents: Annotated[int, Field(ge=LEAST_DOCUMENTS, le=10_000)] = 60,
    tokens: Annotated[int, Field(ge=8, le=512, description="of each document")] = 64,
) -> StudyResult:
    """Summarise every head's attention: entropy, distance, attention to a sink and to the token before.

    Works for decoders and encoders. It says where heads attend, and not what they do with it.
    """
    measured = study.measured(
        "attention", lambda: measure_attention(study.subject, corpus, documents, tokens)
    )
    return conclude(measured, {name: float(measured[f"uniform_{name}"]) for name in MEASURES})


def measure_attention(subject: Subject, corpus: str, documents: int, tokens: int) -> Measured:
    """The summaries by document, layer and head, and those of uniform attention."""
    from ...tools.corpus import read_corpus
    from ...tools.representation.head_summaries import uniform_summaries

    texts: list[list[int]] = []
    for document in read_corpus(corpus).documents:
        ids = first_tokens(subject, document.text, tokens)
        texts += [ids] if len(ids) == tokens else []
        if len(texts) == documents:
            break
    if len(texts) < LEAST_DOCUMENTS:
        raise UsageError(
            f"{corpus} has {len(texts)} documents of {tokens} tokens or more; give a corpus with at "
            f"least {LEAST_DOCUMENTS}, or fewer --tokens"
        )
    parts = list(head_summaries(subject, texts))
    uniform = uniform_summaries(tokens, bidirectional=subject.bidirectional)
    return {
        **{name: np.concatenate([part[name] for part in parts]) for name in MEASURES},
        **{f"uniform_{name}": np.array(value) for name, value in uniform.items()},
    }


def conclude(summaries: Summaries, uniform: Mapping[str, float]) -> StudyResult:
    """The claims, a row and a point for each head."""
    means = {name: summaries[name].mean(axis=0) for name in MEASURES}
    rows = [
        {"layer": layer, "head": head}
        | {name: round(float(means[name][layer, head]), 6) for name in MEASURES}
        for layer, head in np.ndindex(means["sink"].shape)
    ]
    return StudyResult(rows, _claims(summaries, uniform), _figures(means, uniform))


def _claims(summaries: Summaries, uniform: Mapping[str, float]) -> list[StudyClaim]:
    sink = summaries["sink"].mean(axis=(1, 2))
    by_layer = summaries["spread"].mean(axis=2)
    half_depth = by_layer.shape[1] // 2
    change = by_layer[:, half_depth:].mean(axis=1) - by_layer[:, :half_depth].mean(axis=1)
    return [
        above(
            "heads attend to the sink (the first token, of an encoder also the last) more than "
            "uniform attention would",
            _mean_interval(sink),
            uniform["sink"],
            n=len(sink),
        ),
        _previous_token_head(summaries),
        below(
            "attention is sharper (less spread over the tokens seen) in the second half of the layers",
            _mean_interval(change),
            0.0,
            n=len(change),
        ),
    ]


def _previous_token_head(summaries: Summaries) -> StudyClaim:
    previous, earlier = summaries["previous"], summaries["earlier"]
    half = len(previous) // 2
    lead = (previous - earlier)[:half].mean(axis=0)
    layer, head = (int(place) for place in np.unravel_index(int(lead.argmax()), lead.shape))
    held_out = previous[half:, layer, head]
    return above(
        f"head.{layer}.{head} is a previous-token head: it gives the token before it at least "
        f"{MOSTLY:g} more attention than another earlier token",
        _mean_interval(held_out),
        float(earlier[half:, layer, head].mean()),
        n=len(held_out),
        least=MOSTLY,
    )


def _mean_interval(values: Float[np.ndarray, " document"]) -> Interval:
    """The mean with Student's t over documents, at the level that all claims share."""
    from scipy.special import stdtrit

    mean, n = float(values.mean()), len(values)
    error = float(values.std(ddof=1)) / n**0.5
    reach = float(stdtrit(n - 1, (1 + joint_level(CLAIMS)) / 2)) * error
    return Interval(mean, mean - reach, mean + reach)


def _figures(
    means: Mapping[str, Float[np.ndarray, "layer head"]], uniform: Mapping[str, float]
) -> list[Figure]:
    shape = means["sink"].shape
    layers, heads = ([str(number) for number in range(size)] for size in shape)
    titles = {
        "sink": "Attention to the sink",
        "spread": "Spread of attention (1: uniform)",
        "previous": "Attention to the token before",
    }
    maps = [
        HeatMap(f"{name}-map", title, "head", "layer", heads, layers, means[name].round(4).tolist())
        for name, title in titles.items()
    ]
    places = list(np.ndindex(shape))
    distance, spread = (means[name].round(4).ravel().tolist() for name in ("distance", "spread"))
    scatter = ScatterPlot(
        "heads",
        "Heads by how far and how widely they attend",
        "mean distance (tokens)",
        "spread of attention",
        distance,
        spread,
        [f"head.{layer}.{head}" for layer, head in places],
        [_kind(means, place) for place in places],
    )
    return [_by_layer(means, uniform), *maps, scatter, _strongest(means)]


def _by_layer(
    means: Mapping[str, Float[np.ndarray, "layer head"]], uniform: Mapping[str, float]
) -> LinePlot:
    layers = list(range(len(means["sink"])))
    lines = [
        PlottedLine(name, layers, means[name].mean(1).tolist(), *_extremes(means[name]))
        for name in ("sink", "spread", "previous")
    ]
    flat = [uniform["sink"]] * len(layers)
    lines.append(PlottedLine("sink of uniform attention", layers, flat, is_control=True))
    title = "Mean over the heads of a layer, with the quarter and three-quarter points"
    return LinePlot("by-layer", title, "layer", "share", lines)


def _extremes(values: Float[np.ndarray, "layer head"]) -> tuple[list[float], list[float]]:
    low, high = np.quantile(values, [0.25, 0.75], axis=1)
    return low.tolist(), high.tolist()


def _kind(means: Mapping[str, Float[np.ndarray, "layer head"]], place: tuple[int, ...]) -> str:
    """What a head is called in the figure: by the share of attention that goes to one place."""
    if means["previous"][place] > MOSTLY:
        return "previous token"
    if means["sink"][place] > MOSTLY:
        return "sink"
    return "other"


def _strongest(means: Mapping[str, Float[np.ndarray, "layer head"]]) -> BarChart:
    best = np.argsort(-means["previous"], axis=None)[:SHOWN_HEADS]
    layers, heads = np.unravel_index(best, means["previous"].shape)
    previous, earlier = (means[name][layers, heads].round(4) for name in ("previous", "earlier"))
    return BarChart(
        "previous-token-heads",
        "Heads that attend most to the token before",
        "share of attention (mark: another earlier token)",
        [f"head.{layer}.{head}" for layer, head in zip(layers, heads, strict=True)],
        previous.tolist(),
        control=earlier.tolist(),
    )
