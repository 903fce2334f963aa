"""One vector for each text at some places of the subject.

1. Cut the texts into tokens. A longer text than allowed is an error, or keeps its end, where the
   last token has the nearest context.
2. Run texts of similar length together, padded on the right, where a causal model does not look.
   Equal texts run once. The pass stops at the deepest place.
3. Of each place keep the last token's vector, or the mean over tokens without position 0, which is
   an attention sink. Nothing else of a batch outlives it, so that memory is what is returned plus
   one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from ..datasets.context import MAX_TOKENS, tokens_in_context
from ..errors import ArgumentError
from ..subject.address import Site
from ..subject.input_texts import InputText, batches

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject

Pooling = Literal["last", "mean"]
TooLong = Literal["error", "keep end"]
EMBEDDING = Site("stream", -1)
"""The word embeddings: what can be read off a token alone, before any layer."""


def stream_sites(n_layers: int) -> list[Site]:
    """The word embeddings and the residual stream after each layer, in order."""
    return [Site("stream", layer) for layer in range(-1, n_layers)]


def site_name(site: Site) -> str:
    """``embedding``, or ``resid.8`` for the stream after layer 8."""
    if site == EMBEDDING:
        return "embedding"
    return f"{'resid' if site.kind == 'stream' else site.kind}.{site.layer}"


def collect(
    subject: Subject,
    texts: Sequence[str],
    sites: Sequence[Site],
    *,
    pooling: Pooling = "last",
    max_tokens: int = MAX_TOKENS,
    too_long: TooLong = "error",
    fast: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[np.ndarray, "site text width"]:
    """The vector of each text at each site, float32; all sites must have the same width.

    Args:
        max_tokens: of one text, and at most the subject's context.
        too_long: whether a longer text is an error, or is read from its last `max_tokens` on.
        fast: products in bfloat16, which takes half the time on processors that have it; the values
            differ by about a hundredth.
        progress: called with the number of texts done and to do.

    Raises:
        UsageError: a text has no token.
        ArgumentError: there is no text, one is too long, or the subject has no such layer.
    """
    from torch import autocast, bfloat16

    for site in sites:
        if not -(site.kind == "stream") <= site.layer < subject.shape.n_layers:
            raise ArgumentError(
                f"layer {site.layer} given; {subject.name} has layers 0 to "
                f"{subject.shape.n_layers - 1}"
            )
    distinct = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(distinct)}
    tokenized = _tokenized(subject, distinct, max_tokens, too_long)
    vectors: Float[np.ndarray, "site text width"] | None = None
    done = 0
    for batch in batches(tokenized):
        with autocast(subject.device.type, dtype=bfloat16, enabled=fast):
            read = _read(subject, batch.ids, sites)
        for number, values in zip(batch.numbers, _pooled(read, batch.texts, pooling), strict=True):
            if vectors is None:
                vectors = np.empty((len(sites), len(distinct), values.shape[-1]), np.float32)
            vectors[:, number] = values
        done += len(batch.numbers)
        progress(done, len(distinct))
    if vectors is None:
        raise ArgumentError("no text given: give at least one (is the slice empty?)")
    return vectors if len(distinct) == len(texts) else vectors[:, [place[text] for text in texts]]


def _tokenized(
    subject: Subject, texts: Sequence[str], max_tokens: int, too_long: TooLong
) -> list[InputText]:
    ids, n_cut, limit = tokens_in_context(subject, texts, "end", max_tokens)
    if n_cut and too_long == "error":
        longest = max(texts, key=lambda text: len(subject.tokenize(text).ids))
        raise ArgumentError(
            f"{n_cut} of {len(texts)} texts have more than {limit} tokens, which is the most that "
            f"is read: cut them, or let their ends be kept; the longest is {longest[:40]!r}"
        )
    return [InputText.of_ids(row) for row in ids]


def _read(subject: Subject, ids: Tensor, sites: Sequence[Site]) -> list[Tensor]:
    """The value of each site, (batch seq width)."""
    import torch

    inner = [site for site in sites if site != EMBEDDING]
    kept: list[Tensor] = []
    with _embeddings(subject, kept if EMBEDDING in sites else None), torch.inference_mode():
        if inner:
            captured = subject.capture(ids, inner).activations
        else:
            captured = {}
            subject.model.get_input_embeddings()(ids.to(subject.device))
    return [kept[0] if site == EMBEDDING else captured[site] for site in sites]


@contextmanager
def _embeddings(subject: Subject, kept: list[Tensor] | None) -> Iterator[None]:
    if kept is None:
        yield
        return

    def keep(_module: Any, _arguments: Any, output: Tensor) -> None:
        kept.append(output)

    handle = subject.model.get_input_embeddings().register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def _pooled(
    read: Sequence[Tensor], texts: Sequence[InputText], pooling: Pooling
) -> Iterator[Float[np.ndarray, "site width"]]:
    """For each text of a batch its vector at each site."""
    import torch

    for row, text in enumerate(texts):
        length = len(text.ids)
        first = length - 1 if pooling == "last" else min(1, length - 1)
        values = [site[row, first:length].float().mean(dim=0) for site in read]
        yield torch.stack(values).cpu().numpy()
