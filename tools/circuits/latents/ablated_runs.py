"""Runs in which only some latents and error nodes carry the prompt; all others have an ablated value.

1. Each dictionary's vector is taken apart where it is computed, in this run, in which earlier nodes
   may already be ablated.
2. Nodes that are kept write what they hold in this run. The others write what they hold in the
   corrupted twin (resample), or the mean over the twins at that position (mean).
3. The model goes on with the sum. With every node kept that is the vector itself.

Everything that is no node runs as it is: what comes before the first dictionary, the heads and MLPs
after it, and paths around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...dictionaries.dictionary import Dictionary
from ...subject import Subject
from ...subject.address import Site
from ...subject.capture import hook_place
from ...subject.non_finite import require_finite
from ..hooks import Hooks, Visit, temporary_hooks
from ..prompts import PromptPairs
from .nodes import Kept, LatentNodes, NodeValues, put_together, take_apart

LatentAblation = Literal["resample", "mean"]


def node_values(
    subject: Subject, nodes: LatentNodes, ids: Int[Tensor, "pairs seq"]
) -> list[NodeValues]:
    """What every node holds in a bare pass, by dictionary."""
    sites = [site for d in nodes.dictionaries for site in (d.reads, d.writes)]
    with torch.inference_mode():
        values = subject.capture(ids, sites).activations
        return [take_apart(d, values[d.reads], values[d.writes]).nodes for d in nodes.dictionaries]


def ablated_values(
    subject: Subject,
    nodes: LatentNodes,
    pairs: PromptPairs,
    ablation: LatentAblation = "resample",
) -> list[NodeValues]:
    """What nodes hold that are not kept, by dictionary."""
    twin = node_values(subject, nodes, pairs.corrupted)
    return [values.mean() for values in twin] if ablation == "mean" else twin


def run_latents(
    subject: Subject,
    nodes: LatentNodes,
    pairs: PromptPairs,
    kept: Kept,
    ablated: Sequence[NodeValues],
) -> Float[Tensor, " pairs"]:
    """The metric of each clean prompt when only the kept nodes carry it."""
    read: dict[Site, Tensor] = {}

    def keep_input(site: Site, value: Tensor) -> None:
        read[site] = value

    def rebuild(dictionary: Dictionary, own: Kept, values: NodeValues, outputs: Tensor) -> Tensor:
        inputs = outputs if not dictionary.is_transcoder else read[dictionary.reads]
        parts = take_apart(dictionary, inputs, outputs)
        return put_together(dictionary, parts, own, values).to(outputs.dtype)

    with temporary_hooks() as hooks, torch.inference_mode():
        # what writes at a place comes before what reads there
        by_dictionary = zip(nodes.dictionaries, nodes.split(kept), ablated, strict=True)
        for dictionary, own, values in by_dictionary:
            visit_site(subject, hooks, dictionary.writes, partial(rebuild, dictionary, own, values))
        for site in {d.reads for d in nodes.dictionaries if d.is_transcoder}:
            visit_site(subject, hooks, site, partial(keep_input, site))
        return pairs.logit_difference(last_logits(subject, pairs.clean))
    raise AssertionError("nothing stops this pass")


def visit_site(subject: Subject, hooks: Hooks, site: Site, visit: Visit) -> None:
    """Read or replace the value of a raw site."""
    place = hook_place(subject.parts, site)
    on = hooks.on_output if place.is_output else hooks.on_input
    on(place.module, visit)


def last_logits(subject: Subject, ids: Int[Tensor, "pairs seq"]) -> Float[Tensor, "pairs vocab"]:
    """Logits of the last position, in a bare pass; the caller's hooks are active.

    Raises:
        ArgumentError: they are not finite.
    """
    output = subject.model(ids.to(subject.device), use_cache=False, logits_to_keep=1)
    logits = output.logits[:, -1].float()
    require_finite(logits, subject.name, subject.dtype, "the logits", edited=True)
    return logits
