"""Neuronpedia's bulk files, and the JSON of a single feature.

    MODEL/SOURCE/release.jsonl, model.jsonl, sourceset.jsonl, source.jsonl
    MODEL/SOURCE/{features,explanations,activations,scores}/batch-0.jsonl.gz
    config/{explanation_type,explanation_model_type,explanation_score_type,explanation_score_model}.jsonl

A source is a layer's set of units: `10-neurons`, `10-negative-neurons`, `25-heads`, or the name of a
dictionary. `layer` holds the source and `index` is text. What has no column of its own is JSON in
`notes` of an explanation and in `jsonDetails` of a score. Neuronpedia's database refuses rows without
their creator: here it is the user that an installation has by default.

Read are a folder with such files, one file of explanations, a feature as `GET
/api/feature/MODEL/SOURCE/INDEX` answers, or a list of those. Of several explanations of a feature the
newest is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, starmap
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ..losses import ALL
from ..neuronpedia_features import OWN, NeuronpediaFeatures
from ..places import NumberedUnit, numbered
from ..records import ExplainedUnit, ExplanationSet, SetOrigin, TokenLogit, lacking, unit_row
from ..registry import ExchangeFormat, ReadOptions
from ..run_texts import RunTexts
from ..source_json import SourceObject, read_json, read_objects

_SUFFIXES = (".jsonl", ".jsonl.gz")
CREATOR = "clkht01d40000jv08hvalcvly"
"""DEFAULT_CREATOR_USER_ID of Neuronpedia's webapp (`lib/env.ts`)."""
_MADE_BY = {"creatorName": OWN, "creatorId": CREATOR}


# ---------------------------------------------------------------- writing


def write_neuronpedia(
    explanations: ExplanationSet, out: Path, _texts: RunTexts | None
) -> list[str]:
    """Write bulk files, a folder for each source."""
    origin = explanations.origin
    model = origin.subject or "unknown"
    by_source: dict[str, list[tuple[NumberedUnit, ExplainedUnit]]] = defaultdict(list)
    nameless = 0
    for unit in explanations:
        place = numbered(unit.unit)
        if place is None:
            nameless += 1
            continue
        by_source[_source_id(place.module)].append((place, unit))
    if not by_source:
        raise UsageError("Neuronpedia numbers its features, and no unit here has a number")
    for table, names in _config_names(explanations).items():
        lines = [_config_row(name, table) for name in sorted(names)]
        _write_lines(out / "config" / f"{table}.jsonl", lines)
    for source, units in by_source.items():
        _write_source(out / model / source, _BulkSource(explanations, model, source), units)
    long = sum(len(unit.words) > 512 for unit in explanations)
    lines = (
        [f"for the upload API, which takes 512 characters: {long} longer explanations"]
        if long
        else []
    )
    return [f"directions, which have no number: {nameless}", *lines] if nameless else lines


def _config_names(explanations: ExplanationSet) -> dict[str, set[str]]:
    """What rows refer to by name, which Neuronpedia wants to know first."""
    scores = [score for unit in explanations for score in unit.scores]
    explainers = {unit.explainer for unit in explanations if unit.sentence}
    return {
        "explanation_type": {f"{OWN}_{explainer}" for explainer in explainers},
        "explanation_model_type": {explainer for explainer in explainers if ":" in explainer},
        "explanation_score_type": {f"{OWN} {score.name}" for score in scores},
        "explanation_score_model": {score.judge or OWN for score in scores},
    }


def _config_row(name: str, table: str) -> dict[str, Any]:
    creator = {"creatorName": OWN} if "_model" in table else _MADE_BY
    return {"name": name, "displayName": name, "description": name, **creator}


def _source_id(module: str) -> str:
    """`10-neurons` of `layers.10.neurons`; a dictionary's own name begins with its layer, or with 0."""
    if module.startswith("layers.") and module.rpartition(".")[2].endswith(("neurons", "heads")):
        _, layer, kind = module.split(".", 2)
        return f"{layer}-{kind}"
    return module if module.partition("-")[0].isdigit() else f"0-{module}"


