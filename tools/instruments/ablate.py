"""Ablation: what the subject predicts with and without a unit.

1. Run each text twice in one batch: as it is, and with the unit set to zero, to its mean, or to its
   values at random places of other text. Change every position but the first, an attention sink
   whose change would drown everything else.
2. At each position compare the two next-token distributions p (as it is) and q (ablated): KL(p ‖ q)
   in nats, and the change of the loss of the token that follows, log p - log q.
3. Where KL is largest, list the tokens whose probability changed most. On request, continue the
   text both ways.

The mean of a neuron or a direction is its mean on explore if there is an index; a head's z, which
the index does not hold, is averaged over the given texts. Mean ablation asks what the unit's
variation does; zero ablation also removes its constant part (McDougall et al. 2023; Chan et al.,
"Causal Scrubbing", 2022, on why the two differ).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from ..subject.address import Site, Unit
from ..subject.input_texts import InputText, TextBatch, batches, tokenize_texts
from .continuation import MAX_NEW_TOKENS, Sampling, continue_text, decode_tokens
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text
from .token_changes import (
    TokenChange,
    format_changes,
    kl_divergence,
    log_probabilities,
    most_changed,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..subject import Intervention, Subject

Operation = Literal["zero", "mean", "resample"]
BATCH_TOKENS = 512
"""Padded tokens of one batch, a quarter of the usual: two sets of logits, in float64 for the KL."""


@dataclass(frozen=True)
class AblatedText:
    """What the ablation does to one text, with one number for each position.

    Attributes:
        kl: KL(p ‖ q) of the next-token distribution, nats.
        loss_change: rise of the next token's loss, nats; None at the last position.
        peak: the position of the largest KL.
        changed: the tokens that changed most at the peak.
        continued: the subject's continuation of the text, as it is and ablated; None unless new
            tokens were requested.
    """

    text: str
    tokens: list[str]
    kl: list[float]
    loss_change: list[float | None]
    peak: int
    changed: list[TokenChange]
    continued: tuple[str, str] | None = None


@dataclass(frozen=True)
class Ablation(Result):
    """What ablating a unit does to the subject's predictions.

    Attributes:
        replaced_by: "0", or where the mean or the other values came from.
        mean_kl, mean_loss_change: over all positions but the first of each text; nats.
    """

    unit: str
    op: Operation
    replaced_by: str
    mean_kl: float
    mean_loss_change: float | None
    texts: list[AblatedText]

    def render(self) -> str:
        loss = "" if self.mean_loss_change is None else f", loss {self.mean_loss_change:+.2g}"
        mean = f"KL {self.mean_kl:.2g}{loss} nats a token (mean)"
        head = f"{self.unit} set to {self.replaced_by}: {mean}"
        return "\n".join([head, *(_render(text) for text in self.texts)])


def _render(text: AblatedText) -> str:
    marked = mark_active_tokens(text.tokens, text.kl, max(text.kl), text.peak)
    peak = f'KL {text.kl[text.peak]:.2g} after "{quote_text(text.tokens[text.peak])}"'
    lines = [f"- {marked}", f"  {peak}: {format_changes(text.changed)}"]
    if text.continued is not None:
        before, after = map(quote_text, text.continued)
        lines += [f"  goes on |{before}", f"  ablated |{after}"]
    return "\n".join(lines)


@instrument("ablate", needs=("subject",))
def ablate(
    context: InstrumentContext,
    unit: UnitAddress,
    texts: Annotated[list[Text], Field(min_length=1, max_length=64)],
    op: Operation = "mean",
    k: Annotated[int, Field(ge=1, le=50, description="changed tokens to list for each text")] = 5,
    new_tokens: Annotated[
        int, Field(ge=0, le=MAX_NEW_TOKENS, description="also go on with each text by so many")
    ] = 0,
    seed: Annotated[int, Field(description="of what resample draws")] = 0,
) -> Ablation:
    """Compare what the model predicts with and without a unit, on texts that you choose.

    Sets the unit to its mean, to zero, or to its values at random places of other text (resample)
    at every position but the first and compares next-token distributions: KL and change of loss at
    each position, and the tokens that changed most. The mean is over explore; that of a head (its
    output before W_O), and of any unit without an index, is over your texts, first tokens left out.
    With a side (mlp.12.803-) only values on that side are replaced. new_tokens shows the most
    likely continuation with and without it. A unit that matters nowhere has KL near 0 on all texts.
    """

    address, subject = Unit.parse(unit), context.require_subject()
    subject.shape.column(address)
    tokenized = tokenize_texts(subject, texts)
    edit, replaced_by = _intervention(context, address, op, tokenized, seed)
    ablated: list[AblatedText | None] = [None] * len(tokenized)
    for batch in batches(tokenized, BATCH_TOKENS):
        for number, result in zip(batch.numbers, _compare(subject, batch, edit, k), strict=True):
            ablated[number] = result
    results = [result for result in ablated if result is not None]
    if new_tokens:
        results = [
            replace(result, continued=_continue_both(subject, text, edit, new_tokens))
            for result, text in zip(results, tokenized, strict=True)
        ]
    kl: list[float] = []
    loss_changes: list[float] = []
    for result, text in zip(results, tokenized, strict=True):
        kl += [result.kl[i] for i in text.scored]
        changes = (result.loss_change[i] for i in text.scored)
        loss_changes += [change for change in changes if change is not None]
    mean_loss = rounded([sum(loss_changes) / len(loss_changes)])[0] if loss_changes else None
    (mean_kl,) = rounded([sum(kl) / len(kl)])
    return Ablation(str(address), op, replaced_by, mean_kl, mean_loss, results)


def _intervention(
    context: InstrumentContext, unit: Unit, op: Operation, texts: list[InputText], seed: int
) -> tuple[Intervention, str]:
    """The replacement, without its positions, which differ from text to text, and its origin."""
    from ..subject import Intervention

    if unit.site == "head" and unit.side != "both":
        raise ArgumentError(f"{str(unit)!r}: a head has no sides here; leave out the sign")
    if op == "zero":
        return Intervention(unit, "zero"), "0"
    if op == "resample":
        source, origin = _other_text(context, texts, seed)
        edit = Intervention(unit, "resample", source=source, seed=seed)
        return edit, f"its values at random places of {origin}"
    if unit.site != "head" and context.index is not None:
        mean = float(context.index.statistics(unit.unsided).mean)
        return Intervention(unit, "set", value=mean), f"its mean on explore ({mean:.4g})"
    means = _means_on_texts(context.require_subject(), unit, texts)
    value = tuple(means) if unit.site == "head" else means[0]
    return Intervention(unit, "set", value=value), "its mean on these texts"


def _other_text(
    context: InstrumentContext, texts: list[InputText], seed: int
) -> tuple[tuple[int, ...], str]:
    """Tokens to draw activations from: a random context of explore, else all given texts in a row."""
    import numpy as np

    if context.index is None:
        limit = context.require_subject().context_length
        return tuple(i for text in texts for i in text.ids)[:limit], "these texts"
    contexts = context.index.contexts("explore")
    longest = np.flatnonzero(contexts.length == contexts.length.max())
    row = int(np.random.default_rng(seed).choice(longest))
    return tuple(contexts.tokens[row, : int(contexts.length[row])].tolist()), "other text"


def _continue_both(
    subject: Subject, text: InputText, edit: Intervention, new_tokens: int
) -> tuple[str, str]:
    def edits(length: int) -> list[list[Intervention]]:
        return [[], [replace(edit, positions=tuple(range(text.scored.start, length)))]]

    before, after = continue_text(subject, text.ids, 2, edits, Sampling(new_tokens))
    return decode_tokens(subject, before), decode_tokens(subject, after)


def _means_on_texts(subject: Subject, unit: Unit, texts: list[InputText]) -> list[float]:
    """Mean over scored positions of a neuron's activation, a direction's projection or a head's z."""
    import torch

    values: list[Tensor] = []
    for batch in batches(texts):
        if unit.site == "head":
            columns = slice(unit.index * subject.head_dim, (unit.index + 1) * subject.head_dim)
            site = Site("z", unit.layer)
            captured = subject.capture(batch.ids, [site]).activations[site][..., columns]
        else:
            captured = subject.unit_activations(batch.ids, [unit.unsided])[0][..., None]
        values += [captured[row, list(text.scored)] for row, text in enumerate(batch.texts)]
    return torch.cat(values).double().mean(dim=0).tolist()


