"""Interchange interventions: if a place gets its value from another input, does the subject answer as
the program says?

1. Draw pairs of inputs, base and source. The program, run on base with one variable as on source,
   says what the output becomes.
2. Run the subject on the source, and keep the value of the variable's place (or of a subspace of it)
   at some positions.
3. Run it on the base with that value in place. Interchange intervention accuracy (IIA) is the share
   of pairs on which, of all answers, it then prefers the one that the program says.

Geiger et al. 2021, 2024. Pairs whose output does not change are right without any intervention. So
accuracy is given together with `no_op`, that of bare base runs with the same expectation, and also
over the pairs that change alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..circuits.circuit_model import at_least_float32
from ..circuits.hooks import StopForward, temporary_hooks
from ..errors import UsageError
from ..subject.non_finite import require_finite
from ..subject.subject import Subject
from .program import CausalModel, Setting, Value

ROWS = 64


@dataclass(frozen=True)
class Behaviour:
    """How a program's inputs and outputs appear to a subject.

    Attributes:
        encode: an input as token ids, of one length for all inputs.
        answers: the next token of each output.
    """

    program: CausalModel
    encode: Callable[[Setting], Sequence[int]]
    answers: Mapping[Value, int]


@dataclass(frozen=True)
class Location:
    """Where a variable may be held: the stream after a layer, its neurons, or its heads' z, at some positions."""

    kind: Literal["stream", "mlp", "z"]
    layer: int
    positions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Interchanges:
    """Pairs of inputs as token ids.

    Attributes:
        expected: index into `Behaviour.answers` of the program's output under the interchange.
        unchanged: of its output on the bare base.
    """

    base: Int[Tensor, "pairs seq"]
    source: Int[Tensor, "pairs seq"]
    expected: Int[Tensor, " pairs"]
    unchanged: Int[Tensor, " pairs"]


def draw_interchanges(behaviour: Behaviour, variable: str, n: int, seed: int = 0) -> Interchanges:
    """Random pairs; if the program allows, half of them change the output.

    Raises:
        UsageError: inputs of unequal length, an output without an answer, a variable that never changes the output.
    """
    rng = np.random.default_rng(seed)
    order = {value: index for index, value in enumerate(behaviour.answers)}
    rows: dict[bool, list[tuple[Sequence[int], Sequence[int], int, int]]] = {True: [], False: []}
    for _ in range(200 * n):
        base, source = (_drawn(behaviour.program, rng) for _ in range(2))
        outputs = [
            behaviour.program.interchange_output(base, source, variable),
            behaviour.program.run(base)[behaviour.program.output],
        ]
        if missing := [value for value in outputs if value not in order]:
            raise UsageError(
                f"output {missing[0]!r} has no answer; answers are given for {', '.join(map(str, order))}"
            )
        after, before = (order[value] for value in outputs)
        same_kind = rows[after != before]
        if len(same_kind) < n - n // 2:
            same_kind.append((behaviour.encode(base), behaviour.encode(source), after, before))
        if min(map(len, rows.values())) >= n - n // 2:
            break
    if not rows[True]:
        raise UsageError(
            f"variable {variable!r} never changes the output: no interchange could tell it from none"
        )
    mixed = [*rows[True], *rows[False]][:n] if rows[False] else rows[True]
    if len({len(ids) for row in mixed for ids in row[:2]}) > 1:
        raise UsageError(
            "inputs are encoded in different numbers of tokens; write an encoding of one length"
        )
    return Interchanges(*(torch.tensor(list(column)) for column in zip(*mixed, strict=True)))


def _drawn(program: CausalModel, rng: np.random.Generator) -> Setting:
    return {name: values[int(rng.integers(len(values)))] for name, values in program.inputs.items()}


@dataclass(frozen=True, eq=False)
class InterchangeResult:
    """Pair by pair, whether the subject did as the program says.

    Attributes:
        no_op: the same without any intervention.
        changes: whether the program's output changes at all.
    """

    correct: Bool[Tensor, " pairs"]
    no_op: Bool[Tensor, " pairs"]
    changes: Bool[Tensor, " pairs"]

    @property
    def accuracy(self) -> float:
        """Interchange intervention accuracy."""
        return float(self.correct.float().mean())

    @property
    def no_op_accuracy(self) -> float:
        """The same without any intervention."""
        return float(self.no_op.float().mean())

    @property
    def accuracy_where_it_changes(self) -> float:
        """IIA over the pairs whose output changes; near 0 if the intervention has no effect."""
        return float(self.correct[self.changes].float().mean())


