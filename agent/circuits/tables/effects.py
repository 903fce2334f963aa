"""What components do in a task, one row each, on discovery prompts: mediation, path patching,
attention.

Each value is a mean with its 95 % interval over prompts, in units of the logit difference unless it
says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

SAID_TWICE = 16
"""Random tokens that are said twice, where the subject's context has room for them."""


def strongest_heads(model: CircuitModel, batches: Sequence[PairBatch], n: int) -> list[Node]:
    """The heads with the largest effects, as attribution patching estimates them; the first is the strongest."""
    with torch.enable_grad():
        scores = torch.cat([attribute(model, batch.pairs).heads for batch in batches]).mean(0)
    best = scores.abs().flatten().topk(min(n, scores.numel())).indices.tolist()
    return [Node("head", *divmod(at, model.graph.n_heads)) for at in best]


def mediation_rows(
    model: CircuitModel, batches: Sequence[PairBatch], units: Sequence[Unit]
) -> list[Row]:
    """Total, indirect and direct effect of each head or neuron, and what they do not add up to."""
    found = [mediate(model, batch.pairs, units) for batch in batches]
    names = ("indirect", "direct", "interaction")
    by_unit = {name: torch.cat([getattr(each, name) for each in found], 1) for name in names}
    total = _interval(torch.cat([each.total for each in found]))
    return [
        {"component": str(unit), "total": total}
        | {name: _interval(values[at]) for name, values in by_unit.items()}
        for at, unit in enumerate(units)
    ]


def path_rows(
    model: CircuitModel,
    batches: Sequence[PairBatch],
    senders: Sequence[Node],
    receivers: Sequence[Target],
    mlps: Mlps,
) -> list[Row]:
    """What each sender does through all receivers together, and through nothing else."""
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
    """Where each head looks, on random tokens said twice and in the task; what it copies, and
    whether weight is effect.

    `looks_at` is the share that END gives to the task's own marks; `direct` what the head adds to
    the logit difference by itself; `rank_correlation` that of its weights from END with the sizes
    of the effects of taking them away.
    """
    subject = model.subject
    length = min(SAID_TWICE, subject.context_length // 2)
    kinds = head_scores(subject, repeated_tokens(subject, length=length, seed=seed))
    copying = copying_scores(subject, model)
    lookers = [
        HeadObserver(model, batch.pairs, positions_of(batch.pairs, _lists(batch)))
        for batch in batches
    ]
    weighed = torch.cat(
        [
            edge_knockouts(Sweep(model, batch.pairs), heads).rank_correlation_by_pair()
            for batch in batches
        ],
        1,
    )
    for at, head in enumerate(heads):
        looks = [looker.observe(head) for looker in lookers]
        marks = [
            mark
            for mark in looks[0].attention
            if mark.startswith("END>") and all(mark in x.attention for x in looks)
        ]
        yield {
            "component": str(head),
            **{
                name: _number(getattr(kinds, name)[head.layer, head.head])
                for name in kinds.__dataclass_fields__
            },
            "copying": _number(copying[head.layer, head.head]),
            "direct": _interval([value for look in looks for value in look.direct]),
            "looks_at": {
                mark.removeprefix("END>"): _interval(
                    [value for look in looks for value in look.attention[mark]]
                )
                for mark in marks
            },
            "rank_correlation": _interval(weighed[at]),
        }


def _lists(batch: PairBatch) -> dict[str, list[int]]:
    return {name: list(places) for name, places in batch.marks.items()}


def _interval(values: Tensor | Sequence[float]) -> dict[str, float]:
    return mean_over_prompts(torch.as_tensor(values).double().cpu().numpy())._asdict()


def _number(value: Tensor) -> float | None:
    """A number of JSON; None for what is not known."""
    return None if np.isnan(found := float(value)) else found
