"""Known paths in a real subject: an early token decides between two answers through planted heads
and neurons.

    copy    input -> head -> neuron -> logits     the head attends from END to the trigger and passes its mark on
    relay   input -> head -> head<v> -> logits    a middle token takes over the mark, and END reads it there
    match   input -> head -> head<k> -> logits    the mark decides whether END attends to the middle token at all

The clean prompt and its twin differ in one token, the trigger; both triggers carry the same marks
except for the value that is passed on. The path moves the answer by a chosen number of logits. The
subject's own response to the other token is there too, as in any real task. Magnitudes are set from
a recorded pass: each planted write is a twentieth as long as the stream there, and attention to the
right token leads by twelve nats.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from .plant import Coefficients, Planting, ReservedSubject, planting, reserve

Kind = Literal["copy", "relay", "match"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TRIGGER, VALUE, OTHER, MIDDLE, MIDDLE_KEY, CONSTANT, END, CARRIED, OUT = range(N_DIRECTIONS := 9)
"""The reserved directions."""
_CLEAN, _OTHER, _MIDDLE, _END, _ANSWER, _FOIL = range(6)
"""Places in `Path.tokens`."""
INPUT, LOGITS = Node("input"), Node("logits")
TOKENS = 14
NATS = 12.0
"""Lead of an attention score: the token then gets at least .9999 of the weight among fourteen."""
SHARE = 0.05
"""Length of a planted write relative to the stream, which changes the norm by a thousandth."""
MIN_CARRIED = 0.5
"""Least share of its strength that each edge of a path, and the path alone, must carry."""
GATE = 4.0
"""What the planted neuron's gate reads in the clean run (open); the twin reads its negative (shut)."""
TEXT = (
    "The council met on Monday to talk about the new bridge, which will be built next year if the money is found.",
    "She put the letters in a drawer and went out to see whether the garden had been watered while they were away.",
    "Farmers in the north say that the rain came too late this season, and that prices will rise before winter.",
    "He asked the driver to wait near the station because his brother was still looking for the tickets they bought.",
    "Most of the students had read the book, but only a few could say why the captain left the island at night.",
)