def interchange(
    subject: Subject,
    behaviour: Behaviour,
    place: Location,
    pairs: Interchanges,
    basis: Float[Tensor, "k width"] | None = None,
    matched_to: Float[Tensor, "k width"] | None = None,
) -> InterchangeResult:
    """Carry out the interchanges in a subspace (orthonormal rows), or in the whole of the place.

    Args:
        matched_to: another subspace; the change is scaled to its length there (a placebo's dose).
    """
    swap = SubspaceSwap(basis, matched_to)
    with torch.no_grad():
        swapped = [swap.logits(subject, behaviour, place, batch) for batch in split(pairs)]
        unswapped = [answer_logits(subject, behaviour, batch.base) for batch in split(pairs)]
    interchanged, bare = torch.cat(swapped), torch.cat(unswapped)
    expected = pairs.expected.to(interchanged.device)
    return InterchangeResult(
        (interchanged.argmax(1) == expected).cpu(),
        (bare.argmax(1) == expected).cpu(),
        pairs.expected != pairs.unchanged,
    )


@dataclass(frozen=True, eq=False)
class SubspaceSwap:
    """Give a value the source's part in a subspace (in all of it without a basis)."""

    basis: Float[Tensor, "k width"] | None = None
    matched_to: Float[Tensor, "k width"] | None = None

    def __call__(
        self,
        base: Float[Tensor, "pairs position width"],
        source: Float[Tensor, "pairs position width"],
    ) -> Float[Tensor, "pairs position width"]:
        change = source - base
        if self.basis is None:
            return source
        basis = self.basis.to(base)
        within = change @ basis.T @ basis
        if self.matched_to is not None:
            other = self.matched_to.to(base)
            length = (change @ other.T).norm(dim=-1, keepdim=True)
            within = within * length / within.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return base + within

    def logits(
        self, subject: Subject, behaviour: Behaviour, place: Location, pairs: Interchanges
    ) -> Float[Tensor, "pairs answer"]:
        """Each answer's logit under the interchange; gradients reach the basis if they are enabled."""
        with torch.no_grad():
            source = value_at(subject, place, pairs.source)
        positions = list(place.positions)

        def replace(value: Float[Tensor, "pairs seq width"]) -> Float[Tensor, "pairs seq width"]:
            new = value.clone()
            new[:, positions] = self(value[:, positions], source)
            return new

        with _hook_at(subject, place, replace):
            return answer_logits(subject, behaviour, pairs.base)


def value_at(
    subject: Subject, place: Location, ids: Int[Tensor, "pairs seq"]
) -> Float[Tensor, "pairs position width"]:
    """The value of a place."""
    check_place(subject, place, ids.shape[1])
    values: list[Tensor] = []

    def keep(value: Float[Tensor, "pairs seq width"]) -> None:
        values.append(value)
        raise StopForward

    with _hook_at(subject, place, keep):
        subject.model(ids.to(subject.device), use_cache=False, logits_to_keep=1)
    return values[0][:, list(place.positions)]


def check_place(subject: Subject, place: Location, seq: int) -> None:
    """Raise UsageError for a layer or position that does not exist, or an encoder."""
    subject.require_decoder("causal abstraction")
    if not 0 <= place.layer < subject.shape.n_layers or not all(
        0 <= at < seq for at in place.positions
    ):
        raise UsageError(
            f"{place} given; {subject.name} has layers 0 to {subject.shape.n_layers - 1} and the inputs tokens 0 to "
            f"{seq - 1}"
        )


def answer_logits(
    subject: Subject, behaviour: Behaviour, ids: Int[Tensor, "pairs seq"]
) -> Float[Tensor, "pairs answer"]:
    """Logits of the answers after the last token; the caller's hooks are active."""
    logits = subject.model(ids.to(subject.device), use_cache=False, logits_to_keep=1).logits[:, -1]
    require_finite(logits, subject.name, subject.dtype, "the logits", edited=True)
    return at_least_float32(logits)[:, list(behaviour.answers.values())]


def split(pairs: Interchanges, rows: int = ROWS) -> Iterator[Interchanges]:
    """In batches."""
    parts = (
        value.split(rows) for value in (pairs.base, pairs.source, pairs.expected, pairs.unchanged)
    )
    for batch in zip(*parts, strict=True):
        yield Interchanges(*batch)


@contextmanager
def _hook_at(
    subject: Subject, place: Location, visit: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    layer = subject.parts.layers[place.layer]
    with temporary_hooks() as hooks:
        if place.kind == "stream":
            hooks.on_output(layer.whole, visit)
        else:
            hooks.on_input(layer.mlp_down if place.kind == "mlp" else layer.attention_out, visit)
        yield
