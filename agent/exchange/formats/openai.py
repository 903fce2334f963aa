"""OpenAI's automated interpretability: neuron records and scored explanations.

    neurons/LAYER/N.json            NeuronRecord: strongest and random records, tokens with activations
    explanations/LAYER/N.jsonl      one line, NeuronSimulationResults: explanations with their scores
    hubel.json                      what these cannot hold (`sidecar`)

It knows neurons only, by two numbers. Units that have a side and heads get folders of their own
(`neurons.negative-neurons/`, `explanations.heads/`), which a loader is given by their path.

Read, the strongest records are dealt into train, calibration, valid and test with stride 4, as the
package does when it splits: the first of every four went into the explainer's prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....tools.errors import UsageError
from ..losses import HEADLINE_SCORE
from ..places import NumberedUnit, numbered
from ..records import (
    ExplainedUnit,
    ExplanationSet,
    RecordedScore,
    SeenText,
    SetOrigin,
    lacking,
)
from ..registry import ExchangeFormat, ReadOptions
from ..run_texts import RunTexts
from ..sidecar import SIDECAR, Sidecar, write_sidecar
from ..source_json import SourceObject, finite, read_object, read_objects

STRIDE = 4
"""Splits of the strongest records; the first is `train`."""
NEEDED = {"top": 20, "random": 15}
"""Records that the package asks for, with five examples in each split."""
_MODULE = re.compile(r"layers\.(?P<layer>\d+)\.(?P<kind>.+)")
_FILE = re.compile(r"(?P<number>\d{1,15})\.jsonl")


# ---------------------------------------------------------------- writing


def write_openai(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write both folders."""
    names: dict[str, str] = {}
    left_out = short = 0
    for unit in explanations:
        place = numbered(unit.unit)
        match = _MODULE.fullmatch(place.module) if place else None
        if place is None or match is None:
            left_out += 1
            continue
        kind, layer = match["kind"], int(match["layer"])
        suffix = "" if kind == "neurons" else f".{kind}"
        folder = out / f"neurons{suffix}" / str(layer)
        folder.mkdir(parents=True, exist_ok=True)
        record = _neuron_record(unit, layer, place.number)
        _write(folder / f"{place.number}.json", record)
        sizes = (record["most_positive_activation_records"], record["random_sample"])
        short += any(len(s) < need for s, need in zip(sizes, NEEDED.values(), strict=True))
        if unit.sentence:
            folder = out / f"explanations{suffix}" / str(layer)
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{place.number}.jsonl", _results(unit, layer, place.number))
            names[unit.unit] = f"{kind}/{layer}/{place.number}"
    if not names:
        raise UsageError(
            "OpenAI's records are of neurons, and no unit here has a layer and a number"
        )
    write_sidecar(out, explanations, names)
    lines = [f"what is listed above is in {SIDECAR}, which hubel reads and others do not"]
    if left_out:
        lines.insert(0, f"units without a layer and a number: {left_out}")
    if short:
        lines.insert(
            0, f"records: {short} units have fewer than the 20 strongest and 15 random ones"
        )
    return lines


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", errors="replace")


def _neuron_id(layer: int, number: int) -> dict[str, Any]:
    return {"dataclass_name": "NeuronId", "layer_index": layer, "neuron_index": number}


def _neuron_record(unit: ExplainedUnit, layer: int, number: int) -> dict[str, Any]:
    """Strongest contexts first, by their largest value; moments as far as known."""
    texts = [text for text in unit.texts if text.values]
    random = [text for text in texts if text.group == "random"]
    strongest = [text for text in texts if text.group.startswith("top")]
    strongest.sort(key=lambda text: -max(text.values))
    unique = {
        text.tokens: text for text in reversed(strongest)
    }  # the explainer's may be there twice
    strongest = [text for text in strongest if unique[text.tokens] is text]
    std = unit.statistics.get("std")
    return {
        "dataclass_name": "NeuronRecord",
        "neuron_id": _neuron_id(layer, number),
        "random_sample": list(map(_activation_record, random)),
        "random_sample_by_quantile": None,
        "quantile_boundaries": None,
        "mean": unit.statistics.get("mean"),
        "variance": None if std is None else std**2,
        "skewness": None,
        "kurtosis": None,
        "most_positive_activation_records": list(map(_activation_record, strongest)),
    }


