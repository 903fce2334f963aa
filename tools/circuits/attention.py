"""Attention: where heads attend, what kinds of heads there are, and how well weights predict effects.

Patterns come from a pass with eager attention, the only implementation that returns them. Each head
score is a mean over the queries that have such a key. Position 0, to which most heads attend when
they have nothing to do, is neither query nor key nor an earlier copy:

    previous    attention to the token before
    duplicate   attention to earlier tokens equal to the present one
    induction   attention to tokens that follow earlier ones equal to the present one
    copying     sum of the eigenvalues of the head's whole OV circuit over the sum of their sizes
                (Elhage et al. 2021), from -1 to 1. At 1, attending to a token makes it likelier; at
                -1, less likely (copy suppression). A token is its stream after the first MLP,
                without attention
                (Wang et al. 2022): in SmolLM2-135M that MLP's write is 16 times as long as the
                embedding, which says little about what later heads read.

Previous, duplicate and induction heads are those of Elhage et al. 2021 and Olsson et al. 2022.
Induction is measured on repeated random tokens (`repeated_tokens`), where nothing else calls for
the same attention.

Attention is not an explanation by itself: `edge_knockouts` removes single attention edges, and the
rank correlation of their weights with those effects says how far weights can be trusted on these
prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..subject.architectures import matrix, norm_scale
from ..subject.attention import attention_patterns
from ..subject.subject import Subject
from .circuit_model import CircuitModel, at_least_float32
from .forward_record import record
from .graph import Node
from .hooks import StopForward, temporary_hooks
from .sweep import Patch, Sweep

TOKENS = 4096
"""Tokens of the vocabulary that go through the first layer at once."""


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Scores from 0 to 1 (copying from -1); nan where no query has such a key."""

    previous: Float[Tensor, "layer head"]
    duplicate: Float[Tensor, "layer head"]
    induction: Float[Tensor, "layer head"]


def head_scores(subject: Subject, ids: Int[Tensor, "batch seq"]) -> HeadScores:
    """Where every head attends on these tokens."""
    patterns = attention_patterns(subject, ids)
    return HeadScores(
        **{kind: _mean_attention(patterns, keys) for kind, keys in head_kinds(ids).items()}
    )


def repeated_tokens(
    subject: Subject, n: int = 8, length: int = 16, seed: int = 0
) -> Int[Tensor, "n twice_length"]:
    """Random tokens, each row repeated once: only induction and duplicate-token heads can use them."""
    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(seed)
    once = torch.stack([torch.randperm(vocabulary, generator=generator)[:length] for _ in range(n)])
    return torch.cat([once, once], dim=1)


def head_kinds(ids: Int[Tensor, "batch seq"]) -> dict[str, Bool[Tensor, "batch query key"]]:
    """The keys of each query in a previous-token, a duplicate-token and an induction head."""
    ids = ids.cpu()
    earlier = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril(-1)
    earlier[:, 0] = False
    same = (ids[:, :, None] == ids[:, None, :]) & earlier
    previous = (earlier & ~earlier.tril(-2)).expand_as(same)
    return {
        "previous": previous,
        "duplicate": same,
        "induction": same.roll(1, dims=2),  # may be the query itself
    }


def _mean_attention(
    patterns: Float[Tensor, "layer batch head query key"], keys: Bool[Tensor, "batch query key"]
) -> Float[Tensor, "layer head"]:
    """Mean attention to these keys, over the queries that have one."""
    keys = keys.to(patterns.device)
    has_key = keys.any(-1)  # batch query
    attention = (patterns * keys[None, :, None]).sum(-1)  # layer batch head query
    return (attention * has_key[None, :, None]).sum((1, 3)) / has_key.sum()


def copying_scores(subject: Subject, model: CircuitModel) -> Float[Tensor, "layer head"]:
    """How much each head's OV circuit raises the tokens that it reads, from -1 to 1.

    The weights of the norms are folded in.
    """
    embedding = _centred(after_first_mlp(subject))
    unembedding = _centred(matrix(subject.parts.unembed))
    norm = subject.architecture.norm
    final_scale = norm_scale(subject.parts.final_norm, norm).double()
    # W_E W_U: which written direction raises which read direction, over the whole vocabulary.
    token_map = final_scale[:, None] * (unembedding.T @ embedding)  # written d_model, read d_model
    scores: list[Tensor] = []
    for layer, readers in enumerate(model.readers):
        scale = norm_scale(readers.attention_norm, norm).double()
        scores.append(_eigenvalue_shares(model, layer, token_map * scale))
    return torch.stack(scores)


