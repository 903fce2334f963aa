"""Nulls and controls under instruments: they answer as a real unit would, so that nobody can tell
them by that.

An artificial target is a real neuron, its double, whose activations are replaced: what it does on
text is its own, what it writes and what its ablation does are the double's. `shuffled:UNIT` and
`redrawn:UNIT` name their double; noise and rotated controls have a neuron of their layer that the
seed draws.

    activations.on_text      its own on new text: noise seeded by the text, a source on a donor context, a fresh row
    activations.exemplars    from the run's contexts of explore
    activations.statistics   over the same
    all else                 the double's, under the target's own address
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tools.instruments import Result, rounded
from ...tools.subject.address import Unit
from ..runlog.log import Data
from ..runlog.nulls import artificial_units

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from ...tools.instruments import InstrumentContext
    from ...tools.instruments.activations_on_text import OnText
    from ...tools.instruments.exemplars import Exemplars, UnitStatistics
    from ...tools.subject import Subject
    from ...tools.subject.nulls import ArtificialUnit
    from ..runlog.config import RunConfig


class NullInstruments:
    """Answers instruments for the artificial targets of a run."""

    def __init__(
        self, config: RunConfig, bench: InstrumentContext, explore: Collected, lexicon: Lexicon
    ) -> None:
        self._config, self._bench, self._explore, self._lexicon = config, bench, explore, lexicon

    def call(self, target: str, name: str, arguments: Data) -> Result:
        """What an instrument says; ArgumentError as from the instrument itself."""
        from ...tools import instruments

        own = {
            "activations.on_text": self._on_text,
            "activations.exemplars": self._exemplars,
            "activations.statistics": self._statistics,
        }
        address = str(Unit.parse(target).unsided)
        double = self._double(address)
        answer = instruments.call(name, _renamed(arguments, address, double), self._bench)
        if name in own and _mentions(arguments, address):
            return own[name](address, double, answer)
        return ResultUnderAlias(answer, double, address)

    @cached_property
    def _units(self) -> Mapping[str, ArtificialUnit]:
        explore = self._explore
        donors = [
            row[:length].tolist()
            for row, length in zip(explore.tokens, explore.length, strict=True)
        ]
        made = artificial_units(self._config.nulls, self._subject, self._config.seed, donors)
        return {str(unit.unit): unit for unit in made}

    @property
    def _subject(self) -> Subject:
        return self._bench.require_subject()

    def _double(self, address: str) -> str:
        source = self._config.nulls[address].partition(":")[2]
        if source:
            return source
        unit = Unit.parse(address)
        drawn = hashlib.sha256(f"double:{self._config.seed}:{address}".encode()).digest()
        number = int.from_bytes(drawn[:6]) % self._subject.shape.count(unit.place)
        return f"{unit.site}.{unit.layer}.{number}"

    def _on_text(self, address: str, double: str, answer: Any) -> Result:
        found: OnText = answer
        texts = []
        for text in found.texts:
            raw = self._values(self._units[address], text.text)
            activations = {
                _swapped(name, double, address): rounded(Unit.parse(name).signal(raw))
                if str(Unit.parse(name).unsided) == double
                else values
                for name, values in text.activations.items()
            }
            texts.append(replace(text, activations=activations))
        return replace(
            found, units=[_swapped(name, double, address) for name in found.units], texts=texts
        )

    def _values(self, unit: ArtificialUnit, text: str) -> np.ndarray:
        import torch

        ids, _ = self._subject.tokenize(text)
        run = torch.tensor([list(unit.text_for(ids))])
        captured = self._subject.capture(run, unit.sources).activations if unit.sources else {}
        return unit.values(captured, torch.tensor([ids]))[0].float().cpu().numpy()

    def _exemplars(self, address: str, double: str, answer: Any) -> Result:
        """As many as the index has of the double, chosen from its own activations."""
        from ...tools.instruments.exemplars import ExemplarText

        found: Exemplars = answer
        data, raw = self._explore, self._explore.activations(Unit.parse(address))
        signed = np.where(
            data.mask, (-raw if found.side == "-" else raw).astype(np.float64), -np.inf
        )
        strength = signed.max(axis=1)
        order = [int(c) for c in np.argsort(-strength, kind="stable") if strength[c] > 0]
        chosen = _choose(
            order, found.kind, len(found.exemplars), f"{self._config.seed}:{address}{found.side}"
        )
        passages = [
            ExemplarText(
                c,
                [self._lexicon.strings[int(t)] for t in data.tokens[c, : data.length[c]]],
                rounded(raw[c, : data.length[c]]),
                int(signed[c].argmax()),
            )
            for c in chosen
        ]
        return replace(found, unit=address, exemplars=passages)

    def _statistics(self, address: str, double: str, answer: Any) -> Result:
        found: UnitStatistics = answer
        values = self._explore.activations(Unit.parse(address))[self._explore.mask].astype(
            np.float64
        )
        quantiles = np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99])
        active = np.abs(values) > 0.1 * np.abs(values).max()
        numbers = [
            values.mean(),
            values.std(),
            values.min(),
            values.max(),
            active.mean(),
            (values > 0).mean(),
        ]
        names = (
            "mean",
            "std",
            "min",
            "max",
            "density",
            "positive",
            "q01",
            "q10",
            "q50",
            "q90",
            "q99",
        )
        own = dict(zip(names, rounded([*numbers, *quantiles]), strict=True))
        return replace(found, unit=address, n=len(values), **own)


class ResultUnderAlias(Result):
    """A double's result under the name of the unit that it stands for."""

    def __init__(self, found: Result, double: str, address: str) -> None:
        self._found, self._double, self._address = found, double, address

    def render(self) -> str:
        """Its text."""
        return _swapped(self._found.render(), self._double, self._address)

    def to_json(self) -> dict[str, Any]:
        """Its values."""
        return json.loads(_swapped(json.dumps(self._found.to_json()), self._double, self._address))


def _choose(order: list[int], kind: str, k: int, seed: str) -> list[int]:
    """Contexts of an order from the strongest down: the first, spread over it, or at random."""
    if kind == "top" or k >= len(order):
        return order[:k]
    if kind == "quantile":
        return [order[round(i * (len(order) - 1) / max(1, k - 1))] for i in range(k)]
    drawn = np.random.default_rng(list(seed.encode())).choice(len(order), k, replace=False)
    return [order[i] for i in sorted(drawn)]


def _swapped(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{re.escape(old)}(?!\d)", lambda _: new, text)


def _renamed(arguments: Data, old: str, new: str) -> Data:
    """The arguments with another address wherever one is a whole value, whatever its side."""

    def rename(value: Any) -> Any:
        if isinstance(value, list):
            return [rename(item) for item in value]
        return (
            new + value[len(old) :]
            if isinstance(value, str) and value.rstrip("+-") == old
            else value
        )

    return {name: rename(value) for name, value in arguments.items()}


def _mentions(arguments: Data, address: str) -> bool:
    return arguments != _renamed(arguments, address, "")