def _activation_record(text: SeenText) -> dict[str, Any]:
    values = {"tokens": list(text.tokens), "activations": list(text.values)}
    return {"dataclass_name": "ActivationRecord", **values}


def _results(unit: ExplainedUnit, layer: int, number: int) -> dict[str, Any]:
    score = unit.score(*HEADLINE_SCORE)
    simulation: dict[str, Any] = {
        "dataclass_name": "ScoredSimulation",
        "scored_sequence_simulations": list(map(_sequence, _simulated(unit))),
        "ev_correlation_score": score.value if score else None,
        "rsquared_score": None,
        "absolute_dev_explained_score": None,
    }
    explanation = {"explanation": unit.words, "scored_simulation": simulation}
    return {
        "dataclass_name": "NeuronSimulationResults",
        "neuron_id": _neuron_id(layer, number),
        "scored_explanations": [{"dataclass_name": "ScoredExplanation", **explanation}],
    }


def _simulated(unit: ExplainedUnit) -> list[SeenText]:
    return [text for text in unit.texts_of("scored") if text.predicted]


def _sequence(text: SeenText) -> dict[str, Any]:
    predicted = list(text.predicted)
    simulation = {
        "dataclass_name": "SequenceSimulation",
        "tokens": list(text.tokens),
        "expected_activations": predicted,
        "activation_scale": "neuron_activations",
        "distribution_values": [[value] for value in predicted],
        "distribution_probabilities": [[1.0] for _ in predicted],
        "uncalibrated_simulation": None,
    }
    spread = np.std(predicted) > 0 and np.std(text.values) > 0
    r = float(np.corrcoef(predicted, text.values)[0, 1]) if spread else 0.0
    scores = {
        "ev_correlation_score": r,
        "rsquared_score": None,
        "absolute_dev_explained_score": None,
    }
    true = {"simulation": simulation, "true_activations": list(text.values)}
    return {"dataclass_name": "ScoredSequenceSimulation", **true, **scores}


# ---------------------------------------------------------------- reading


def read_openai(path: Path, _options: ReadOptions) -> ExplanationSet:
    """Read the explanations under a folder, with the neuron records next to them if there are any.

    Raises:
        UsageError: a file cannot be read; the message names it.
    """
    reader = _OpenAIReader(path if path.is_dir() else path.parent)
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    units = [unit for file in files if _FILE.fullmatch(file.name) for unit in reader.units(file)]
    if not units:
        raise UsageError(
            f"{path} has no explanations/LAYER/NEURON.jsonl; give the folder that has them"
        )
    holdout = "random and strongest records of the same text are dealt to all splits"
    missing = lacking(units, holdout, "there are no neuron records next to the explanations")
    origin = reader.sidecar.origin or SetOrigin("openai", str(path), "automated-interpretability")
    return ExplanationSet(
        path.stem, origin, tuple(units), missing, (*reader.sidecar.notes(), *reader.notes())
    )