def after_first_mlp(subject: Subject) -> Float[Tensor, "vocab d_model"]:
    """The stream after the first MLP for each token alone, without attention, at RMS 1."""
    vocabulary = subject.model.get_input_embeddings().weight.shape[0]
    first = subject.parts.layers[0]
    streams: list[Tensor] = []

    def keep(value: Float[Tensor, "token 1 d_model"]) -> None:
        streams.append(at_least_float32(value[:, 0]))
        raise StopForward

    for ids in torch.arange(vocabulary, device=subject.device).split(TOKENS):
        with torch.inference_mode(), temporary_hooks() as hooks:
            hooks.on_output(first.attention_write, torch.zeros_like)
            hooks.on_output(first.whole, keep)
            subject.model(ids[:, None], use_cache=False, logits_to_keep=1)
    stream = torch.cat(streams)
    return stream / stream.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def _centred(weight: Any) -> Float[Tensor, "vocab d_model"]:
    """Rows without their mean, which raises all logits alike and would drown their differences."""
    return weight.double() - weight.double().mean(0)


def _eigenvalue_shares(
    model: CircuitModel, layer: int, token_map: Float[Tensor, "written read"]
) -> Float[Tensor, " head"]:
    """Sum of each head's OV eigenvalues over the sum of their sizes."""
    graph = model.graph
    first_value = graph.n_heads + graph.n_kv_heads
    by_kv_head = model.qkv_weights(layer).weights[first_value:].double()
    values = by_kv_head.repeat_interleave(graph.heads_per_kv, 0)  # head head_dim d_model
    writes = model.subject.head_matrices(layer).double()  # head d_model head_dim
    # W_U W_O W_V W_E has the eigenvalues of W_V (W_E W_U) W_O, which is head_dim wide.
    eigenvalues = torch.linalg.eigvals(torch.einsum("hkr,wr,hwj->hkj", values, token_map, writes))
    return eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)


@dataclass(frozen=True, eq=False)
class AttentionEdges:
    """Attention of heads from the last position, and the effect of removing it key by key.

    Attributes:
        weight: attention from the last position.
        effect: m(clean without that key, the other weights as they are) - m(clean).
    """

    heads: tuple[Node, ...]
    weight: Float[Tensor, "head pairs key"]
    effect: Float[Tensor, "head pairs key"]

    def rank_correlation_by_pair(self) -> Float[Tensor, "head pairs"]:
        """Spearman's, of a head's weights with the sizes of its effects across keys, on each pair."""
        return _correlation(_ranks(self.weight), _ranks(self.effect.abs()))


def edge_knockouts(sweep: Sweep, heads: Sequence[Node]) -> AttentionEdges:
    """Remove, one at a time, what each head moves from each position to the last one."""
    model, pairs = sweep.model, sweep.pairs
    patterns = attention_patterns(model.subject, pairs.clean)
    clean = record(model, pairs.clean, pairs.logit_difference)
    weights: list[Tensor] = []
    patches: list[tuple[int, Patch]] = []
    for head in heads:
        weight = patterns[head.layer, :, head.head, -1]  # pairs key
        weights.append(weight)
        module, rows = model.value_slice(head.head)
        values = clean.projected[head.layer, module][..., rows]  # pairs key head_dim
        read = weight[..., None] * values
        for key in range(pairs.n_tokens):
            patch = _remove_read(model, clean.z[head.layer], head, read[:, key])
            patches.append((head.layer, patch))
    effects = sweep.patches(patches).view(len(heads), pairs.n_tokens, len(pairs)).transpose(1, 2)
    return AttentionEdges(tuple(heads), torch.stack(weights), effects)


def _remove_read(
    model: CircuitModel,
    z: Float[Tensor, "pairs seq width"],
    head: Node,
    read: Float[Tensor, "pairs head_dim"],
) -> Patch:
    """A patch of a head's z that subtracts what it read from one key at the last position."""
    width = model.subject.head_dim
    columns = slice(head.head * width, (head.head + 1) * width)
    value = z[..., columns].clone()
    value[:, -1] -= read
    return Patch(model.subject.parts.layers[head.layer].attention_out, value, columns)


def _ranks(values: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
    return values.argsort(-1).argsort(-1).double()


def _correlation(
    left: Float[Tensor, "*rows n"], right: Float[Tensor, "*rows n"]
) -> Float[Tensor, "*rows"]:
    left = left - left.mean(-1, keepdim=True)
    right = right - right.mean(-1, keepdim=True)
    return (left * right).sum(-1) / (left.norm(dim=-1) * right.norm(dim=-1))
