"""Known paths in a real subject: an early token decides between two answers by way of planted heads
and neurons.

    copy    input -> head -> neuron -> logits          the head looks from END to the trigger and hands its mark on
    relay   input -> head -> head<v> -> logits         a token in the middle takes the mark over, and END from there
    match   input -> head -> head<k> -> logits         the mark decides whether END looks at the middle token at all

The clean prompt and its twin differ in the trigger, one token of two that are marked alike in all
but the value that is carried. The path moves the answer by as many logits as asked; what else the
subject makes of the other token is there too, as in any real task. Levels are set by what a pass
shows: each planted write is a twentieth as long as the stream there, and attention is sure by
twelve nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...tools.circuits.ablation import run_circuit
from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.forward_record import ForwardRecord, record
from ...tools.circuits.graph import Edge, Input, Node
from ...tools.circuits.prompts import PromptPairs
from ...tools.circuits.sweep import Sweep
from ...tools.errors import UsageError
from ...tools.subject import Subject
from .plant import Planting, Reading, Reserved, planting, reserve

Kind = Literal["copy", "relay", "match"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TRIGGER, VALUE, OTHER, MIDDLE, MIDDLE_KEY, CONSTANT, END, CARRIED, OUT = range(N_DIRECTIONS := 9)
"""The reserved directions and what each is for."""
_CLEAN, _OTHER, _MIDDLE, _END, _ANSWER, _FOIL = range(6)
"""The tokens of a path."""
INPUT, LOGITS = Node("input"), Node("logits")
TOKENS = 14
NATS = 12.0
"""Of attention: a token is then looked at with at least .9999 among fourteen."""
SHARE = 0.05
"""Length of a planted write beside the stream's, so that it changes the norm by a thousandth."""
LEAST = 0.5
"""Share of its strength that each edge of a path, and the path alone, must carry."""
GATE = 4.0
"""What the planted neuron's gate reads in the clean run: open, and shut at the same size below 0."""
TEXT = (
    "The council met on Monday to talk about the new bridge, which will be built next year if the money is found.",
    "She put the letters in a drawer and went out to see whether the garden had been watered while they were away.",
    "Farmers in the north say that the rain came too late this season, and that prices will rise before winter.",
    "He asked the driver to wait near the station because his brother was still looking for the tickets they bought.",
    "Most of the students had read the book, but only a few could say why the captain left the island at night.",
)


class Path(NamedTuple):
    """A planted path, by what it is made of.

    Attributes:
        strength: logits by which it moves answer against foil.
        layers, heads: of the first and second component; of a neuron, `neuron` says which.
        tokens: clean trigger, twin's trigger, middle, END, answer, foil.
    """

    kind: Kind
    strength: float
    seed: int
    layers: tuple[int, int]
    heads: tuple[int, int]
    neuron: int
    tokens: tuple[int, int, int, int, int, int]

    @property
    def name(self) -> str:
        """``copy/1/0``: kind, strength, seed."""
        return f"{self.kind}/{self.strength:g}/{self.seed}"


@dataclass(frozen=True, eq=False)
class Planted:
    """A path in its place, as long as the block of `planted` lasts."""

    path: Path
    pairs: PromptPairs
    edges: tuple[Edge, ...]
    truth: Bool[Tensor, "source target"]


def reserve_for_paths(subject: Subject, seed: int) -> Reserved:
    """Close as many directions of a subject as paths need; it is changed for good."""
    rows = [subject.tokenize(text).ids for text in TEXT]
    return reserve(
        subject, N_DIRECTIONS, seed, torch.tensor([row[: min(map(len, rows))] for row in rows])
    )


def draw_path(reserved: Reserved, kind: Kind, strength: float, seed: int) -> Path:
    """Layers, heads, neuron and tokens by chance; the first component is in the first half of the layers."""
    graph, subject = reserved.model.graph, reserved.subject
    if graph.n_layers < 2:
        raise UsageError(f"{subject.name!r} has {graph.n_layers} layer; a path needs two")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    half = graph.n_layers // 2
    layers = int(rng.integers(half)), int(rng.integers(half, graph.n_layers))
    heads = int(rng.integers(graph.n_heads)), int(rng.integers(graph.n_heads))
    neuron = int(rng.integers(subject.parts.layers[layers[1]].mlp_down.weight.shape[-1]))  # pyright: ignore
    tokens = rng.permutation(sorted(set(_filler(reserved))))[:6].tolist()
    return Path(kind, strength, seed, layers, heads, neuron, tuple(tokens))


