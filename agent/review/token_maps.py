"""Token maps and histograms from what a run has collected of explore and select. No index and no subject are needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...tools.errors import HubelError
from ...tools.subject.address import Unit
from ..runlog.layout import COLLECTED, LEXICON

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.index import Collected

BINS = 60
OPEN = 4
"""Runs whose activations are kept open."""
MISSES, MOST_MISSES = 12, 50
NO_MAPS: dict[str, Any] = {
    "split": None,
    "scale": None,
    "predicted_scale": None,
    "total": 0,
    "maps": [],
}


class Data(NamedTuple):
    """What a run has collected. `lexicon` is None while the run has not ended."""

    explore: Collected
    select: Collected
    lexicon: Lexicon | None


_open: OrderedDict[tuple[Path, int], Data] = OrderedDict()
_lock = threading.Lock()


def data_of(folder: Path) -> Data | None:
    """A run's activations, opened once; None when they are not there."""
    from ...tools.index import Collected

    path = folder / COLLECTED
    try:
        key = (
            folder,
            (path / "select.safetensors").stat().st_mtime_ns + (folder / LEXICON).is_dir(),
        )
    except OSError:
        return None
    with _lock:
        if key not in _open:
            explore, select = (Collected.open(path, split) for split in ("explore", "select"))
            _open[key] = Data(explore, select, _lexicon(folder))
            while len(_open) > OPEN:
                _open.popitem(last=False)
        _open.move_to_end(key)
        return _open[key]


def _lexicon(folder: Path) -> Lexicon | None:
    from ..runlog.lexicon import stored_lexicon

    try:
        return stored_lexicon(folder)
    except HubelError:
        return None


def token_map(
    tokens: Sequence[str],
    values: Sequence[float] | np.ndarray,
    *,
    split: str,
    predicted: Sequence[float] | np.ndarray | None = None,
    peak: int | None = None,
    source: str = "",
) -> dict[str, Any]:
    """A context as the interface gives it."""
    plain = [clean(value) for value in values]
    strongest = max(range(len(plain)), key=lambda i: (i > 0, abs(plain[i] or 0.0)), default=0)
    return {
        "tokens": list(tokens),
        "values": plain,
        "predicted": None if predicted is None else [clean(value) for value in predicted],
        "peak": strongest if peak is None else peak,
        "source": source,
        "split": split,
    }


def clean(value: Any) -> float | None:
    """A number with as many digits as a reader needs; null where it is none."""
    number = float(value)
    return float(f"{number:.5g}") if number - number == 0 else None


def exemplars(
    target: str, predicate: str | None, observation: Mapping[str, Any], data: Data | None
) -> dict[str, list[dict[str, Any]]]:
    """Exemplars of both sides as the explainer was shown them; without any, the strongest that were collected."""
    unit = Unit.parse(target)
    found: dict[str, list[dict[str, Any]]] = {"+": [], "-": []}
    for side in found:
        listed = (observation.get(f"exemplars{side}") or {}).get("exemplars") or ()
        found[side] = [
            _exemplar(shown, unit, predicate, data) for shown in listed if shown.get("tokens")
        ]
    if not (found["+"] or found["-"]) and data is not None:
        raw = _activations(data.explore, unit)
        if raw is not None and data.lexicon is not None:
            found["+"] = _strongest(raw, unit, predicate, data) if unit.side != "-" else []
            found["-"] = (
                _strongest(-raw, unit, predicate, data, -1)
                if unit.side != "+" and unit.site != "head"
                else []
            )
    return found


def _exemplar(
    shown: Mapping[str, Any], unit: Unit, predicate: str | None, data: Data | None
) -> dict[str, Any]:
    context, predicted = shown.get("context"), None
    if data is not None and predicate and isinstance(context, int):
        rows = np.flatnonzero(data.explore.context == context)
        if len(rows) == 1:
            predicted = _signed(_predict(predicate, data.explore, data.lexicon, rows), unit)
    values = shown["activations"]
    return token_map(
        shown["tokens"],
        values,
        split="explore",
        predicted=None if predicted is None else predicted[0][: len(values)],
        peak=shown.get("peak"),
        source="" if context is None else f"explore, context {context}",
    )


def _strongest(
    signal: np.ndarray, unit: Unit, predicate: str | None, data: Data, sign: int = 1, most: int = 10
) -> list[Any]:
    """The contexts of different documents with the largest value, strongest first."""
    explore = data.explore
    peaks = np.where(explore.mask, signal, -np.inf).max(axis=1)
    seen: dict[int, int] = {}
    for context in np.argsort(-peaks, kind="stable"):
        seen.setdefault(int(explore.document[context]), int(context))
        if len(seen) == most:
            break
    chosen = [c for c in seen.values() if peaks[c] > 0]
    rows = np.array(chosen, dtype=int)
    predicted = (
        _signed(_predict(predicate, explore, data.lexicon, rows), unit) if predicate else None
    )
    return [
        map_of(
            explore,
            c,
            sign * signal[c],
            data.lexicon,
            "explore",
            None if predicted is None else predicted[i],
        )
        for i, c in enumerate(chosen)
    ]


