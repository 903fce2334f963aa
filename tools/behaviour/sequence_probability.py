"""Log probabilities of texts and of continuations, token by token.

1. A row is token ids of which those from a position on are scored. A text's first token follows
   nothing, so that it has no probability: it is scored only if a start token is read before it.
2. A continuation is cut into tokens together with its prefix, as the subject would read the two.
3. The last token of a row is predicted and never read. Rows that read the same tokens are run once:
   any number of one-token answers to a prompt cost one pass.
4. Rows of similar length run together, padded on the right, where a causal model does not look.
5. log p of a token is its logit less the log-sum-exp of all logits one position earlier. The sum of
   a text's surprisals, -log p of each token, is -log p of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from ..subject.input_texts import BATCH_TOKENS, InputText, batches

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Intervention, Subject

TooLong = Literal["error", "cut"]
"""What happens to a text that is longer than the subject's context."""
RowEdit = Callable[[int], Sequence["Intervention"]]
"""The interventions under which a row of so many tokens is read."""


@dataclass(frozen=True, eq=False)
class TokenLogProbs:
    """The scored tokens of one text, and log p of each given all tokens before it; nats."""

    tokens: tuple[str, ...]
    log_probs: Float[np.ndarray, " scored"]

    @property
    def total(self) -> float:
        """log p of all scored tokens together."""
        return float(self.log_probs.sum())

    @property
    def mean(self) -> float:
        """log p per token: what a comparison of different lengths needs."""
        return float(self.log_probs.mean())


@dataclass(frozen=True)
class ScoredTexts:
    """One entry for each text, in the order given.

    Attributes:
        n_cut: how many lost tokens because they were longer than the subject's context.
        n_joined: continuations whose first token begins inside the prefix, as "keys" does after the
            prefix "key". Its probability is that of the whole token.
    """

    texts: tuple[TokenLogProbs, ...]
    n_cut: int = 0
    n_joined: int = 0

    @cached_property
    def totals(self) -> Float[np.ndarray, " texts"]:
        """log p of each text."""
        return np.array([text.total for text in self.texts])

    @cached_property
    def means(self) -> Float[np.ndarray, " texts"]:
        """log p per token of each text."""
        return np.array([text.mean for text in self.texts])


class TokenRow(NamedTuple):
    """Token ids; those from `first` on are scored, and `first` is at least 1."""

    ids: tuple[int, ...]
    first: int


def text_probabilities(
    subject: Subject,
    texts: Sequence[str],
    *,
    start: int | None = None,
    too_long: TooLong = "error",
    edit: RowEdit | None = None,
) -> ScoredTexts:
    """Score each token of whole texts, the first one only after a start token.

    Args:
        start: id of a token that is read before each text; see `start_token`.
        too_long: "cut" leaves out the end of a text that is longer than the context, and counts it.
        edit: interventions under which the subject reads.

    Raises:
        UsageError: a text has no token to score, or is too long.
    """
    rows: list[TokenRow] = []
    n_cut, limit = 0, subject.context_length
    before = [] if start is None else [start]
    for number, text in enumerate(texts):
        ids = [*before, *subject.tokenize(text).ids]
        if len(ids) < 2:
            raise UsageError(
                f"text {number} has no token to score: {text[:40]!r}; the first token follows "
                "nothing: give a longer text, or a start token"
            )
        if len(ids) > limit:
            _refuse_unless_cut(too_long, f"text {number}", len(ids), limit, text)
            n_cut += 1
        rows.append(TokenRow(tuple(ids[:limit]), 1))
    return ScoredTexts(tuple(_named_scores(subject, rows, edit)), n_cut)


def continuation_probabilities(
    subject: Subject,
    prefixes: Sequence[str],
    continuations: Sequence[str],
    *,
    start: int | None = None,
    too_long: TooLong = "error",
    edit: RowEdit | None = None,
) -> ScoredTexts:
    """Score the tokens of each continuation after its prefix; spaces between them are the caller's.

    Args:
        too_long: "cut" leaves out the beginning of a prefix where both are longer than the context.

    Raises:
        UsageError: not one prefix for each continuation, a continuation without a token or with
            nothing before it, or one that is too long.
    """
    if len(prefixes) != len(continuations):
        raise UsageError(
            f"{len(prefixes)} prefixes and {len(continuations)} continuations given; "
            "give one prefix for each"
        )
    before = () if start is None else (start,)
    rows: list[TokenRow] = []
    n_cut = n_joined = 0
    for number, (prefix, continuation) in enumerate(zip(prefixes, continuations, strict=True)):
        what = f"continuation {number} ({continuation[:40]!r} after {prefix[-40:]!r})"
        row, joined = _joined_row(subject, prefix, continuation, before, what)
        over = len(row.ids) - subject.context_length
        if over > 0:
            _refuse_unless_cut(too_long, what, len(row.ids), subject.context_length, prefix)
            if row.first - over < max(1, len(before)):
                raise UsageError(f"{what} leaves no room for a token before it: shorten it")
            row = TokenRow((*before, *row.ids[len(before) + over :]), row.first - over)
        rows.append(row)
        n_cut, n_joined = n_cut + (over > 0), n_joined + joined
    return ScoredTexts(tuple(_named_scores(subject, rows, edit)), n_cut, n_joined)


