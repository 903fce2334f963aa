"""Token maps and histograms from the activations that a run has collected; no index and no subject is needed."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float, Int

from ...tools.errors import HubelError
from ...tools.subject.address import Unit
from ..runlog.data_files import check_folder
from ..runlog.layout import COLLECTED, LEXICON

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.index import Collected

BINS = 60
MAX_OPEN = 4
"""Runs whose activations are kept open."""
DEFAULT_ERRORS, MAX_ERRORS = 12, 50
"""Contexts with the largest errors in one answer."""


class TokenMap(TypedDict):
    """A context with a value for each token. `peak` is the token to look at first."""

    tokens: list[str]
    values: list[float | None]
    predicted: list[float | None] | None
    peak: int
    source: str
    split: str


class ErrorMaps(TypedDict):
    """Contexts with the largest errors of a predicate. The scales are the largest absolute values."""

    split: str
    scale: float | None
    predicted_scale: float | None
    total: int
    maps: list[TokenMap]


class CollectedData(NamedTuple):
    """What a run has collected. `lexicon` is None while the run has not ended."""

    explore: Collected
    select: Collected
    lexicon: Lexicon | None


_open: OrderedDict[tuple[Path, int], CollectedData] = OrderedDict()
_lock = threading.Lock()


def collected_data(folder: Path) -> CollectedData | None:
    """A run's activations, opened once; None when they are not there.

    Raises:
        CorruptError: the files are damaged.
    """
    from ...tools.index import Collected

    path = folder / COLLECTED
    try:
        changed = (path / "select.safetensors").stat().st_mtime_ns
    except OSError:
        return None
    key = folder, changed + (folder / LEXICON).is_dir()
    with _lock:
        if key not in _open:
            check_folder(folder, COLLECTED)
            explore, select = (Collected.open(path, split) for split in ("explore", "select"))
            _open[key] = CollectedData(explore, select, _stored_lexicon(folder))
            while len(_open) > MAX_OPEN:
                _open.popitem(last=False)
        _open.move_to_end(key)
        return _open[key]


def _stored_lexicon(folder: Path) -> Lexicon | None:
    """The run's lexicon, None before its end; raises CorruptError if it is damaged."""
    from ..runlog.lexicon import stored_lexicon

    return stored_lexicon(folder) if (folder / LEXICON).is_dir() else None


# ---------------------------------------------------------------- one map


def token_map(
    tokens: Sequence[str],
    values: Sequence[float] | Float[np.ndarray, " token"],
    *,
    split: str,
    predicted: Sequence[float] | Float[np.ndarray, " token"] | None = None,
    peak: int | None = None,
    source: str = "",
) -> TokenMap:
    """A context as the page gets it.

    Args:
        peak: the token to look at first; by default the strongest one after the first.
    """
    rounded = [rounded_or_none(value) for value in values]
    if peak is None:
        # The first token of a context often has an extreme activation that means nothing.
        strength = [(i > 0, abs(value or 0.0)) for i, value in enumerate(rounded)]
        peak = max(range(len(rounded)), key=strength.__getitem__, default=0)
    return TokenMap(
        tokens=list(tokens),
        values=rounded,
        predicted=None if predicted is None else [rounded_or_none(value) for value in predicted],
        peak=peak,
        source=source,
        split=split,
    )


def rounded_or_none(value: Any) -> float | None:
    """A number with as many digits as a reader needs; None for NaN and infinities."""
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None


def map_of_context(
    collected: Collected,
    context: int,
    values: Float[np.ndarray, " token"],
    lexicon: Lexicon | None,
    split: str,
    predicted: Float[np.ndarray, " token"] | None,
    peak: int | None = None,
) -> TokenMap:
    """The token map of one collected context; ids take the place of tokens without a lexicon."""
    n = int(collected.length[context])
    ids = collected.tokens[context, :n]
    tokens = [f"‹{id}›" if lexicon is None else lexicon.strings[int(id)] for id in ids]
    source = f"{split}, document {int(collected.document[context])}"
    prediction = None if predicted is None else predicted[:n]
    return token_map(
        tokens, values[:n], split=split, predicted=prediction, source=source, peak=peak
    )


# ---------------------------------------------------------------- what is collected of a unit


def run_predicate(
    predicate: str | None,
    collected: Collected,
    lexicon: Lexicon | None,
    rows: Int[np.ndarray, " context"],
) -> Float[np.ndarray, "context seq"] | None:
    """What a predicate predicts; None if it cannot be run with what the run keeps."""
    from ..runlog.lexicon import predict

    if not predicate or lexicon is None or not len(rows):
        return None
    try:
        return predict(predicate, lexicon, collected.tokens[rows], collected.length[rows])
    except (HubelError, KeyError, IndexError, ValueError):
        return None


