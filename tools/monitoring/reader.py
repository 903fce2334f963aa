"""The subject on a text, and while it writes one, with the watched units at every token.

A text is read in one pass. A continuation is written as any program would, with a cache of keys and
values, so that a step passes one token; hooks read the units on the way and are gone between steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..circuits.hooks import temporary_hooks
from ..errors import UsageError
from ..index.activation_store.losses import losses_and_entropies
from ..instruments.continuation import Sampling
from ..subject.address import Site, Unit
from ..subject.capture import hook_place
from ..subject.subject import Subject
from .channels import TextSignals


class WrittenToken(NamedTuple):
    """One token that the subject wrote, and what it did when it read it back.

    Attributes:
        token: its text; `id`: its number.
        signals: of each unit, on its side, at this token.
        lengths: log length of the stream after each layer.
        surprisal: -log p of the token, nats.
        seconds: from the step before to the next token's logits.
    """

    token: str
    id: int
    signals: Float[np.ndarray, " unit"]
    lengths: Float[np.ndarray, " layer"]
    surprisal: float
    seconds: float


class UnitReader:
    """Reads units and the lengths of the stream."""

    def __init__(self, subject: Subject, units: Sequence[Unit]) -> None:
        """Prepare to read.

        Raises:
            UsageError: the subject has no such unit, or is an encoder.
        """
        subject.require_decoder("a watch")
        self.subject, self.units = subject, list(units)
        self._columns = [subject.shape.column(unit) for unit in self.units]
        self.strings = subject.token_strings()

    def read(self, ids: Sequence[int]) -> TextSignals:
        """A text of at least two tokens that fits the subject's context, in one pass."""
        if len(ids) < 2:
            raise UsageError(f"a text of {len(ids)} tokens given; expected at least 2")
        subject, batch = self.subject, torch.tensor([list(ids)])
        signals: dict[Site, Tensor] = {}
        lengths: list[Tensor] = []
        last: list[Tensor] = []
        streams = [Site("stream", layer) for layer in range(subject.shape.n_layers)]

        def consume(site: Site, value: Float[Tensor, "1 seq column"]) -> None:
            if site.kind != "stream":
                signals[site] = value[0, 1:, self._columns_at(site)].float().cpu()
                return
            lengths.append(_log_length(value[0, 1:]).cpu())
            if site == streams[-1]:
                last.append(value[0])

        subject.stream(batch, [*(unit.place for unit in self.units), *streams], consume)
        following = batch[0, 1:].to(subject.device)
        surprisal = losses_and_entropies(subject, last[0][:-1], following)[:, 0]
        return TextSignals(
            [self.strings[i] for i in ids[1:]],
            self._in_order(signals),
            torch.stack(lengths).numpy(),
            surprisal.numpy(),
        )

    def write(self, ids: Sequence[int], sampling: Sampling) -> Iterator[WrittenToken]:
        """Continue a text, one step for each new token.

        Raises:
            UsageError: the text and the new tokens are longer than the subject's context, there is
                no text, or the subject has planted units, which see the text and not the cache.
        """
        self._check_can_write(ids, sampling)
        cache = DynamicCache(config=self.subject.model.config)
        random = np.random.default_rng(sampling.seed)
        started = perf_counter()
        logits = plain_step(self.subject, cache, torch.tensor([list(ids)]))
        for _ in range(sampling.new_tokens):
            chosen, surprisal = choose_token(logits, sampling, random)
            signals, lengths, logits = self._step(cache, chosen)
            now = perf_counter()
            yield WrittenToken(
                self.strings[chosen], chosen, signals, lengths, surprisal, now - started
            )
            started = perf_counter()

    def reading_of(self, steps: Sequence[WrittenToken]) -> TextSignals:
        """The new tokens as a text that was read."""
        tokens = [step.token for step in steps]
        signals = np.stack([step.signals for step in steps], axis=1)
        lengths = np.stack([step.lengths for step in steps], axis=1)
        return TextSignals(tokens, signals, lengths, np.array([step.surprisal for step in steps]))

    def _check_can_write(self, ids: Sequence[int], sampling: Sampling) -> None:
        subject, wanted = self.subject, len(ids) + sampling.new_tokens
        if not ids or wanted > subject.context_length:
            raise UsageError(
                f"a text of {len(ids)} tokens and {sampling.new_tokens} new ones given; expected "
                f"1 to {subject.context_length} together: shorten the text, or ask for fewer"
            )
        if any(subject.depends_on_text(layer) for layer in range(subject.shape.n_layers)):
            raise UsageError(
                "planted units depend on the whole text, which a step of a generation does not "
                "have: watch whole texts, or the subject without the suite"
            )

    def _step(
        self, cache: DynamicCache, token: int
    ) -> tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " layer"], Float[Tensor, " vocab"]]:
        """Pass one token, with hooks at the units' sites and after each layer."""
        raw: dict[Site, Tensor] = {}
        lengths: list[Tensor] = []
        with temporary_hooks() as hooks:
            for site in {self.subject.shape.raw(unit.place) for unit in self.units}:
                module, is_output = hook_place(self.subject.parts, site)
                on = hooks.on_output if is_output else hooks.on_input
                on(module, lambda value, site=site: raw.__setitem__(site, value))
            for layer in self.subject.parts.layers:
                hooks.on_output(layer.whole, lambda value: lengths.append(_log_length(value[0])))
            logits = plain_step(self.subject, cache, torch.tensor([[token]]))
        signals: dict[Site, Tensor] = {}
        with torch.inference_mode():
            for place in {unit.place for unit in self.units}:
                values = self.subject.units_of(place, raw[self.subject.shape.raw(place)])
                signals[place] = values[0, :, self._columns_at(place)].float()
            return self._in_order(signals)[:, 0], torch.cat(lengths).cpu().numpy(), logits

    def _columns_at(self, site: Site) -> list[int]:
        pairs = zip(self.units, self._columns, strict=True)
        return [column for unit, column in pairs if unit.place == site]

    def _in_order(
        self, signals: dict[Site, Float[Tensor, "token column"]]
    ) -> Float[np.ndarray, "unit token"]:
        """Each unit's signal on its side, in the order of the units."""
        columns = {site: iter(values.T.cpu().numpy()) for site, values in signals.items()}
        return np.stack([unit.signal(next(columns[unit.place])) for unit in self.units])