def next_token_log_probs(
    subject: Subject, texts: Sequence[Sequence[int]], edit: RowEdit | None = None
) -> Float[np.ndarray, "texts vocab"]:
    """Log probabilities of every next token after each text, which is given as token ids; float32.

    Raises:
        UsageError: a text has no token, or more than the context.
    """
    if any(not len(ids) for ids in texts):
        raise UsageError("a text without a token given; nothing can be predicted after it")
    found: dict[tuple[int, ...], np.ndarray] = {}

    def read(row: tuple[int, ...], logits: Tensor) -> None:
        found[row] = logits[len(row) - 1].float().log_softmax(-1).cpu().numpy()

    _run({tuple(ids): None for ids in texts}, subject, read, edit)
    return np.stack([found[tuple(ids)] for ids in texts]) if texts else np.zeros((0, 0))


def score_rows(
    subject: Subject, rows: Sequence[TokenRow], edit: RowEdit | None = None
) -> list[Float[np.ndarray, " scored"]]:
    """log p of each scored token of each row; nats."""
    import torch

    scores: dict[TokenRow, np.ndarray] = {}
    rows_reading: dict[tuple[int, ...], list[TokenRow]] = {}
    for row in dict.fromkeys(rows):
        rows_reading.setdefault(row.ids[:-1], []).append(row)

    def read(ids: tuple[int, ...], logits: Tensor) -> None:
        first = min(row.first for row in rows_reading[ids])
        predictions = logits[first - 1 : len(ids)].float()
        normaliser = predictions.logsumexp(-1)
        for row in rows_reading[ids]:
            targets = torch.tensor(row.ids[row.first :], device=logits.device)
            own = slice(row.first - first, None)
            chosen = predictions[own].gather(1, targets[:, None])[:, 0] - normaliser[own]
            scores[row] = chosen.cpu().double().numpy()

    _run(rows_reading, subject, read, edit)
    return [scores[row] for row in rows]


def start_token(subject: Subject) -> int:
    """The token that the subject's tokenizer begins a text with, or else ends one with.

    Raises:
        UsageError: it has neither.
    """
    tokenizer = subject.tokenizer
    candidates = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    usable = [token for token in candidates if token is not None and token < subject.n_vocabulary]
    if not usable:
        raise UsageError(
            f"{subject.name} has no token that begins or ends a text; score from the second token on"
        )
    return usable[0]


def _run(
    texts: Mapping[tuple[int, ...], object],
    subject: Subject,
    read: Callable[[tuple[int, ...], Tensor], None],
    edit: RowEdit | None,
) -> None:
    """Call `read` with each text and its logits (seq vocab); batched by length."""
    inputs = [InputText.of_ids(list(ids)) for ids in texts]
    # A large vocabulary fills memory with logits: as many tokens as BATCH_TOKENS was measured for.
    budget = max(1, BATCH_TOKENS * 50_000 // max(50_000, subject.n_vocabulary))
    for batch in batches(inputs, budget):
        changes = [edit(len(text.ids)) for text in batch.texts] if edit else None
        logits = subject.capture(batch.ids, [], interventions=changes, logits=True).logits
        assert logits is not None  # requested
        for row, text in enumerate(batch.texts):
            read(tuple(text.ids), logits[row])


def _named_scores(
    subject: Subject, rows: Sequence[TokenRow], edit: RowEdit | None
) -> list[TokenLogProbs]:
    strings = subject.token_strings()
    return [
        TokenLogProbs(tuple(strings[token] for token in row.ids[row.first :]), log_probs)
        for row, log_probs in zip(rows, score_rows(subject, rows, edit), strict=True)
    ]


def _joined_row(
    subject: Subject, prefix: str, continuation: str, before: tuple[int, ...], what: str
) -> tuple[TokenRow, bool]:
    """Both as one row, and whether a token holds the end of the prefix and more."""
    text = prefix + continuation
    ids, offsets = subject.tokenize(text)
    ends_after = [place for place, (_, end) in enumerate(offsets) if end > len(prefix)]
    if not continuation or not ends_after:
        raise UsageError(f"{what} has no token to score: give a text")
    first = ends_after[0]
    if first + len(before) < 1:
        raise UsageError(f"{what} has nothing before it: give a prefix, or a start token")
    # A space that belongs to the continuation's first token is not a part of a word.
    joined = bool(text[offsets[first][0] : len(prefix)].strip())
    return TokenRow((*before, *ids), first + len(before)), joined


def _refuse_unless_cut(too_long: TooLong, what: str, length: int, limit: int, text: str) -> None:
    if too_long == "error":
        raise UsageError(
            f"{what} has {length} tokens and the subject reads at most {limit}: {text[:40]!r}; "
            "shorten it, or ask for long texts to be cut"
        )