def activations_of(collected: Collected, unit: Unit) -> Float[np.ndarray, "context seq"] | None:
    """Raw activations of a unit; None if the run did not collect it."""
    try:
        return collected.activations(unit.unsided)
    except HubelError:
        return None


# ---------------------------------------------------------------- distribution


def has_peak(exemplar: Mapping[str, Any]) -> bool:
    """Whether the number of a logged exemplar's strongest token is that of one of its activations."""
    activations, peak = exemplar.get("activations") or (), exemplar.get("peak")
    return peak is not None and 0 <= peak < len(activations)


def histogram(
    unit: Unit, observation: Mapping[str, Any], data: CollectedData | None
) -> dict[str, Any] | None:
    """Raw activations at every scored token of explore, with the ranges that the exemplars come from."""
    scored = _scored_values(unit, data)
    if scored is None:
        return None
    scored = scored[np.isfinite(scored)]
    if not len(scored):
        return None
    counts, edges = np.histogram(scored, bins=BINS)
    ranges = []
    for kind, label in (("exemplars", "strongest"), ("middling", "middling")):
        for side in "+-":
            listed = (observation.get(kind + side) or {}).get("exemplars") or ()
            peaks = [e["activations"][e["peak"]] for e in listed if has_peak(e)]
            if peaks:
                low, high = rounded_or_none(min(peaks)), rounded_or_none(max(peaks))
                ranges.append({"label": f"{label} {side}", "low": low, "high": high})
    edges_shown = [rounded_or_none(edge) for edge in edges]
    return {"edges": edges_shown, "counts": counts.tolist(), "ranges": ranges}


def statistics(
    unit: Unit, observation: Mapping[str, Any], data: CollectedData | None
) -> dict[str, Any]:
    """Statistics of the raw activation from the index, or else from the collected tokens of explore."""
    if from_index := observation.get("statistics"):
        return {name: value for name, value in from_index.items() if name != "unit"}
    scored = _scored_values(unit, data)
    if scored is None or not len(scored):
        return {}
    q01, q50, q90, q99 = np.quantile(scored, [0.01, 0.5, 0.9, 0.99])
    values = {
        "n": len(scored),
        "mean": scored.mean(),
        "std": scored.std(),
        "min": scored.min(),
        "max": scored.max(),
        "q01": q01,
        "q50": q50,
        "q90": q90,
        "q99": q99,
    }
    return {name: rounded_or_none(value) for name, value in values.items()}


def _scored_values(unit: Unit, data: CollectedData | None) -> Float[np.ndarray, " token"] | None:
    raw = activations_of(data.explore, unit) if data is not None else None
    return None if data is None or raw is None else raw[data.explore.mask]


# ---------------------------------------------------------------- worst errors


def no_maps(split: str) -> ErrorMaps:
    """The answer where nothing can be predicted."""
    return ErrorMaps(split=split, scale=None, predicted_scale=None, total=0, maps=[])


def worst_errors(
    unit: Unit,
    predicate: str,
    collected: Collected,
    lexicon: Lexicon | None,
    split: str,
    limit: int,
    offset: int = 0,
) -> ErrorMaps:
    """True and predicted activations, the contexts with the largest error at one token first.

    Both are standardized before they are compared, since correlation does not depend on scale.
    """
    rows = np.arange(len(collected.tokens))
    predicted = run_predicate(predicate, collected, lexicon, rows)
    raw = activations_of(collected, unit)
    if predicted is None or raw is None:
        return no_maps(split)
    true, mask = unit.signal(raw), collected.mask
    error = np.abs(_standardized(true, mask) - _standardized(predicted, mask))
    error = np.where(mask, error, 0)
    order = np.argsort(-error.max(axis=1), kind="stable")[offset : offset + min(limit, MAX_ERRORS)]
    maps = []
    for context in map(int, order):
        peak = int(error[context].argmax())
        values, prediction = true[context], predicted[context]
        maps.append(map_of_context(collected, context, values, lexicon, split, prediction, peak))
    return ErrorMaps(
        split=split,
        scale=_scale(true, mask),
        predicted_scale=_scale(predicted, mask),
        total=len(rows),
        maps=maps,
    )


def _scale(values: np.ndarray, mask: np.ndarray) -> float | None:
    return rounded_or_none(np.abs(values[mask]).max(initial=0))


def _standardized(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scored = values[mask].astype(np.float64)
    return (values - scored.mean()) / (scored.std() or 1.0)