@contextmanager
def planted(reserved: Reserved, path: Path, n_pairs: int) -> Iterator[Planted]:
    """Plant a path and draw pairs that it decides; the subject's weights are back in place afterwards."""
    pairs = _pairs(reserved, path, n_pairs)
    with planting(reserved) as put:
        edges = _BUILDERS[path.kind](_PathBuilder(put, path, pairs))
        yield Planted(path, pairs, edges, reserved.model.graph.mask_of(edges))


def _filler(reserved: Reserved) -> list[int]:
    return [token for text in TEXT for token in reserved.subject.tokenize(text).ids]


def _pairs(reserved: Reserved, path: Path, n: int) -> PromptPairs:
    """Pieces of plain text with the trigger, then the middle token, somewhere before END."""
    rng = np.random.default_rng([path.seed, 1 << 20])
    clean, other, middle, end, answer, foil = path.tokens
    text = [token for token in _filler(reserved) if token not in path.tokens]
    rows: list[list[int]] = []
    for _ in range(n):
        start = int(rng.integers(max(1, len(text) - TOKENS)))
        row = (text * TOKENS)[start : start + TOKENS]
        first, second = sorted(
            (rng.permutation(TOKENS - 2)[:2] + 1).tolist()
        )  # neither the first token nor END
        row[first], row[second], row[-1] = clean, middle, end
        rows.append(row)
    ids = torch.tensor(rows)
    twins = torch.where(ids == clean, other, ids)
    return PromptPairs(ids, twins, torch.full((n, 1), answer), torch.full((n, 1), foil))


class Spot(NamedTuple):
    """A token of the path, by number, and the direction that heads know it by."""

    token: int
    mark: int