@torch.inference_mode()
def plain_step(
    subject: Subject, cache: DynamicCache, ids: Int[Tensor, "1 new"]
) -> Float[Tensor, " vocab"]:
    """Pass new tokens with a cache; returns the logits after the last one."""
    output: Any = subject.model(
        ids.to(subject.device), past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return output.logits[0, -1].float()


def choose_token(
    logits: Float[Tensor, " vocab"], sampling: Sampling, random: np.random.Generator
) -> tuple[int, float]:
    """The next token and its surprisal, nats; Gumbel noise draws it where there is a temperature."""
    log_p = logits.double().log_softmax(-1).cpu()
    scores = log_p
    if sampling.temperature > 0:
        noise = torch.from_numpy(random.gumbel(size=len(log_p)))
        scores = log_p / sampling.temperature + noise
    chosen = int(scores.argmax())
    return chosen, -float(log_p[chosen])


def seconds_of_plain_steps(subject: Subject, ids: Sequence[int], sampling: Sampling) -> list[float]:
    """Seconds of each step of the same generation with no hook."""
    cache = DynamicCache(config=subject.model.config)
    random = np.random.default_rng(sampling.seed)
    started = perf_counter()
    logits = plain_step(subject, cache, torch.tensor([list(ids)]))
    seconds: list[float] = []
    for _ in range(sampling.new_tokens):
        chosen, _ = choose_token(logits, sampling, random)
        logits = plain_step(subject, cache, torch.tensor([[chosen]]))
        seconds.append(perf_counter() - started)
        started = perf_counter()
    return seconds


def _log_length(stream: Float[Tensor, "token d_model"]) -> Float[Tensor, " token"]:
    return stream.float().norm(dim=-1).clamp(min=1e-30).log()