def map_of(
    collected: Collected,
    context: int,
    values: np.ndarray,
    lexicon: Lexicon | None,
    split: str,
    predicted: np.ndarray | None = None,
    peak: int | None = None,
) -> dict[str, Any]:
    """A collected context."""
    n = int(collected.length[context])
    strings = lexicon.strings if lexicon is not None else None
    tokens = [
        strings[int(t)] if strings is not None else f"‹{t}›" for t in collected.tokens[context, :n]
    ]
    source = f"{split}, document {int(collected.document[context])}"
    shown = None if predicted is None else predicted[:n]
    return token_map(tokens, values[:n], split=split, predicted=shown, source=source, peak=peak)


def _predict(
    printed: str, collected: Collected, lexicon: Lexicon | None, rows: np.ndarray
) -> np.ndarray | None:
    """What a predicate predicts on some contexts; None when it cannot be run with what the run keeps."""
    from ..runlog.lexicon import predict

    if lexicon is None or not len(rows):
        return None
    try:
        return predict(printed, lexicon, collected.tokens[rows], collected.length[rows])
    except (HubelError, KeyError, IndexError, ValueError):
        return None


def _signed(signal: np.ndarray | None, unit: Unit) -> np.ndarray | None:
    """A signal with the sign of the raw activation, so that what stands in one map has one sign convention."""
    return -signal if signal is not None and unit.side == "-" else signal


def _activations(collected: Collected, unit: Unit) -> np.ndarray | None:
    try:
        return collected.activations(unit.unsided)
    except HubelError:
        return None


def histogram(
    target: str, observation: Mapping[str, Any], data: Data | None
) -> dict[str, Any] | None:
    """Raw activations at every scored token of explore, with the ranges that the exemplars come from."""
    raw = _activations(data.explore, Unit.parse(target)) if data is not None else None
    if data is None or raw is None:
        return None
    scored = raw[data.explore.mask]
    scored = scored[np.isfinite(scored)]
    if not len(scored):
        return None
    counts, edges = np.histogram(scored, bins=BINS)
    ranges = [
        found
        for kind in ("exemplars", "middling")
        for side in "+-"
        if (found := _range(observation, kind, side))
    ]
    return {"edges": [clean(e) for e in edges], "counts": counts.tolist(), "ranges": ranges}


def _range(observation: Mapping[str, Any], kind: str, side: str) -> dict[str, Any] | None:
    found = (observation.get(kind + side) or {}).get("exemplars") or ()
    peaks = [shown["activations"][shown["peak"]] for shown in found if shown.get("activations")]
    label = f"{'strongest' if kind == 'exemplars' else 'middling'} {side}"
    return {"label": label, "low": clean(min(peaks)), "high": clean(max(peaks))} if peaks else None


def statistics(target: str, observation: Mapping[str, Any], data: Data | None) -> dict[str, Any]:
    """What the index said of the raw activation, or what the collected tokens of explore say."""
    told = observation.get("statistics")
    if told:
        return {k: v for k, v in told.items() if k != "unit"}
    raw = _activations(data.explore, Unit.parse(target)) if data is not None else None
    if data is None or raw is None:
        return {}
    scored = raw[data.explore.mask]
    if not len(scored):
        return {}
    q = np.quantile(scored, [0.01, 0.5, 0.9, 0.99])
    named = {
        "n": len(scored),
        "mean": scored.mean(),
        "std": scored.std(),
        "min": scored.min(),
        "max": scored.max(),
    }
    named |= dict(zip(("q01", "q50", "q90", "q99"), q, strict=True))
    return {name: clean(value) for name, value in named.items()}


def misses(
    target: str,
    predicate: str,
    collected: Collected,
    lexicon: Lexicon | None,
    split: str,
    most: int,
    offset: int = 0,
) -> dict[str, Any]:
    """True beside predicted, the contexts with the largest single miss first.

    Prediction and truth are compared in standard deviations of each, since correlation asks for no
    scale.
    """
    unit = Unit.parse(target)
    rows = np.arange(len(collected.tokens))
    predicted = _predict(predicate, collected, lexicon, rows)
    raw = _activations(collected, unit)
    if predicted is None or raw is None:
        return NO_MAPS | {"split": split}
    true = unit.signal(raw)
    miss = np.where(
        collected.mask,
        np.abs(_standard(true, collected.mask) - _standard(predicted, collected.mask)),
        0,
    )
    order = np.argsort(-miss.max(axis=1), kind="stable")[offset : offset + min(most, MOST_MISSES)]
    scale, predicted_scale = (
        clean(np.abs(values[collected.mask]).max(initial=0)) for values in (true, predicted)
    )
    maps = [
        map_of(collected, int(c), true[c], lexicon, split, predicted[c], peak=int(miss[c].argmax()))
        for c in order
    ]
    return {
        "split": split,
        "scale": scale,
        "predicted_scale": predicted_scale,
        "total": len(rows),
        "maps": maps,
    }


def _standard(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    inside = values[mask].astype(np.float64)
    return (values - inside.mean()) / (inside.std() or 1.0)
