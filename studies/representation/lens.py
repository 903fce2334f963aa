"""Lens: from which layer on can the model's next token be read, by the Jacobian and the logit lens?

1. The Jacobian lens is fitted on some documents (`tools/representation/jacobian_lens`); both lenses read
   other documents, at every token but the first of each context.
2. The figure of a lens after a layer is the log probability that it gives to the model's own most likely
   next token.
3. Floor: the same lens reads the stream at a token of *another* document. It keeps what a lens says of
   any text, such as that "," is frequent; what is above it was read from this token.
4. Claims, over all layers but the last few, where both lenses come near the output by construction: the
   Jacobian lens reads more than its floor, and more than the logit lens does.
5. Intervals: bootstrap over documents. After the last layer both are the model's output exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ...tools.errors import UsageError
from ..document_starts import document_starts
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...tools.subject import Subject
    from ..measurements import Measured

LENSES = ("jacobian", "logit", "jacobian of another document", "logit of another document")
LEFT_OUT = 0.1
"""Share of the layers, from the end, that the claims leave out."""
BATCH = 16
"""Contexts read at a time."""


@study("lens", question="From which layer on can the model's next token be read from its stream?")
def lens(
    study: StudyContext,
    corpus: Annotated[str, Field(description="text to read")] = "lee-news",
    fit: Annotated[
        int, Field(ge=1, le=200, description="documents that the Jacobian is averaged over")
    ] = 8,
    documents: Annotated[int, Field(ge=8, le=2000, description="documents that are read")] = 40,
    length: Annotated[int, Field(ge=8, le=512, description="tokens of each document")] = 32,
    seed: int = 0,
) -> StudyResult:
    """Read the stream after each layer as next tokens: by the Jacobian lens and the logit lens.

    The Jacobian takes a backward pass for each dimension of the stream: minutes for 576.
    """
    fitted = study.measured(
        "jacobian", lambda: measure_jacobian(study, corpus, fit, documents, length, seed)
    )
    read = study.measured("readings", lambda: measure_readings(study, fitted, seed))
    return conclude(read["readings"], seed)


def measure_jacobian(
    study: StudyContext, corpus: str, fit: int, documents: int, length: int, seed: int
) -> Measured:
    """The Jacobian of each layer, and the token ids of the documents that the lenses read."""
    import torch

    from ...tools.representation.jacobian_lens import mean_jacobian

    study.subject.require_decoder("a lens")
    ids = document_starts(study.subject, corpus, fit + documents, length, seed)
    if len(ids) < fit + 8:
        raise UsageError(
            f"{corpus} has {len(ids)} documents of {length} tokens or more; {fit} are for the "
            "Jacobian and at least 8 are read: give a corpus with more, or a smaller --length"
        )
    jacobian = mean_jacobian(
        study.subject,
        torch.tensor(ids[:fit]),
        lambda done, total: study.progress("dimensions differentiated", done, total),
    )
    return {"jacobian": jacobian, "ids": np.array(ids[fit:])}


def measure_readings(study: StudyContext, fitted: Measured, seed: int) -> Measured:
    """Log probability of the model's own token: [lens, layer, document, position]."""
    import torch

    subject, ids = study.subject, torch.from_numpy(fitted["ids"])
    other = other_document(len(ids), seed)
    blocks: list[np.ndarray] = []
    for start in range(0, len(ids), BATCH):
        rows = np.arange(start, min(start + BATCH, len(ids)))
        blocks.append(_readings(subject, ids, rows, other, fitted["jacobian"]))
        study.progress("documents read", int(rows[-1]) + 1, len(ids))
    return {"readings": np.concatenate(blocks, axis=2)}


def other_document(count: int, seed: int) -> np.ndarray:
    """For each document another one."""
    order = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, dtype=np.int64)
    other[order] = np.roll(order, 1)
    return other


def _readings(
    subject: Subject,
    ids: Tensor,
    rows: np.ndarray,
    other: np.ndarray,
    jacobian: Float[np.ndarray, "layer d_model d_model"],
) -> Float[np.ndarray, "lens layer document position"]:
    import torch

    from ...tools.representation.jacobian_lens import lens_logits
    from ...tools.subject.address import Site

    n_layers = subject.shape.n_layers
    sites = [Site("stream", layer) for layer in range(n_layers)]
    own = subject.capture(ids[rows], sites, logits=True)
    foreign = subject.capture(ids[other[rows]], sites)
    assert own.logits is not None  # they were asked for
    said = own.logits[:, 1:].argmax(dim=-1)
    readings = torch.zeros(len(LENSES), n_layers, *said.shape)
    with torch.inference_mode():
        for layer, site in enumerate(sites):
            matrix = jacobian[layer]
            sources = ((own, matrix), (own, None), (foreign, matrix), (foreign, None))
            for lens, (capture, carried) in enumerate(sources):
                logits = lens_logits(subject, capture.activations[site][:, 1:], carried).float()
                chosen = logits.gather(-1, said[..., None])[..., 0]
                readings[lens, layer] = chosen - logits.logsumexp(dim=-1)
    return readings.numpy()


def conclude(
    readings: Float[np.ndarray, "lens layer document position"], seed: int = 0
) -> StudyResult:
    """Both claims, a row and a point for each layer."""
    by_document = readings.mean(axis=3)
    n_layers, n = by_document.shape[1:]
    kept = max(1, n_layers - max(1, round(LEFT_OUT * n_layers)))
    means = by_document[:, :kept].mean(axis=1)
    level = joint_level(2)
    claims = [
        above(
            f"up to layer {kept - 1} the Jacobian lens reads more of the next token than from "
            "another document",
            mean_over_groups(means[0] - means[2], level=level, seed=seed),
            0.0,
            n,
        ),
        above(
            f"up to layer {kept - 1} the Jacobian lens reads more above its floor than the logit "
            "lens does above its own",
            mean_over_groups((means[0] - means[2]) - (means[1] - means[3]), level=level, seed=seed),
            0.0,
            n,
        ),
    ]
    layers = list(range(n_layers))
    by_layer = by_document.mean(axis=2)
    rows = [
        {"layer": layer, **{name: float(by_layer[i, layer]) for i, name in enumerate(LENSES)}}
        for layer in layers
    ]
    lines: list[PlottedLine] = []
    for place, name in enumerate(LENSES):
        lines.append(_line(name, by_document[place], seed, is_control=place > 1))
    title = "What lenses give to the model's own next token"
    figure = LinePlot("lenses", title, "layer", "log probability (nats)", lines)
    return StudyResult(rows, claims, [figure])


def _line(
    name: str, values: Float[np.ndarray, "layer document"], seed: int, is_control: bool
) -> PlottedLine:
    ends = [mean_over_groups(row, seed=seed) for row in values]
    return PlottedLine(
        name,
        list(range(len(values))),
        [end.value for end in ends],
        [end.low for end in ends],
        [end.high for end in ends],
        is_control,
    )