def _compare(
    subject: Subject, batch: TextBatch, edit: Intervention, k: int
) -> Iterator[AblatedText]:
    """Each text of a batch as it is against its ablation."""
    n = len(batch.texts)
    edits = [[replace(edit, positions=tuple(text.scored))] for text in batch.texts]
    logits = subject.capture(
        batch.ids.repeat(2, 1), [], interventions=[[] for _ in range(n)] + edits, logits=True
    ).logits
    assert logits is not None  # requested
    for row, text in enumerate(batch.texts):
        length = len(text.ids)
        before, after = (log_probabilities(logits[r, :length]) for r in (row, row + n))
        yield _ablated_text(subject, text, before, after, k)


def _ablated_text(
    subject: Subject,
    text: InputText,
    before: Float[Tensor, "seq vocab"],
    after: Float[Tensor, "seq vocab"],
    k: int,
) -> AblatedText:
    import torch

    kl = kl_divergence(before, after)
    following = torch.tensor(text.ids[1:], dtype=torch.long)[:, None]
    change = (before[:-1].gather(1, following) - after[:-1].gather(1, following))[:, 0]
    scored = list(text.scored)
    peak = scored[int(kl[scored].argmax())]
    changed = most_changed(subject, before[peak], after[peak], k)
    loss: list[float | None] = [*rounded(change.tolist()), None]
    return AblatedText(text.text, text.tokens, rounded(kl.tolist()), loss, peak, changed)