class Path(NamedTuple):
    """What a planted path is made of.

    Attributes:
        strength: logits by which it moves answer against foil.
        layers, heads: of the first and second component; `neuron` is used where the second is one.
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
class PlantedPath:
    """A path whose weights are set, as long as the block of `plant_path` lasts."""

    path: Path
    pairs: PromptPairs
    edges: tuple[Edge, ...]
    truth: Bool[Tensor, "source target"]


def reserve_for_paths(subject: Subject, seed: int) -> ReservedSubject:
    """Reserve as many directions of a subject as paths need; this changes it for good."""
    rows = [subject.tokenize(text).ids for text in TEXT]
    shortest = min(map(len, rows))
    return reserve(subject, N_DIRECTIONS, seed, torch.tensor([row[:shortest] for row in rows]))


def draw_path(reserved: ReservedSubject, kind: Kind, strength: float, seed: int) -> Path:
    """Draw layers, heads, neuron and tokens; the first component is in the first half of the layers.

    Raises:
        UsageError: the subject has a single layer.
    """
    graph, subject = reserved.model.graph, reserved.subject
    if graph.n_layers < 2:
        raise UsageError(f"{subject.name!r} has {graph.n_layers} layer; a path needs two")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    half = graph.n_layers // 2
    layers = int(rng.integers(half)), int(rng.integers(half, graph.n_layers))
    heads = int(rng.integers(graph.n_heads)), int(rng.integers(graph.n_heads))
    neuron = int(rng.integers(subject.parts.layers[layers[1]].mlp_down.weight.shape[-1]))  # pyright: ignore
    tokens = rng.permutation(sorted(set(_filler_tokens(reserved))))[:6].tolist()
    return Path(kind, strength, seed, layers, heads, neuron, tuple(tokens))


@contextmanager
def plant_path(reserved: ReservedSubject, path: Path, n_pairs: int) -> Iterator[PlantedPath]:
    """Plant a path and draw pairs that it decides; afterwards the weights are restored."""
    pairs = _pairs(reserved, path, n_pairs)
    with planting(reserved) as put:
        edges = _build_path(_PathBuilder(put, path, pairs))
        yield PlantedPath(path, pairs, edges, reserved.model.graph.mask_of(edges))


def _filler_tokens(reserved: ReservedSubject) -> list[int]:
    return [token for text in TEXT for token in reserved.subject.tokenize(text).ids]


def _pairs(reserved: ReservedSubject, path: Path, n: int) -> PromptPairs:
    """Pieces of plain text with the trigger, then the middle token, somewhere before END."""
    rng = np.random.default_rng([path.seed, 1 << 20])
    clean, other, middle, end, answer, foil = path.tokens
    text = [token for token in _filler_tokens(reserved) if token not in path.tokens]
    rows: list[list[int]] = []
    for _ in range(n):
        start = int(rng.integers(max(1, len(text) - TOKENS)))
        row = (text * TOKENS)[start : start + TOKENS]
        # neither the first token nor END
        first, second = sorted((rng.permutation(TOKENS - 2)[:2] + 1).tolist())
        row[first], row[second], row[-1] = clean, middle, end
        rows.append(row)
    ids = torch.tensor(rows)
    twins = torch.where(ids == clean, other, ids)
    return PromptPairs(ids, twins, torch.full((n, 1), answer), torch.full((n, 1), foil))


class Spot(NamedTuple):
    """A token of the path and the direction by which heads recognise it.

    Attributes:
        token: place in `Path.tokens`.
        mark: number of the direction.
    """

    token: int
    mark: int


class _PathBuilder:
    """Sets one path's weights in order; each magnitude comes from a pass with those set before."""

    def __init__(self, put: Planting, path: Path, pairs: PromptPairs) -> None:
        self.put, self.path, self.pairs = put, path, pairs
        self.model, self.graph = put.reserved.model, put.reserved.model.graph
        clean, other, middle, end, *_ = path.tokens
        embedding = put.subject.model.get_input_embeddings().weight
        length = float(embedding[torch.tensor(path.tokens)].float().norm(dim=1).mean()) / 2  # pyright: ignore
        put.mark(clean, length * (self.direction(TRIGGER) + self.direction(VALUE)))
        put.mark(other, length * (self.direction(TRIGGER) + self.direction(OTHER)))
        put.mark(
            middle,
            length
            * (self.direction(MIDDLE) + self.direction(MIDDLE_KEY) + self.direction(CONSTANT)),
        )
        put.mark(end, length * self.direction(END))

    def direction(self, number: int) -> Coefficients:
        """One direction alone, as a one-hot row."""
        subject = self.put.subject
        return torch.eye(N_DIRECTIONS, device=subject.device, dtype=subject.dtype)[number]

    def head(self, number: int, start: Spot, goal: Spot, reads: Coefficients, writes: int) -> Node:
        """Plant a head that attends from `start` to `goal` and writes what it reads there.

        Args:
            number: 0 for the path's first component, 1 for its second.
        """
        layer, head = self.path.layers[number], self.path.heads[number]
        streams = self._streams().stream[layer]
        here, there = self._at(streams, start.token), self._at(streams, goal.token)
        gain = (NATS * self.put.subject.head_dim**0.5) ** 0.5
        query, key = (
            self.direction(spot.mark) * gain / self._level(stream, self.direction(spot.mark))
            for spot, stream in ((start, here), (goal, there))
        )
        scale = SHARE * here.norm(dim=1).mean() / self._level(there, reads)
        self.put.head(layer, head, query, key, reads * scale, writes)
        return Node("head", layer, head)

    def neuron(self, reads: int, writes: int) -> Node:
        """Plant the neuron, at END."""
        layer = self.path.layers[1]
        stream = self._at(self._streams().middle[layer], _END)
        gate = self.direction(reads) * GATE / self._level(stream, self.direction(reads))
        open_ = GATE * torch.sigmoid(torch.tensor(GATE))
        up = gate / GATE * SHARE * stream.norm(dim=1).mean() / open_
        self.put.neuron(layer, self.path.neuron, gate, up, writes)
        return Node("mlp", layer)

    def answers(self) -> None:
        """Let what was written last move the answer by the path's strength."""
        last = self.graph.n_layers
        levels = [
            self._level(self._at(self._streams(ids).stream[last], _END), self.direction(OUT))
            for ids in (self.pairs.clean, self.pairs.corrupted)
        ]
        *_, answer, foil = self.path.tokens
        # half of the strength raises the answer, half lowers the foil
        per_level = self.path.strength / 2 / (levels[0] - levels[1])
        self.put.answers(answer, foil, self.direction(OUT) * per_level)

    def edge(self, source: Node, target: Node, read: Input) -> Edge:
        """An edge; for keys and values the target is the key-value head."""
        if read in ("k", "v"):
            target = target._replace(head=target.head * self.graph.n_kv_heads // self.graph.n_heads)
        return Edge(source, target, read)

    def _streams(self, ids: Tensor | None = None) -> ForwardRecord:
        prompts = self.pairs.clean if ids is None else ids
        return record(self.model, prompts, self.pairs.logit_difference)

    def _at(
        self, stream: Float[Tensor, "pairs seq d_model"], token: int
    ) -> Float[Tensor, "pairs d_model"]:
        """The stream at one of the path's tokens, which each clean prompt has once."""
        return stream[(self.pairs.clean == self.path.tokens[token]).to(stream.device)]

    def _level(
        self, stream: Float[Tensor, "pairs d_model"], reading: Coefficients
    ) -> Float[Tensor, ""]:
        """What is read there after a norm, as a mean over the pairs."""
        size = stream.square().mean(dim=1).sqrt()
        return (stream @ self.put.reserved.directions.T @ reading / size).mean()


def _build_path(build: _PathBuilder) -> tuple[Edge, Edge, Edge]:
    """Plant the path of a kind (see the head of this file); returns its three edges."""
    kind = build.path.kind

    # 1. the first head reads which trigger it is, and marks END (copy) or the middle token with it
    value = build.direction(VALUE) - build.direction(OTHER)
    start = Spot(_END, END) if kind == "copy" else Spot(_MIDDLE, MIDDLE)
    first = build.head(0, start, Spot(_CLEAN, TRIGGER), value, CARRIED)

    # 2. the second component turns the mark into the answer
    second: Node
    read: Input
    if kind == "copy":
        second, read = build.neuron(CARRIED, OUT), "mlp"
    elif kind == "relay":
        goal = Spot(_MIDDLE, MIDDLE_KEY)
        second, read = build.head(1, Spot(_END, END), goal, build.direction(CARRIED), OUT), "v"
    else:
        goal = Spot(_MIDDLE, CARRIED)
        second, read = build.head(1, Spot(_END, END), goal, build.direction(CONSTANT), OUT), "k"

    # 3. and the unembedding reads it
    build.answers()
    return (
        build.edge(INPUT, first, "v"),
        build.edge(first, second, read),
        build.edge(second, LOGITS, "logits"),
    )


class PathEffects(NamedTuple):
    """What a planted path does, measured by exact patching, as shares of its strength.

    Attributes:
        each: what is lost when one of its edges carries the twin, edge by edge.
        alone: what is kept when nothing else carries the clean prompt.
        rest: what all other edges do without the path; in logits, not a share.
    """

    each: tuple[float, ...]
    alone: float
    rest: float

    @property
    def fault(self) -> str | None:
        """Why this path cannot be expected to be found; None when it can."""
        if min(self.each) < MIN_CARRIED:
            return f"an edge of it carries {min(self.each):.2f} of its strength"
        return (
            None if self.alone >= MIN_CARRIED else f"alone it has {self.alone:.2f} of its strength"
        )


def measure_path(model: CircuitModel, planted: PlantedPath) -> PathEffects:
    """Patch each of a path's edges, and all but its edges."""
    sweep, strength = Sweep(model, planted.pairs), planted.path.strength
    twin = sweep.twin.metric
    assert twin is not None  # recorded
    alone = run_circuit(model, planted.pairs, planted.truth) - twin
    rest = run_circuit(model, planted.pairs, model.graph.all_edges & ~planted.truth) - twin
    each = -sweep.edges(planted.edges).mean(1) / strength
    return PathEffects(tuple(each.tolist()), float(alone.mean()) / strength, float(rest.mean()))