class _OpenAIReader:
    """Reads the files below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.sidecar = Sidecar.open(root)
        self._further = 0

    def units(self, file: Path) -> Iterator[ExplainedUnit]:
        """The unit of a file: its best explanation; further ones of the same neuron are counted."""
        for row in read_objects(file):
            id = row.child("neuron_id")
            if id is None:
                raise row.error(
                    "'neuron_id' is missing, where the layer and number of a neuron are"
                )
            layer, number = id.whole("layer_index"), id.whole("neuron_index")
            kind = file.parent.parent.name.partition(".")[2] or "neurons"
            place = NumberedUnit(f"layers.{layer}.{kind}", number)
            yield self._unit(place, row, file, layer)

    def _unit(
        self, place: NumberedUnit, row: SourceObject, file: Path, layer: int
    ) -> ExplainedUnit:
        kind = place.module.rpartition(".")[2]
        address = _address(layer, kind, place.number)
        where = f"layer {layer} neuron {place.number}"
        scored = list(row.children("scored_explanations"))
        if not scored:
            return ExplainedUnit(address, where, status="failed", error="no scored explanation")
        rated = [(explanation, _overall(explanation)) for explanation in scored]
        self._further += len(rated) - 1
        best, value = max(rated, key=lambda pair: -2.0 if pair[1] is None else pair[1])
        words = best.text("explanation")
        if not words:
            return ExplainedUnit(address, where, status="failed", error="an empty explanation")
        scores = () if value is None else (RecordedScore("simulation", value),)
        texts = (*_records(_record_file(file)), *_scored_texts(best))
        unit = ExplainedUnit(address, where, words, texts=texts, scores=scores)
        return self.sidecar.merged(f"{kind}/{layer}/{place.number}", unit)

    def notes(self) -> list[str]:
        """What was left out."""
        if not self._further:
            return []
        return [
            f"of several explanations of a neuron the best scored is kept: {self._further} left out"
        ]


def _address(layer: int, kind: str, number: int) -> str:
    side = {"negative-neurons": "-", "positive-neurons": "+"}.get(kind, "")
    return f"{'head' if kind == 'heads' else 'mlp'}.{layer}.{number}{side}"


def _overall(explanation: SourceObject) -> float | None:
    """The correlation over all sequences; NaN is written as null, and is no score."""
    simulation = explanation.child("scored_simulation")
    if simulation is None or simulation.values.get("ev_correlation_score") in (None, "nan"):
        return None
    place = f"{simulation.place}: ev_correlation_score"
    return finite(simulation.values["ev_correlation_score"], place)


def _scored_texts(explanation: SourceObject) -> Iterator[SeenText]:
    simulation = explanation.child("scored_simulation")
    for sequence in simulation.children("scored_sequence_simulations") if simulation else ():
        inner = sequence.child("simulation")
        if inner is None:
            raise sequence.error("'simulation' is missing")
        tokens, true = inner.texts("tokens"), sequence.numbers("true_activations")
        predicted = inner.numbers("expected_activations")
        if not len(tokens) == len(true) == len(predicted):
            counts = (
                f"{len(tokens)} tokens, {len(true)} true and {len(predicted)} expected activations"
            )
            raise sequence.error(counts)
        yield SeenText(tokens, true, "scored", scorer="simulation", predicted=predicted)


def _record_file(file: Path) -> Path:
    """Where the neuron record of an explanation's file is."""
    folder = file.parent.parent
    name = folder.name.replace("explanations", "neurons", 1)
    return folder.parent / name / file.parent.name / f"{file.stem}.json"


def _records(file: Path) -> Iterator[SeenText]:
    """The records of a neuron; every fourth of the strongest was in the prompt."""
    if not file.exists():
        return
    record = read_object(file)
    for number, row in enumerate(record.children("most_positive_activation_records")):
        yield _seen(row, "prompt" if number % STRIDE == 0 else "shown", "top")
    for row in record.children("random_sample"):
        yield _seen(row, "shown", "random")


def _seen(row: SourceObject, role: Any, group: str) -> SeenText:
    tokens, values = row.texts("tokens"), row.numbers("activations")
    if not tokens or len(tokens) != len(values):
        raise row.error(f"{len(tokens)} tokens with {len(values)} activations")
    return SeenText(tokens, values, role, group)


def _is_openai(path: Path) -> bool:
    files: Sequence[Path] = [path]
    if path.is_dir():
        files = sorted(path.glob("explanations*/*/*.jsonl")) or sorted(path.glob("*/*.jsonl"))
    if not files or not _FILE.fullmatch(files[0].name):
        return False
    with files[0].open("rb") as file:
        return b"scored_explanations" in file.read(1 << 20)


FORMATS = (
    ExchangeFormat(
        "openai",
        "OpenAI's neuron explainer",
        {"held-out r", "texts"},
        (),
        write_openai,
        read_openai,
        _is_openai,
    ),
)
