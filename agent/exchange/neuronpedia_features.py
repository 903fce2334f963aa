"""Features of Neuronpedia with their explanations, collected from rows of its tables or whole features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ...tools.errors import HubelError
from ...tools.files.strict_json import parse_strict_json
from .records import ExplainedUnit, RecordedScore, SeenText, TokenLogit, unit_of_row
from .registry import ReadOptions
from .source_json import SourceObject

TEXTS = 40
"""Activations of a feature that are kept, the strongest first."""
OWN = "hubel"
"""Key of what hubel writes into free texts, and the first part of its names."""


class NeuronpediaFeatures:
    """Explained features, collected from rows in any order after their explanations."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._units: dict[tuple[str, int], ExplainedUnit] = {}
        self._made: dict[tuple[str, int], str] = {}
        self._explanation: dict[str, tuple[str, int]] = {}
        self._texts: dict[tuple[str, int], list[SeenText]] = defaultdict(list)
        self.models: set[str] = set()
        self._older = self._cut = 0

    def units(self) -> Iterator[ExplainedUnit]:
        """The features in the order of their explanations."""
        for key, unit in self._units.items():
            own = [text for text in self._texts[key] if text.role == "prompt"]
            rest = [text for text in self._texts[key] if text.role != "prompt"]
            rest.sort(key=lambda text: -max(text.values))
            self._cut += max(0, len(rest) - TEXTS)
            yield replace(unit, texts=(*own, *rest[:TEXTS]))

    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        lines = []
        if self._older:
            lines.append(
                f"of several explanations of a feature the newest is kept: {self._older} left out"
            )
        if self._cut:
            lines.append(
                f"activations beyond the {TEXTS} strongest of a feature: {self._cut:,} left out"
            )
        return tuple(lines)

    def add_explanations(self, rows: Iterable[SourceObject]) -> None:
        """Rows of explanations."""
        for row in rows:
            self._add_explanation(self._key(row), row)

    def _key(self, row: SourceObject) -> tuple[str, int]:
        self.models.add(row.text("modelId", "unknown"))
        return row.text("layer"), row.whole("index")

    def _add_explanation(self, key: tuple[str, int], row: SourceObject) -> None:
        made = row.text("createdAt", "")
        if key in self._units:
            self._older += 1
            if made < self._made[key]:
                return
        self._made[key] = made
        words, place = row.text("description"), f"{key[0]} index {key[1]}"
        explainer = row.text("explanationModelName", "") or row.text("typeName", "")
        unit = ExplainedUnit(self._address(key), place, words, explainer=explainer)
        own = _own(row, "notes")
        if own is not None and (known := unit_of_row(own)).words == words:
            unit = replace(known, place=place)
        self._units[key] = unit
        if "id" in row:
            self._explanation[row.text("id")] = key
        self._add_scores(key, row.children("scores"))

    def _address(self, key: tuple[str, int]) -> str:
        source, number = key
        module = f"{source}-neurons" if source.isdigit() else source
        return self._options.places.address(module, number)

    def add_scores(self, rows: Iterable[SourceObject]) -> None:
        """Rows of scores; those of other explanations are left out."""
        for row in rows:
            key = self._explanation.get(row.text("explanationId"))
            if key is not None:
                self._add_scores(key, [row])

    def _add_scores(self, key: tuple[str, int], rows: Iterable[SourceObject]) -> None:
        scores = [score for row in rows if (score := _score(row)) is not None]
        unit = self._units[key]
        self._units[key] = replace(unit, scores=(*unit.scores, *scores))

    def add_rows(self, rows: Iterable[SourceObject]) -> None:
        """Rows of features: statistics and token logits."""
        for row in rows:
            key = self._key(row)
            if key in self._units:
                self._describe(key, row)

    def _describe(self, key: tuple[str, int], row: SourceObject) -> None:
        known = {"max": row.number("maxActApprox"), "density": row.number("frac_nonzero")}
        unit = self._units[key]
        statistics = {name: value for name, value in known.items() if value is not None}
        self._units[key] = replace(
            unit,
            statistics={**statistics, **unit.statistics},
            promoted=_logits(row, "pos_str", "pos_values"),
            suppressed=_logits(row, "neg_str", "neg_values"),
        )

    def add_activations(self, rows: Iterable[SourceObject]) -> None:
        """Rows of activations; those of features without an explanation are left out."""
        for row in rows:
            key = self._key(row)
            if key in self._units:
                self._texts[key].append(_seen_text(row))

    def add_feature(self, row: SourceObject) -> None:
        """A feature with its explanations and activations."""
        key = self._key(row)
        for explanation in row.children("explanations"):
            self._add_explanation(key, explanation)
        if key not in self._units:
            raise row.error("the feature has no explanation")
        self._describe(key, row)
        self._texts[key] += map(_seen_text, row.children("activations"))


def _seen_text(row: SourceObject) -> SeenText:
    """An activation's tokens and values, as Neuronpedia and dashboards have them."""
    tokens, values = row.texts("tokens"), row.numbers("values")
    if not tokens or len(tokens) != len(values):
        raise row.error(f"{len(tokens)} tokens with {len(values)} values")
    source, role, group = (*row.text("dataSource", "").split("/", 2), "", "")[:3]
    if source == OWN and role in ("prompt", "shown"):
        return SeenText(tokens, values, "prompt" if role == "prompt" else "shown", group)
    low, high = row.number("binMin"), row.number("binMax")
    group = "" if low is None or high is None else f"{low:.3g} to {high:.3g}"
    return SeenText(tokens, values, group=group)


def _own(row: SourceObject, name: str) -> dict[str, Any] | None:
    """What hubel wrote into a free text, if it did."""
    value = row.values.get(name)
    if not isinstance(value, str) or not value.startswith(f'{{"{OWN}"'):
        return None
    try:
        own = parse_strict_json(value)[OWN]
    except (ValueError, RecursionError):
        return None
    return own if isinstance(own, dict) else None


def _score(row: SourceObject) -> RecordedScore | None:
    value = row.number("value")
    if value is None:
        return None
    own = _own(row, "jsonDetails")
    if own is not None:
        try:
            score = unit_of_row({"unit": "mlp.0.0", "scores": [own]}).scores[0]
        except HubelError as error:
            raise row.error(str(error)) from None
        return replace(score, value=value)
    judge = row.text("explanationScoreModelName", "")
    return RecordedScore(row.text("explanationScoreTypeName", "score"), value, judge=judge)


def _logits(row: SourceObject, tokens: str, values: str) -> tuple[TokenLogit, ...]:
    pairs = zip(row.texts(tokens), row.numbers(values), strict=False)
    return tuple(TokenLogit(token, value) for token, value in pairs)
