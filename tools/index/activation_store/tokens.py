"""Activations at single tokens of explore: from its store where it has them, else from a pass.

1. A site that follows from the store token by token is computed at the given tokens alone.
2. A stored layer with planted units, which depend on the text around, is computed from the store
   over all contexts that have one of the tokens.
3. Everything else comes from one pass of the subject over these contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ...subject.address import Site
from ...subject.subject import Subject
from ..index import Index
from .source import (
    ActivationSource,
    ContextBatch,
    Requests,
    SourceRequests,
    SubjectSource,
    open_stored_source,
)

TOKENS_AT_ONCE = 2048
"""Tokens computed at once: 13 MB for 1,536 neurons, twice that for the projections before them."""
CONTEXTS_AT_ONCE = 32


class TokenPlaces(NamedTuple):
    """Tokens of explore: the number of the context of each, and its position there."""

    context: Int[np.ndarray, " token"]
    position: Int[np.ndarray, " token"]

    def take(self, which: Int[np.ndarray, " chosen"]) -> TokenPlaces:
        """Some of them."""
        return TokenPlaces(self.context[which], self.position[which])


TakeTokens = Callable[
    [Site, Int[np.ndarray, " token"], Float[np.ndarray, "token column"]],
    None,
]
"""Called with a site, which of the tokens these are, and the activations at them, float32."""


class TokenSource:
    """Where activations at single tokens of explore come from.

    Attributes:
        by_pass: the sites for which the subject is run.
    """

    def __init__(
        self,
        subject: Subject,
        index: Index,
        sites: Iterable[Site],
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Find out what the store has.

        Args:
            say: called with a line about why the subject is run, if it is. An explainer may read
                it, so it names neither files nor places in the model.

        Raises:
            CorruptError: the store is damaged.
        """
        self._contexts = index.contexts("explore")
        self._subject = subject
        self._stored = open_stored_source(subject, index, "explore")
        sites = list(sites)
        covered = [site for site in sites if self._stored and self._stored.covers(site)]
        self.by_pass = [site for site in sites if site not in covered]
        if self._stored is None:
            say("the index has no activation store of this subject, so the subject is run")
        elif self.by_pass:
            missing = f"{len(self.by_pass)} of {len(sites)} sites"
            say(f"{missing} are not in the index's activation store, so the subject is run")

    def read(self, tokens: TokenPlaces, requests: Requests, take: TakeTokens) -> None:
        """Hand on the requested columns at the tokens, raw, in parts."""
        stored = self._stored
        alone = [s for s in requests if stored and stored.follows_token_by_token(s)]
        for site in alone:
            self._read_alone(tokens, site, requests, take)
        by_context = {s: requests[s] for s in requests if s not in alone}
        from_store = {s: c for s, c in by_context.items() if s not in self.by_pass}
        from_pass = {s: c for s, c in by_context.items() if s in self.by_pass}
        if stored and from_store:
            self._read_contexts(tokens, SourceRequests(stored, from_store), take)
        if from_pass:
            source: ActivationSource = SubjectSource(self._subject)
            self._read_contexts(tokens, SourceRequests(source, from_pass), take)

    def _read_alone(
        self, tokens: TokenPlaces, site: Site, requests: Requests, take: TakeTokens
    ) -> None:
        assert self._stored is not None
        rows = self._stored.store.start[tokens.context] + tokens.position
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(order), TOKENS_AT_ONCE):
            which = order[start : start + TOKENS_AT_ONCE]
            values = self._stored.read_tokens(site, rows[which], requests[site])
            take(site, which, values.float().cpu().numpy())

    def _read_contexts(self, tokens: TokenPlaces, chosen: SourceRequests, take: TakeTokens) -> None:
        for batch in self._batches(np.unique(tokens.context)):
            which = np.flatnonzero(np.isin(tokens.context, batch.numbers))
            order = np.argsort(batch.numbers)
            rows = order[np.searchsorted(batch.numbers[order], tokens.context[which])]
            positions = tokens.position[which]

            def pick(site: Site, values: Float[torch.Tensor, "batch seq column"]) -> None:
                take(site, which, values[rows, positions].float().cpu().numpy())  # noqa: B023

            chosen.source.read(batch, chosen.requests, pick)

    def _batches(self, numbers: Int[np.ndarray, " context"]) -> Iterator[ContextBatch]:
        """The contexts in batches of like length."""
        length = self._contexts.length
        numbers = numbers[np.argsort(-length[numbers].astype(np.int64), kind="stable")]
        for start in range(0, len(numbers), CONTEXTS_AT_ONCE):
            some = numbers[start : start + CONTEXTS_AT_ONCE]
            ids = self._contexts.tokens[some, : int(length[some[0]])].astype(np.int64)
            yield ContextBatch(some, length[some], torch.from_numpy(ids))
