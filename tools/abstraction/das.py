"""Distributed alignment search: which subspace of a place holds a variable?

1. Start with a random orthonormal basis of k directions, the QR factor of a free matrix.
2. For batches of training pairs, interchange in its span, and move the basis (Adam) towards a lower
   cross entropy of the answers that the program says.
3. Judge it on other pairs, beside four controls:
   - `placebo`: a random subspace of the same size, its change scaled to the same length;
   - `random_model`: the same search on the same architecture with re-drawn weights, which has
     learned nothing;
   - `arbitrary`: the same search for a variable that is a random table of the same inputs, judged
     on new pairs of the training inputs (other inputs have no right answer);
   - `no_op`: no intervention.

Geiger et al. 2023. A search can find a subspace that makes a subject do what the program says
without the subject using it (Makelov et al. 2023), and with enough directions it fits arbitrary
labels, even on random models (Wu et al. 2023; Sutter et al. 2025). So what counts is real minus
control on held-out pairs, with a small k.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from ..subject.subject import Subject
from .interchange import (
    Behaviour,
    InterchangeResult,
    Interchanges,
    Location,
    SubspaceSwap,
    draw_interchanges,
    interchange,
    split,
    value_at,
)

BATCH = 32


def find_subspace(
    subject: Subject,
    behaviour: Behaviour,
    place: Location,
    pairs: Interchanges,
    k: int,
    steps: int = 150,
    rate: float = 0.02,
    seed: int = 0,
) -> Float[Tensor, "k width"]:
    """Search on training pairs; raises UsageError for more directions than the place has."""
    width = value_at(subject, place, pairs.base[:1]).shape[-1]
    if not 1 <= k <= width:
        raise UsageError(f"k = {k} given; the place has {width} directions")
    free = random_subspace(width, k, seed).T.to(subject.device, subject.dtype).requires_grad_()
    optimiser = torch.optim.Adam([free], lr=rate)
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < steps:
        order = torch.randperm(len(pairs.base), generator=generator)
        shuffled = Interchanges(
            pairs.base[order], pairs.source[order], pairs.expected[order], pairs.unchanged[order]
        )
        for batch in split(shuffled, BATCH):
            with torch.enable_grad():
                logits = SubspaceSwap(_orthonormal(free)).logits(subject, behaviour, place, batch)
                loss = torch.nn.functional.cross_entropy(logits, batch.expected.to(logits.device))
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
            done += 1
    return _orthonormal(free).detach()


def random_subspace(width: int, k: int, seed: int = 0) -> Float[Tensor, "k width"]:
    """An orthonormal basis of k random directions."""
    return _orthonormal(torch.randn(width, k, generator=torch.Generator().manual_seed(seed)))


def _orthonormal(free: Float[Tensor, "width k"]) -> Float[Tensor, "k width"]:
    return torch.linalg.qr(free).Q.T


@dataclass(frozen=True, eq=False)
class Abstraction:
    """A search's result on held-out pairs, with its controls; `real_minus_control` is what counts."""

    basis: Float[Tensor, "k width"]
    found: InterchangeResult
    placebo: InterchangeResult
    random_model: InterchangeResult
    arbitrary: InterchangeResult

    @property
    def real_minus_control(self) -> float:
        """IIA minus that of the best control."""
        controls = (
            self.placebo.accuracy,
            self.random_model.accuracy,
            self.arbitrary.accuracy,
            self.found.no_op_accuracy,
        )
        return self.found.accuracy - max(controls)


def search(
    subject: Subject,
    behaviour: Behaviour,
    variable: str,
    place: Location,
    train: Interchanges,
    held_out: Interchanges,
    k: int,
    steps: int = 150,
    rate: float = 0.02,
    seed: int = 0,
    redrawn: Subject | None = None,
) -> Abstraction:
    """Search, judge on held-out pairs, and do the same for the controls.

    Args:
        behaviour: what the training pairs were drawn from; held-out pairs may have other inputs.
        redrawn: the subject's `random_twin`, to reuse it for several places; None makes it.
    """
    options = {"k": k, "steps": steps, "rate": rate, "seed": seed}
    basis = find_subspace(subject, behaviour, place, train, **options)
    placebo = random_subspace(basis.shape[1], k, seed + 1)
    random = redrawn or random_twin(subject, seed)
    control = find_subspace(random, behaviour, place, train, **options)
    return Abstraction(
        basis,
        interchange(subject, behaviour, place, held_out, basis),
        interchange(subject, behaviour, place, held_out, placebo, matched_to=basis),
        interchange(random, behaviour, place, held_out, control),
        _arbitrary(
            subject, behaviour, variable, place, (len(train.base), len(held_out.base)), **options
        ),
    )


def _arbitrary(
    subject: Subject,
    behaviour: Behaviour,
    variable: str,
    place: Location,
    sizes: tuple[int, int],
    seed: int,
    **options: Any,
) -> InterchangeResult:
    """A search for a random table, and how well it does on new pairs."""
    arbitrary = replace(behaviour, program=behaviour.program.with_arbitrary(variable, seed))
    train, new = (
        draw_interchanges(arbitrary, variable, n, seed + i) for i, n in enumerate(sizes, 1)
    )
    basis = find_subspace(subject, arbitrary, place, train, seed=seed, **options)
    return interchange(subject, arbitrary, place, new, basis)


def random_twin(subject: Subject, seed: int = 0) -> Subject:
    """The same architecture with re-drawn weights: each matrix Gaussian with its own mean and standard deviation."""
    model = copy.deepcopy(subject.model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                noise = torch.randn(weight.shape, generator=generator)
                weight.copy_(noise.to(weight) * weight.std() + weight.mean())
    return Subject(
        model,
        subject.tokenizer,
        name=f"{subject.name}, re-drawn",
        architecture=subject.architecture,
    )