class _BulkSource:
    """What all rows of one source have in common."""

    def __init__(self, explanations: ExplanationSet, model: str, source: str) -> None:
        self.set, self.model, self.id = explanations, model, source
        self.made = explanations.origin.made or datetime.now(UTC).isoformat(timespec="milliseconds")

    def key(self, number: int) -> dict[str, Any]:
        """The columns by which rows find their feature."""
        return {"modelId": self.model, "layer": self.id, "index": str(number)}

    def row_id(self, *parts: object) -> str:
        """25 characters, as their ids have; the same for the same row."""
        name = "\0".join(map(str, (self.model, self.id, self.set.name, *parts)))
        return "c" + hashlib.sha256(name.encode()).hexdigest()[:24]


def _write_source(
    folder: Path, source: _BulkSource, units: list[tuple[NumberedUnit, ExplainedUnit]]
) -> None:
    set_name = source.id.partition("-")[2]
    creator, made = {"creatorId": CREATOR}, {"createdAt": source.made}
    about = {"description": source.set.origin.tool, **_MADE_BY, **made}
    unknown = {
        "layers": 0,
        "neuronsPerLayer": 0,
        "owner": "",
    }  # as Neuronpedia's own exports have it
    source_set = {"modelId": source.model, "name": set_name, "releaseName": source.set.name}
    heads = {
        "release": {"name": source.set.name, **about},
        "model": {"id": source.model, "displayName": source.model, **unknown, **creator, **made},
        "sourceset": source_set | about,
        "source": {
            "modelId": source.model,
            "id": source.id,
            "setName": set_name,
            **creator,
            **made,
        },
    }
    for name, row in heads.items():
        _write_lines(folder / f"{name}.jsonl", [row])
    explained = [(place, unit) for place, unit in units if unit.sentence]
    activations = chain.from_iterable(starmap(partial(_activations, source), units))
    scores = chain.from_iterable(starmap(partial(_score_rows, source), explained))
    tables: dict[str, Iterable[dict[str, Any]]] = {
        "features": starmap(partial(_feature, source), units),
        "explanations": starmap(partial(_explanation, source), explained),
        "activations": activations,
        "scores": scores,
    }
    for name, rows in tables.items():
        _write_lines(folder / name / "batch-0.jsonl.gz", rows)


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """JSONL, compressed where the name says so; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw:
        file = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
            file.write(line.encode("utf-8", "replace"))
        if file is not raw:
            file.close()


def _feature(source: _BulkSource, place: NumberedUnit, unit: ExplainedUnit) -> dict[str, Any]:
    known = unit.statistics
    raised, raised_by = _columns(unit.promoted)
    lowered, lowered_by = _columns(unit.suppressed)
    return {
        **source.key(place.number),
        "sourceSetName": source.id.partition("-")[2],
        "maxActApprox": known.get("max", 0.0),
        "frac_nonzero": known.get("density", 0.0),
        "pos_str": raised,
        "pos_values": raised_by,
        "neg_str": lowered,
        "neg_values": lowered_by,
        "hasVector": False,
        "createdAt": source.made,
    }


def _columns(pairs: Sequence[TokenLogit]) -> tuple[list[str], list[float]]:
    """Tokens, and the changes of their logits."""
    return [pair.token for pair in pairs], [pair.logit for pair in pairs]


def _explanation(source: _BulkSource, place: NumberedUnit, unit: ExplainedUnit) -> dict[str, Any]:
    own = unit_row(replace(unit, texts=(), scores=(), conversation=(), promoted=(), suppressed=()))
    return {
        "id": source.row_id(place.number, "explanation"),
        **source.key(place.number),
        "authorId": CREATOR,
        "description": unit.words,
        "typeName": f"{OWN}_{unit.explainer}",
        "explanationModelName": unit.explainer if ":" in unit.explainer else None,
        "notes": json.dumps({OWN: own}, ensure_ascii=False),
        "createdAt": source.made,
    }


def _activations(
    source: _BulkSource, place: NumberedUnit, unit: ExplainedUnit
) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(unit.texts):
        if not text.values:
            continue
        low, high = min(text.values), max(text.values)
        yield {
            "id": source.row_id(place.number, "activation", number),
            **source.key(place.number),
            "dataSource": "/".join((OWN, text.role, text.group)),
            "tokens": list(text.tokens),
            "values": list(text.values),
            "maxValue": high,
            "minValue": low,
            "maxValueTokenIndex": text.values.index(high),
            "creatorId": CREATOR,
            "createdAt": source.made,
        }


def _score_rows(
    source: _BulkSource, place: NumberedUnit, unit: ExplainedUnit
) -> Iterator[dict[str, Any]]:
    for number, score in enumerate(unit.scores):
        details = {OWN: {**score.__dict__, "floors": dict(score.floors)}}
        yield {
            "id": source.row_id(place.number, "score", number),
            "value": score.value,
            "explanationId": source.row_id(place.number, "explanation"),
            "explanationScoreTypeName": f"{OWN} {score.name}",
            "explanationScoreModelName": score.judge or OWN,
            "initiatedByUserId": CREATOR,
            "jsonDetails": json.dumps(details, ensure_ascii=False),
        }


# ---------------------------------------------------------------- reading


def read_neuronpedia(path: Path, options: ReadOptions) -> ExplanationSet:
    """Read bulk files or features.

    Raises:
        UsageError: a file cannot be read; the message names it.
    """
    features = NeuronpediaFeatures(options)
    if path.is_dir():
        _read_folder(path, features)
    elif path.name.endswith(_SUFFIXES):
        features.add_explanations(read_objects(path))
    else:
        content = read_json(path)
        rows = content if isinstance(content, list) else [content]
        for number, row in enumerate(rows):
            features.add_feature(SourceObject(row, f"{path}[{number}]"))
    units = tuple(features.units())
    holdout = "scores and prompts are of the same activations"
    missing = lacking(units, holdout, "no file says which activations were in the prompt")
    models = ", ".join(sorted(features.models)[:3])
    origin = SetOrigin("neuronpedia", str(path), "Neuronpedia", models)
    return ExplanationSet(path.name.partition(".")[0], origin, units, missing, features.notes())


def _read_folder(path: Path, features: NeuronpediaFeatures) -> None:
    """All tables below a folder: explanations first, since they say which features count."""
    files: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(path.rglob("batch-*.jsonl*")):
        files[file.parent.name].append(file)
    if not files["explanations"]:
        raise UsageError(
            f"{path} has no explanations/batch-N.jsonl.gz; give the folder MODEL/SOURCE"
        )
    for file in files["explanations"]:
        features.add_explanations(read_objects(file))
    for file in files["scores"]:
        features.add_scores(read_objects(file))
    for file in files["features"]:
        features.add_rows(read_objects(file))
    for file in files["activations"]:
        features.add_activations(read_objects(file))


def _is_neuronpedia(path: Path) -> bool:
    if path.is_dir():
        return any(path.rglob("explanations/batch-*.jsonl*"))
    if not path.name.endswith((".json", *_SUFFIXES)):
        return False
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            try:
                head = file.read(1 << 16)
            except (OSError, EOFError):
                return False
    return all(name in head for name in (b'"modelId"', b'"layer"', b'"index"'))


FORMATS = (
    ExchangeFormat(
        "neuronpedia",
        "Neuronpedia",
        ALL - {"directions", "failures", "conversations"},
        (),
        write_neuronpedia,
        read_neuronpedia,
        _is_neuronpedia,
    ),
)
