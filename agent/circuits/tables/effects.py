"""Mediation, path patching and attention of components in a task: one row each.

Each value is a mean over discovery prompts with its 95 % interval, in units of the logit difference
unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ....evals.statistics.ability import mean_over_prompts
from ....tools.circuits.attention import (
    copying_scores,
    edge_knockouts,
    head_scores,
    repeated_tokens,
)
from ....tools.circuits.attribution import attribute
from ....tools.circuits.circuit_model import CircuitModel
from ....tools.circuits.graph import Node, Target
from ....tools.circuits.head_observations import HeadObserver, positions_of
from ....tools.circuits.mediation import mediate
from ....tools.circuits.path_patching import Mlps, path_patch
from ....tools.circuits.sweep import Sweep
from ....tools.subject import Unit

if TYPE_CHECKING:
    from torch import Tensor

    from ....tools.circuits.tasks.prepared import PairBatch

Row = dict[str, Any]

REPEATED_TOKENS = 16
"""Length of the random sequence that is repeated, if the subject's context has room for two."""


def strongest_heads(model: CircuitModel, batches: Sequence[PairBatch], n: int) -> list[Node]:
    """The n heads with the largest effects by attribution patching, the strongest first."""
    with torch.enable_grad():
        scores = torch.cat([attribute(model, batch.pairs).heads for batch in batches]).mean(0)
    best = scores.abs().flatten().topk(min(n, scores.numel())).indices.tolist()
    return [Node("head", *divmod(index, model.graph.n_heads)) for index in best]


def mediation_rows(
    model: CircuitModel, batches: Sequence[PairBatch], units: Sequence[Unit]
) -> list[Row]:
    """Total, indirect and direct effect of each head or neuron, and their interaction."""
    mediations = [mediate(model, batch.pairs, units) for batch in batches]
    total = _interval(torch.cat([mediation.total for mediation in mediations]))
    indirect, direct, interaction = (
        torch.cat([getattr(mediation, name) for mediation in mediations], 1)
        for name in ("indirect", "direct", "interaction")
    )
    return [
        {
            "component": str(unit),
            "total": total,
            "indirect": _interval(indirect[index]),
            "direct": _interval(direct[index]),
            "interaction": _interval(interaction[index]),
        }
        for index, unit in enumerate(units)
    ]


def path_rows(
    model: CircuitModel,
    batches: Sequence[PairBatch],
    senders: Sequence[Node],
    receivers: Sequence[Target],
    mlps: Mlps,
) -> list[Row]:
    """The effect of each sender through all receivers together, and through nothing else."""
    effects = torch.cat(
        [path_patch(model, batch.pairs, senders, receivers, mlps) for batch in batches], 1
    )
    through = [f"{node}<{read}>" for node, read in receivers]
    return [
        {"component": str(sender), "receivers": through, "mlps": mlps, "effect": _interval(values)}
        for sender, values in zip(senders, effects, strict=True)
    ]


def attention_rows(
    model: CircuitModel, batches: Sequence[PairBatch], heads: Sequence[Node], seed: int
) -> Iterator[Row]:
    """Where each head attends, what it copies, and whether its attention weights are its effects.

    `previous`, `duplicate` and `induction` are measured on random tokens said twice, as
    `scores_on` says; all else on the task's prompts. `looks_at` is the attention from END to each
    mark of the task; `direct` is what the head itself adds to the logit
    difference; `rank_correlation` compares the head's weights from END with the sizes of the effects
    of removing them.
    """
    subject = model.subject
    length = min(REPEATED_TOKENS, subject.context_length // 2)
    scores = head_scores(subject, repeated_tokens(subject, length=length, seed=seed))
    copying = copying_scores(subject, model)
    observers = [
        HeadObserver(model, batch.pairs, positions_of(batch.pairs, _marks_as_lists(batch)))
        for batch in batches
    ]
    knockouts = [edge_knockouts(Sweep(model, batch.pairs), heads) for batch in batches]
    correlations = torch.cat([each.rank_correlation_by_pair() for each in knockouts], 1)
    for index, head in enumerate(heads):
        observations = [observer.observe(head) for observer in observers]
        kinds = {
            name: _number(getattr(scores, name)[head.layer, head.head])
            for name in scores.__dataclass_fields__
        }
        yield {
            "component": str(head),
            "scores_on": "repeated random tokens",
            **kinds,
            "copying": _number(copying[head.layer, head.head]),
            "direct": _interval(list(chain.from_iterable(each.direct for each in observations))),
            "looks_at": _attention_from_end([each.attention for each in observations]),
            "rank_correlation": _interval(correlations[index]),
        }


def _marks_as_lists(batch: PairBatch) -> dict[str, list[int]]:
    return {name: list(positions) for name, positions in batch.marks.items()}


def _attention_from_end(
    per_batch: Sequence[Mapping[str, Sequence[float]]],
) -> dict[str, dict[str, float]]:
    """Attention from END to each mark that all batches have."""
    shares: dict[str, dict[str, float]] = {}
    for link in per_batch[0]:
        if link.startswith("END>") and all(link in attention for attention in per_batch):
            values = list(chain.from_iterable(attention[link] for attention in per_batch))
            shares[link.removeprefix("END>")] = _interval(values)
    return shares


def _interval(values: Tensor | Sequence[float]) -> dict[str, float]:
    return mean_over_prompts(torch.as_tensor(values).double().cpu().numpy())._asdict()


def _number(value: Tensor) -> float | None:
    """A JSON number; None for NaN."""
    number = float(value)
    return None if np.isnan(number) else number
