"""SAELens dashboards (SAEDashboard's batches for Neuronpedia): features with texts; read, not written.

One JSON file: model_id, layer, sae_set, sae_id_suffix, and features with their activations, token
logits and density. A dashboard has no explanations: its units are waiting for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ....tools.errors import UsageError
from ..records import ExplainedUnit, ExplanationSet, SeenText, SetOrigin, TokenLogit
from ..registry import ExchangeFormat, ReadOptions
from ..source_json import SourceObject, read_object

TEXTS = 40
"""Activations of a feature that are kept, the strongest first."""


def read_dashboard(path: Path, options: ReadOptions) -> ExplanationSet:
    """Read a batch, or a folder of batches.

    Raises:
        UsageError: a file cannot be read, or a value in it has another type.
    """
    files = sorted(path.glob("batch-*.json")) if path.is_dir() else [path]
    units: list[ExplainedUnit] = []
    models: set[str] = set()
    for file in files:
        batch = read_object(file)
        models.add(batch.text("model_id", "unknown"))
        units += _units(batch, options)
    if not units:
        raise UsageError(f"{path} has no features")
    missing = ("explanations: a dashboard has texts and token logits", "a holdout", "scores: none")
    origin = SetOrigin("saelens", str(path), "SAEDashboard", ", ".join(sorted(models)[:3]))
    return ExplanationSet(path.stem, origin, tuple(units), missing)


def _units(batch: SourceObject, options: ReadOptions) -> Iterator[ExplainedUnit]:
    source = "-".join((batch.text("layer"), batch.text("sae_set")))
    if suffix := batch.text("sae_id_suffix", ""):
        source = f"{source}-{suffix}"
    for row in batch.children("features"):
        number = row.whole("feature_index")
        density = row.number("frac_nonzero")
        texts = [_text(activation) for activation in row.children("activations")]
        texts.sort(key=lambda text: -max(text.values))
        yield ExplainedUnit(
            options.places.address(source, number),
            f"{source} index {number}",
            status="pending",
            error="a dashboard has no explanation",
            texts=tuple(texts[:TEXTS]),
            promoted=_logits(row, "pos"),
            suppressed=_logits(row, "neg"),
            statistics={} if density is None else {"density": density},
        )


def _text(row: SourceObject) -> SeenText:
    tokens, values = row.texts("tokens"), row.numbers("values")
    if not tokens or len(tokens) != len(values):
        raise row.error(f"{len(tokens)} tokens with {len(values)} values")
    low, high = row.number("bin_min"), row.number("bin_max")
    group = "" if low is None or high is None else f"{low:.3g} to {high:.3g}"
    return SeenText(tokens, values, group=group)


def _logits(row: SourceObject, sign: str) -> tuple[TokenLogit, ...]:
    pairs = zip(row.texts(f"{sign}_str"), row.numbers(f"{sign}_values"), strict=False)
    return tuple(TokenLogit(token, value) for token, value in pairs)


def _is_dashboard(path: Path) -> bool:
    files = sorted(path.glob("batch-*.json")) if path.is_dir() else [path]
    if not files or files[0].suffix != ".json":
        return False
    with files[0].open("rb") as file:
        head = file.read(1 << 16)
    return b'"sae_set"' in head and b'"features"' in head


FORMATS = (ExchangeFormat("saelens", "SAEDashboard", (), (), None, read_dashboard, _is_dashboard),)
