"""Puts a dictionary at its place in a subject: shapes, what its input must look like, and the check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from ..subject.address import Site, VectorKind
from ..subject.architectures import norm_scale
from ..subject.attach_latents import vector_width
from ..subject.subject import Subject
from .check import FitReport, Vectors, check_fit
from .dictionary import Dictionary
from .fold import fold_centring, fold_norm_weight

KINDS: tuple[VectorKind, ...] = get_args(VectorKind)
CONTEXT_TOKENS = 64
"""Tokens of a context in which a check reads text, as in an index."""
CHECK_TOKENS = 1024
_MAX_SHOWN = 4


def placed(subject: Subject, dictionary: Dictionary) -> Dictionary:
    """The dictionary as it reads this subject's plain values, after its shapes were checked.

    Raises:
        UsageError: the subject has no such layer or place, or vectors of another width there.
    """
    subject.require_decoder("dictionaries")
    for place, width in _widths(dictionary):
        _check_width(subject, dictionary, place, width)
    if dictionary.of_modules and subject.architecture.normalises_writes:
        _refuse_before_norm(subject, dictionary)
    if dictionary.input_form == "before_norm_weight":
        layer = subject.parts.layers[dictionary.reads.layer]
        if layer.mlp_norm is None:
            raise UsageError(
                f"{subject.name} has no norm before its MLP, which {dictionary.name!r} expects"
            )
        norm: Any = layer.mlp_norm
        weight = norm_scale(norm, subject.architecture.norm).float().cpu()
        bias = cast("Tensor | None", getattr(norm, "bias", None))
        shift = torch.zeros_like(weight) if bias is None else bias.float().cpu()
        return fold_norm_weight(dictionary, weight, shift)
    if dictionary.input_form == "centred":
        return fold_centring(dictionary)
    return dictionary


def _refuse_before_norm(subject: Subject, dictionary: Dictionary) -> None:
    """Refuse a dictionary of a module's own output where a norm follows it.

    The norm divides by each vector's length, so that neither vector follows from the other by a map
    that could be folded into the weights.
    """
    for place in (dictionary.reads, dictionary.writes):
        if place.kind in ("mlp_out", "attn_out"):
            raise UsageError(
                f"the dictionary {dictionary.name!r} is of that module's own output, and {subject.name} "
                f"normalises it before it is added to the stream, which is {place} here: not supported; "
                f"give --at {place} if it was trained on what is added"
            )


def check_dictionary(
    subject: Subject, dictionary: Dictionary, texts: Iterable[str], n_tokens: int = CHECK_TOKENS
) -> FitReport:
    """Measure how well a dictionary fits, on a little text.

    Raises:
        UsageError: its shapes do not fit, or there is too little text.
    """
    dictionary = placed(subject, dictionary)
    places = places_of(subject)
    widths = {width for _, width in _widths(dictionary)}
    own = [dictionary.reads, dictionary.writes]  # the embedding is not among a subject's places
    relevant = own + [place for place in places if vector_width(subject, place) in widths]
    vectors = vectors_at(subject, list(dict.fromkeys(relevant)), texts, n_tokens)
    return check_fit(dictionary, vectors)


def require_fit(subject: Subject, dictionary: Dictionary, texts: Iterable[str]) -> FitReport:
    """Like `check_dictionary`; raises UsageError if it does not fit, naming the place that would."""
    report = check_dictionary(subject, dictionary, texts)
    if reason := misfit(subject, dictionary, report):
        raise UsageError(reason)
    return report


def misfit(subject: Subject, dictionary: Dictionary, report: FitReport) -> str:
    """Why a dictionary does not fit and which place would; "" if it does."""
    if report.fits:
        return ""
    own, best = report.own, report.best
    made_for = f", which its files say is of {dictionary.model!r}," if dictionary.model else ""
    problem = (
        f"the dictionary {dictionary.name!r}{made_for} does not fit {own.reads} of {subject.name}: it "
        f"explains {own.explained:.2f} of the variance there, and with permuted decoder rows "
        f"{report.shuffled:.2f}"
    )
    if report.is_elsewhere and best.explained > max(0.0, report.shuffled):
        option = f"--at {best.reads}" + (
            f" --writes {best.writes}" if dictionary.is_transcoder else ""
        )
        return f"{problem}; {best.reads} would fit, with {best.explained:.2f}: {option}"
    return f"{problem}; no place of this width fits: is it of another model?"


def places_of(subject: Subject) -> list[Site]:
    """Every place of a subject that a dictionary can read, in the order of the forward pass."""
    layers = range(subject.shape.n_layers)
    has_mid = all(layer.mlp_norm is not None for layer in subject.parts.layers)
    kinds: list[VectorKind] = [kind for kind in KINDS if kind != "mid" or has_mid]
    return [Site(kind, layer) for layer in layers for kind in kinds]


def vectors_at(
    subject: Subject, places: Sequence[Site], texts: Iterable[str], n_tokens: int
) -> Vectors:
    """Vectors at places on the first tokens of some texts, without each context's first token.

    Raises:
        UsageError: there is too little text.
    """
    rows: dict[Site, list[Float[Tensor, "token width"]]] = {place: [] for place in places}
    n_read = 0
    for text in texts:
        ids = subject.tokenize(text).ids[:CONTEXT_TOKENS]
        if len(ids) < 2:
            continue
        batch = torch.tensor([ids], device=subject.device)
        captured = subject.capture(batch, places).activations
        for place in places:
            rows[place].append(captured[place][0, 1:].float().cpu())
        n_read += len(ids) - 1
        if n_read >= n_tokens:
            break
    if n_read < CONTEXT_TOKENS:
        raise UsageError(
            f"the text to check a dictionary on has {n_read} tokens after the first of each document; "
            f"give at least {CONTEXT_TOKENS}"
        )
    return {place: torch.cat(parts)[:n_tokens] for place, parts in rows.items()}


def _widths(dictionary: Dictionary) -> list[tuple[Site, int]]:
    return [
        (dictionary.reads, dictionary.encoder.shape[0]),
        (dictionary.writes, dictionary.decoder.shape[1]),
    ]


def _check_width(subject: Subject, dictionary: Dictionary, place: Site, width: int) -> None:
    n_layers = subject.shape.n_layers
    if place.layer >= n_layers or place.layer < (-1 if place.kind == "stream" else 0):
        raise UsageError(
            f"the dictionary {dictionary.name!r} is of {place}, but {subject.name} has {n_layers} layers, "
            f"0 to {n_layers - 1}; is it of another model{_stated(dictionary)}?"
        )
    if (own := vector_width(subject, place)) == width:
        return
    of_width = [each for each in places_of(subject) if vector_width(subject, each) == width]
    same_layer = [str(each) for each in of_width if each.layer == place.layer]
    cure = f"of that width here are {', '.join(same_layer[:_MAX_SHOWN])}: give one with --at"
    if not same_layer:
        cure = f"no place of it has that width; is it of another model{_stated(dictionary)}?"
    raise UsageError(
        f"the dictionary {dictionary.name!r} has vectors of {width} numbers, but {place} of "
        f"{subject.name} has {own}; {cure}"
    )


def _stated(dictionary: Dictionary) -> str:
    return f" ({dictionary.model!r})" if dictionary.model else ""
