"""What a unit's activation at a token is made of: direct contributions through the residual stream.

`decomposition` has the method. Contributions through further units are not counted, so a part that
is small here may still matter: `ablate` or `patch` it.

Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), on direct paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field

from ...errors import ArgumentError
from ...subject.address import Unit
from ...subject.input_texts import InputText, pad_token_ids, tokenize_texts
from ..circuit_wiring import circuit_wiring
from ..registry import InstrumentContext, Text, UnitAddress, instrument, rounded
from .decomposition import Decomposition
from .result import Upstream

if TYPE_CHECKING:
    from ...circuits.circuit_model import CircuitModel
    from ...dictionaries.dictionary import Dictionary
    from ...subject import Subject

MAX_TOKENS = 256
"""Of a text; the attention of a listed head runs once for each."""
N_HEADS, N_SOURCES = 4, 3
"""Heads whose source tokens are looked up, and how many are listed of each."""


@instrument("upstream", needs=("subject",))
def upstream(
    context: InstrumentContext,
    unit: UnitAddress,
    text: Text,
    focus: Annotated[
        str | None, Field(description="the token; default: where the unit is strongest")
    ] = None,
    k: Annotated[int, Field(ge=1, le=50, description="parts, and neurons, to list")] = 6,
) -> Upstream:
    """Show what feeds a neuron or latent at a token: embedding, earlier heads, MLPs, neurons.

    The shares of all parts add up to the pre-activation. A large embedding share means that the
    token itself is enough; a head's share comes from the tokens after "from", which the unit
    depends on. Not for heads.
    """
    from ...circuits.selftest import reopen_circuit_model

    address, subject = Unit.parse(unit).unsided, context.require_subject()
    if address.site == "head" or not _has_weights(subject, address):
        raise ArgumentError(
            f"upstream: not known for {str(address)!r}; ask for a neuron, a named direction or a latent"
        )
    subject.shape.column(address)
    if address.site == "sae":
        _check_latent(subject, address)
    (tokenized,) = tokenize_texts(subject, [text])
    if len(tokenized.ids) > MAX_TOKENS:
        raise ArgumentError(
            f"upstream: {len(tokenized.ids)} tokens given; at most {MAX_TOKENS}: cut the text"
        )
    with circuit_wiring("upstream"):
        model = reopen_circuit_model(subject)
    position = _strongest_position(subject, address, tokenized, focus)
    decomposition = _decomposition(model, address, tokenized, position)
    shares = decomposition.shares()
    ranked = sorted(shares, key=lambda part: -abs(decomposition.effect(shares[part])))
    listed, others = ranked[:k], ranked[k:]
    heads = [part for part in listed if part.startswith("head")][:N_HEADS]
    sources = decomposition.head_sources(heads, N_SOURCES)
    totals = decomposition.totals
    gate, up = decomposition.gate_and_up(totals)
    return Upstream(
        str(address),
        text,
        position,
        tokenized.tokens[position],
        rounded([float(decomposition.activation(totals))])[0],
        gate,
        up,
        [decomposition.contribution(p, shares[p], sources.get(p, ())) for p in listed],
        decomposition.contribution(
            f"{len(others)} others", sum((shares[part] for part in others), start=totals * 0)
        ),
        decomposition.neurons(k),
    )


def _check_latent(subject: Subject, unit: Unit) -> None:
    """Raise ArgumentError unless the latent's pre-activation is a sum over parts of the stream."""
    latents = cast("Dictionary", subject.dictionaries[unit.name])
    if latents.reads.kind == "stream" or (
        latents.reads.kind == "mlp_in" and latents.normalisation == "none"
    ):
        return
    raise ArgumentError(
        f"upstream: {str(unit)!r} reads {latents.reads}; known are latents of the stream and, without "
        "a normalisation of their dictionary, of the MLP's input"
    )


def _decomposition(
    model: CircuitModel, unit: Unit, text: InputText, position: int
) -> Decomposition:
    among_largest = True
    if unit.site == "sae":
        value = float(model.subject.unit_activations(pad_token_ids([text]), [unit])[0, 0, position])
        latents = cast("Dictionary", model.subject.dictionaries[unit.name])
        among_largest = latents.is_pointwise or value > 0
    return Decomposition.of(model, unit, text, position, is_among_largest=among_largest)


def _has_weights(subject: Subject, unit: Unit) -> bool:
    """Whether the unit is no planted neuron, which has no row in the layer's projections."""
    from ...subject.architectures import matrix

    if unit.site in ("resid", "sae") or unit.layer >= subject.shape.n_layers:
        return True
    return unit.index < matrix(subject.parts.layers[unit.layer].mlp_down).shape[1]


def _strongest_position(subject: Subject, unit: Unit, text: InputText, focus: str | None) -> int:
    values = subject.unit_activations(pad_token_ids([text]), [unit])[0, 0]
    return max(text.positions(focus), key=lambda i: abs(float(values[i])))