class _PathBuilder:
    """Sets one path's weights, each by what a pass shows of what was set before."""

    def __init__(self, put: Planting, path: Path, pairs: PromptPairs) -> None:
        self.put, self.path, self.pairs = put, path, pairs
        self.model, self.graph = put.reserved.model, put.reserved.model.graph
        clean, other, middle, end, *_ = path.tokens
        embedding = put.subject.model.get_input_embeddings().weight
        length = float(embedding[torch.tensor(path.tokens)].float().norm(dim=1).mean()) / 2  # pyright: ignore
        put.mark(clean, length * (self.one(TRIGGER) + self.one(VALUE)))
        put.mark(other, length * (self.one(TRIGGER) + self.one(OTHER)))
        put.mark(middle, length * (self.one(MIDDLE) + self.one(MIDDLE_KEY) + self.one(CONSTANT)))
        put.mark(end, length * self.one(END))

    def one(self, direction: int) -> Reading:
        """A direction alone."""
        return torch.eye(
            N_DIRECTIONS, device=self.put.subject.device, dtype=self.put.subject.dtype
        )[direction]

    def head(self, number: int, start: Spot, goal: Spot, reads: Reading, writes: int) -> Node:
        """Plant the first or second head: from `start` it looks at `goal`, and writes what it reads there."""
        layer, head = self.path.layers[number], self.path.heads[number]
        streams = self._streams().stream[layer]
        here, there = self._at(streams, start.token), self._at(streams, goal.token)
        gain = (NATS * self.put.subject.head_dim**0.5) ** 0.5
        query, key = (
            self.one(spot.mark) * gain / self._level(stream, self.one(spot.mark))
            for spot, stream in ((start, here), (goal, there))
        )
        loud = SHARE * here.norm(dim=1).mean() / self._level(there, reads)
        self.put.head(layer, head, query, key, reads * loud, writes)
        return Node("head", layer, head)

    def neuron(self, reads: int, writes: int) -> Node:
        """Plant the neuron, at END."""
        layer = self.path.layers[1]
        stream = self._at(self._streams().middle[layer], _END)
        gate = self.one(reads) * GATE / self._level(stream, self.one(reads))
        open_ = GATE * torch.sigmoid(torch.tensor(GATE))
        up = gate / GATE * SHARE * stream.norm(dim=1).mean() / open_
        self.put.neuron(layer, self.path.neuron, gate, up, writes)
        return Node("mlp", layer)

    def answers(self) -> None:
        """Let what was written last decide the answer, as loudly as asked."""
        last = self.graph.n_layers
        levels = [
            self._level(self._at(self._streams(ids).stream[last], _END), self.one(OUT))
            for ids in (self.pairs.clean, self.pairs.corrupted)
        ]
        *_, answer, foil = self.path.tokens
        self.put.answers(
            answer, foil, self.one(OUT) * self.path.strength / 2 / (levels[0] - levels[1])
        )

    def edge(self, source: Node, target: Node, read: Input) -> Edge:
        """An edge; for keys and values the target is the key-value head."""
        if read in ("k", "v"):
            target = target._replace(head=target.head * self.graph.n_kv_heads // self.graph.n_heads)
        return Edge(source, target, read)

    def _streams(self, ids: Tensor | None = None) -> ForwardRecord:
        return record(
            self.model, self.pairs.clean if ids is None else ids, self.pairs.logit_difference
        )

    def _at(
        self, stream: Float[Tensor, "pairs seq d_model"], token: int
    ) -> Float[Tensor, "pairs d_model"]:
        """The stream at one of the path's tokens, which each clean prompt has once."""
        return stream[(self.pairs.clean == self.path.tokens[token]).to(stream.device)]

    def _level(self, stream: Float[Tensor, "pairs d_model"], reading: Reading) -> Float[Tensor, ""]:
        """What is read there behind a norm, as a mean over the pairs."""
        size = stream.square().mean(dim=1).sqrt()
        return (stream @ self.put.reserved.directions.T @ reading / size).mean()


def _copy(build: _PathBuilder) -> tuple[Edge, ...]:
    value = build.one(VALUE) - build.one(OTHER)
    head = build.head(0, Spot(_END, END), Spot(_CLEAN, TRIGGER), value, CARRIED)
    neuron = build.neuron(CARRIED, OUT)
    build.answers()
    return (
        build.edge(INPUT, head, "v"),
        build.edge(head, neuron, "mlp"),
        build.edge(neuron, LOGITS, "logits"),
    )


def _relay(build: _PathBuilder) -> tuple[Edge, ...]:
    value = build.one(VALUE) - build.one(OTHER)
    first = build.head(0, Spot(_MIDDLE, MIDDLE), Spot(_CLEAN, TRIGGER), value, CARRIED)
    second = build.head(1, Spot(_END, END), Spot(_MIDDLE, MIDDLE_KEY), build.one(CARRIED), OUT)
    build.answers()
    return (
        build.edge(INPUT, first, "v"),
        build.edge(first, second, "v"),
        build.edge(second, LOGITS, "logits"),
    )


def _match(build: _PathBuilder) -> tuple[Edge, ...]:
    value = build.one(VALUE) - build.one(OTHER)
    first = build.head(0, Spot(_MIDDLE, MIDDLE), Spot(_CLEAN, TRIGGER), value, CARRIED)
    second = build.head(1, Spot(_END, END), Spot(_MIDDLE, CARRIED), build.one(CONSTANT), OUT)
    build.answers()
    return (
        build.edge(INPUT, first, "v"),
        build.edge(first, second, "k"),
        build.edge(second, LOGITS, "logits"),
    )


_BUILDERS: dict[Kind, Callable[[_PathBuilder], tuple[Edge, ...]]] = {
    "copy": _copy,
    "relay": _relay,
    "match": _match,
}


class Acts(NamedTuple):
    """Whether a planted path does what it is there for, as shares of its strength; all measured,
    none estimated.

    Attributes:
        each: what is lost when one of its edges carries the twin, edge by edge.
        alone: what is kept when nothing else carries the clean prompt.
        rest: what all other edges do, without the path: in logits, not a share.
    """

    each: tuple[float, ...]
    alone: float
    rest: float

    @property
    def fault(self) -> str | None:
        """Why this is no path to be found; None when it is one."""
        if min(self.each) < LEAST:
            return f"an edge of it carries {min(self.each):.2f} of its strength"
        return None if self.alone >= LEAST else f"alone it has {self.alone:.2f} of its strength"


def acts(model: CircuitModel, planted: Planted) -> Acts:
    """Patch each of its edges, and all but its edges."""
    sweep, strength = Sweep(model, planted.pairs), planted.path.strength
    twin = sweep.twin.metric
    assert twin is not None  # recorded
    alone, rest = (
        run_circuit(model, planted.pairs, mask) - twin
        for mask in (planted.truth, model.graph.all_edges & ~planted.truth)
    )
    each = -sweep.edges(planted.edges).mean(1) / strength
    return Acts(tuple(each.tolist()), float(alone.mean()) / strength, float(rest.mean()))
