"""Instruments for nulls and controls, which an explainer cannot tell from those of a real unit.

An artificial target is a real neuron, its double, whose activations are replaced: what it does on
text is its own, what it writes and what its ablation does are the double's. `shuffled:UNIT` and
`redrawn:UNIT` name their double; noise and rotated controls have a neuron of their layer that the
seed draws.

    activations.on_text      its own on new text: noise seeded by the text, the source's values on
                             another context, or what its own weights give
    activations.exemplars    from the run's contexts of explore
    activations.statistics   over the same
    all others               the double's, under the target's own address
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

from ...tools import instruments
from ...tools.subject.address import Unit
from ..runlog.nulls import artificial_units

if TYPE_CHECKING:
    from ...tools.index import Collected
    from ...tools.instruments import InstrumentContext, Result
    from ...tools.instruments.activations_on_text import OnText
    from ...tools.instruments.exemplars import Exemplars, UnitStatistics
    from ...tools.subject import Subject
    from ...tools.subject.nulls import ArtificialUnit
    from ..runlog.config import RunConfig
    from ..runlog.log import Data
    from .split_data import SplitData


class NullInstruments:
    """Calls instruments for the artificial targets of a run. One call at a time."""

    def __init__(self, config: RunConfig, context: InstrumentContext, data: SplitData) -> None:
        self._config, self._context, self._data = config, context, data

    def has(self, unit: Unit) -> bool:
        """Whether the unit is an artificial target of the run."""
        return str(unit) in self._config.nulls

    def call(self, unit: Unit, name: str, arguments: Data) -> Result:
        """An instrument's result; raises ArgumentError as the instrument itself does."""
        address, double = str(unit.unsided), self._double(unit.unsided)
        of_double = _with_address(arguments, address, double)
        result: Any = instruments.call(name, of_double, self._context)
        if of_double != arguments:  # otherwise the call is about other units
            if name == "activations.on_text":
                return self._on_text(address, double, result)
            if name == "activations.exemplars":
                return self._exemplars(address, result)
            if name == "activations.statistics":
                return self._statistics(address, result)
        return ResultUnderAlias(result, double, address)

    @cached_property
    def _units(self) -> Mapping[str, ArtificialUnit]:
        explore = self._explore
        donors = [
            row[:length].tolist()
            for row, length in zip(explore.tokens, explore.length, strict=True)
        ]
        units = artificial_units(self._config.nulls, self._subject, self._config.seed, donors)
        return {str(artificial.unit): artificial for artificial in units}

    @property
    def _subject(self) -> Subject:
        return self._context.require_subject()

    @property
    def _explore(self) -> Collected:
        return self._data.collected("explore")

    def _double(self, unit: Unit) -> str:
        source = self._config.nulls[str(unit)].partition(":")[2]
        if source:
            return source
        digest = hashlib.sha256(f"double:{self._config.seed}:{unit}".encode()).digest()
        number = int.from_bytes(digest[:6]) % self._subject.shape.count(unit.place)
        return f"{unit.site}.{unit.layer}.{number}"

    def _on_text(self, address: str, double: str, result: OnText) -> Result:
        texts = []
        for text in result.texts:
            own = self._values(self._units[address], text.text)
            activations = {}
            for name, values in text.activations.items():
                unit = Unit.parse(name)
                if str(unit.unsided) == double:
                    values = instruments.rounded(unit.signal(own))
                activations[_replace_address(name, double, address)] = values
            texts.append(replace(text, activations=activations))
        units = [_replace_address(name, double, address) for name in result.units]
        return replace(result, units=units, texts=texts)

    def _values(self, artificial: ArtificialUnit, text: str) -> np.ndarray:
        import torch

        ids, _ = self._subject.tokenize(text)
        tokens = torch.tensor([list(artificial.text_for(ids))])
        sources = artificial.sources
        captured = self._subject.capture(tokens, sources).activations if sources else {}
        return artificial.values(captured, torch.tensor([ids]))[0].float().cpu().numpy()

    def _exemplars(self, address: str, result: Exemplars) -> Result:
        """As many as the index has for the double, chosen by its own activations."""
        from ...tools.instruments.exemplars import ExemplarText

        data, activations = self._explore, self._explore.activations(address)
        sided = (-activations if result.side == "-" else activations).astype(np.float64)
        strength = np.where(data.mask, sided, -np.inf)
        peak = strength.max(axis=1)
        order = [int(c) for c in np.argsort(-peak, kind="stable") if peak[c] > 0]
        seed = f"{self._config.seed}:{address}{result.side}"
        strings = self._data.lexicon.strings
        passages = []
        for context in _choose(order, result.kind, len(result.exemplars), seed):
            length = data.length[context]
            tokens = [strings[int(token)] for token in data.tokens[context, :length]]
            values = instruments.rounded(activations[context, :length])
            passages.append(ExemplarText(context, tokens, values, int(strength[context].argmax())))
        return replace(result, unit=address, exemplars=passages)

    def _statistics(self, address: str, result: UnitStatistics) -> Result:
        explore = self._explore
        values = explore.activations(address)[explore.mask].astype(np.float64)
        active = np.abs(values) > 0.1 * np.abs(values).max()
        q01, q10, q50, q90, q99 = np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99])
        own = {
            "mean": values.mean(),
            "std": values.std(),
            "min": values.min(),
            "max": values.max(),
            "density": active.mean(),
            "positive": (values > 0).mean(),
            "q01": q01,
            "q10": q10,
            "q50": q50,
            "q90": q90,
            "q99": q99,
        }
        rounded = dict(zip(own, instruments.rounded(list(own.values())), strict=True))
        return replace(result, unit=address, n=len(values), **rounded)


class ResultUnderAlias(instruments.Result):
    """A double's result under the address of the artificial target."""

    def __init__(self, result: Result, double: str, address: str) -> None:
        self._result, self._double, self._address = result, double, address

    def render(self) -> str:
        """The result's text, with the artificial target's address in place of the double's."""
        return _replace_address(self._result.render(), self._double, self._address)

    def to_json(self) -> dict[str, Any]:
        """The result's values, with addresses replaced likewise."""
        text = json.dumps(self._result.to_json())
        return json.loads(_replace_address(text, self._double, self._address))


def _choose(order: list[int], kind: str, k: int, seed: str) -> list[int]:
    """Contexts from strongest to weakest: the first k, k spread over all, or k at random."""
    if kind == "top" or k >= len(order):
        return order[:k]
    if kind == "quantile":
        return [order[round(i * (len(order) - 1) / max(1, k - 1))] for i in range(k)]
    chosen = np.random.default_rng(list(seed.encode())).choice(len(order), k, replace=False)
    return [order[i] for i in sorted(chosen)]


def _replace_address(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{re.escape(old)}(?!\d)", lambda _: new, text)


def _with_address(arguments: Data, old: str, new: str) -> Data:
    """The arguments with another address wherever one is a whole value, whatever its side."""

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(item) for item in value]
        if isinstance(value, str) and value.rstrip("+-") == old:
            return new + value[len(old) :]
        return value

    return {name: change(value) for name, value in arguments.items()}
