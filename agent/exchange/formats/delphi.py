"""delphi's results (EleutherAI, 0.1.3): explanations, scores, and the cache of latents.

    run_config.json                                     settings
    explanations/MODULE_latentN.txt                     a JSON string and nothing else
    scores/SCORER/MODULE_latentN.txt                    one entry for each window that was judged
    latents/MODULE/{config.json, START_END.safetensors} where each latent fires (`delphi_cache`)
    hubel.json                                          what none of these can hold (`sidecar`)

Written are the explanations, the cache over explore, held-out r as the overall entry of a `simulation`
score, and the windows of a detection or fuzzing score where the set has them. "/" in a module is "--"
in a file's name.

Read are all of these. What delphi writes where no explanation could be read out of a reply is a
failure here, not an explanation. Its windows are drawn from the same ones as the prompt's, so none of
its scores has a holdout.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ..classification import JudgedWindow, classification_scores
from ..delphi_cache import LatentCache, PromptSampling, prompt_windows, write_cache
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
from ..source_json import SourceObject, finite, read_json, read_object

FAILURES = ("Explanation could not be parsed.", "No explanation found")
"""What delphi 0.1.3 writes in the place of an explanation."""
CLASSIFIERS = {"detection": "detection", "fuzz": "fuzzing"}
"""Folder of a score to the scorer's name here."""
MAX_FILES = 1_000_000
_NAME = re.compile(r"(?P<module>.+)_latent(?P<number>\d{1,15})\.txt")


# ---------------------------------------------------------------- writing


def write_delphi(explanations: ExplanationSet, out: Path, texts: RunTexts | None) -> list[str]:
    """Write a results folder."""
    places = {unit.unit: place for unit in explanations if (place := numbered(unit.unit))}
    explained = [unit for unit in explanations.explained if unit.unit in places]
    if not explained:
        raise UsageError("delphi numbers its units, and no unit here has a number")
    (out / "explanations").mkdir()
    for unit in explained:
        name = _file_name(places[unit.unit])
        _write(out / "explanations" / name, unit.words)
        for scorer, entries in _score_files(unit):
            (out / "scores" / scorer).mkdir(parents=True, exist_ok=True)
            _write(out / "scores" / scorer / name, entries)
    modules = sorted({places[unit.unit].module for unit in explained})
    context = 0
    if texts is not None:
        _write_caches(out / "latents", explanations, places, texts)
        context = int(texts.collected.tokens.shape[1])
    _write(out / "run_config.json", _run_config(explanations, modules, context))
    write_sidecar(out, explanations, {u: _key(place) for u, place in places.items()})
    lines = [f"what is listed above is in {SIDECAR}, which hubel reads and delphi does not"]
    if texts is None:
        lines.insert(0, "latents/: there are no activations to write")
    return lines


def _key(place: NumberedUnit) -> str:
    return f"{place.module}/{place.number}"


def _file_name(place: NumberedUnit) -> str:
    return f"{place.module.replace('/', '--')}_latent{place.number}.txt"


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8", errors="replace")


def _score_files(unit: ExplainedUnit) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Folder and content of each score that the set has in delphi's terms."""
    score = unit.score(*HEADLINE_SCORE)
    if score is not None:
        overall: dict[str, Any] = {"distance": -1, "scored_sequence_simulations": []}
        overall |= {"ev_correlation_score": score.value}
        overall |= {"rsquared_score": None, "absolute_dev_explained_score": None}
        yield "simulation", [overall]
    for folder, scorer in CLASSIFIERS.items():
        judged = [text for text in unit.texts_of("scored") if text.scorer == scorer]
        if judged:
            yield folder, list(map(_judged_window, judged))


def _judged_window(text: SeenText) -> dict[str, Any]:
    correct = None if text.answer is None else text.answer == text.active
    quantile = text.group.removeprefix("quantile ")
    distance = int(quantile) if text.active and quantile.isdigit() else -1
    return {
        "str_tokens": list(text.tokens),
        "activations": list(text.values) or [0.0] * len(text.tokens),
        "distance": distance,
        "activating": bool(text.active),
        "prediction": text.answer,
        "probability": None,
        "correct": correct,
    }


def _write_caches(
    folder: Path, explanations: ExplanationSet, places: dict[str, NumberedUnit], texts: RunTexts
) -> None:
    by_module: dict[str, dict[int, Any]] = defaultdict(dict)
    for unit in explanations:
        if unit.unit in places:
            place = places[unit.unit]
            by_module[place.module][place.number] = texts.signal(unit.unit)
    origin = explanations.origin
    about = {"model_name": origin.subject, "dataset_repo": origin.corpus}
    for module, signals in by_module.items():
        write_cache(folder / module, signals, texts.collected.tokens, about)


def _run_config(explanations: ExplanationSet, modules: list[str], context: int) -> dict[str, Any]:
    """As much of delphi's own settings as there is; its loaders read `constructor_cfg`."""
    origin = explanations.origin
    return {
        "name": explanations.name,
        "model": origin.subject,
        "sparse_model": "",
        "hookpoints": modules,
        "explainer": origin.explainer,
        "explainer_model": origin.explainer,
        "seed": origin.seed or 0,
        "constructor_cfg": {"example_ctx_len": context or 32, "min_examples": 0},
        "cache_cfg": {"dataset_repo": origin.corpus, "cache_ctx_len": context or 32},
    }


# ---------------------------------------------------------------- reading


def read_delphi(path: Path, options: ReadOptions) -> ExplanationSet:
    """Read a results folder.

    Raises:
        UsageError: a file of it cannot be read; the message names it.
    """
    reader = _DelphiReader(path, options)
    units = [reader.unit(place, file) for place, file in reader.explanation_files()]
    if not units:
        raise UsageError(
            f"{path} has no explanations/MODULE_latentN.txt; give the folder results/NAME"
        )
    origin = reader.sidecar.origin or reader.origin()
    holdout = "delphi draws the windows of its scores from those of its prompts"
    missing = lacking(units, holdout, reader.without_prompt)
    notes = (*reader.sidecar.notes(), *reader.notes())
    return ExplanationSet(path.name, origin, tuple(units), missing, notes)


class _DelphiReader:
    """Reads one results folder, unit by unit."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self._options = path, options
        self.sidecar = Sidecar.open(path)
        self._sampling = PromptSampling.read(path / "run_config.json")
        self._caches: dict[str, LatentCache] = {}
        self._unread: set[str] = set()
        self.without_prompt = "there is no latents/ folder to tell it from"
        if (path / "latents").is_dir():
            self.without_prompt = "--index I tells it from latents/"

    def explanation_files(self) -> Iterator[tuple[NumberedUnit, Path]]:
        """The units of explanations/, in the order of module and number."""
        places = []
        for number, file in enumerate((self.path / "explanations").glob("*.txt")):
            if number == MAX_FILES:
                raise UsageError(f"{file.parent} has more than {MAX_FILES:,} files; split it")
            match = _NAME.fullmatch(file.name)
            if match is None:
                raise UsageError(f"{file}: an explanation's file is named MODULE_latentN.txt")
            module = match["module"].replace("--", "/")
            places.append((NumberedUnit(module, int(match["number"])), file))
        yield from sorted(places)

    def unit(self, place: NumberedUnit, file: Path) -> ExplainedUnit:
        """One unit with its scores and, where they can be told, the windows of its prompt."""
        content = read_json(file)
        if not isinstance(content, str):
            raise UsageError(f"{file}: an explanation is a JSON string and nothing else")
        words = " ".join(content.replace("\0", " ").split())
        address = self._options.places.address(place.module, place.number)
        where = f"{place.module} latent {place.number}"
        if words in FAILURES or not words:
            return ExplainedUnit(address, where, status="failed", error=words or "an empty file")
        scores, texts = self._scores(file.name)
        if not self.sidecar.knows(_key(place)):  # hubel's explainer was shown other windows
            texts += self._prompt(place)
        unit = ExplainedUnit(address, where, words, texts=tuple(texts), scores=tuple(scores))
        return self.sidecar.merged(_key(place), unit)

    def _scores(self, name: str) -> tuple[list[RecordedScore], list[SeenText]]:
        scores: list[RecordedScore] = []
        texts: list[SeenText] = []
        for folder in sorted((self.path / "scores").glob("*/")):
            file = folder / name
            if not file.exists():
                continue
            if folder.name in CLASSIFIERS:
                scorer = CLASSIFIERS[folder.name]
                judged = [_read_judged(entry, scorer) for entry in _entries(file)]
                texts += [window.text for window in judged]
                scores += classification_scores(scorer, judged)
            elif folder.name == "simulation":
                for entry in _entries(file):
                    scores += _overall(entry)
                    texts += _simulated(entry)
            else:
                self._unread.add(folder.name)
        return scores, texts

    def _prompt(self, place: NumberedUnit) -> list[SeenText]:
        """The windows of the prompt, if cache and vocabulary are there."""
        folder = self.path / "latents" / place.module
        if not self._options.vocabulary or not folder.is_dir():
            return []
        cache = self._caches.setdefault(place.module, LatentCache(folder))
        found = cache.find(place.number)
        if found is None:
            return []
        fires, tokens = found
        if problem := self._sampling.problem(tokens.shape[1]):
            self.without_prompt = problem
            return []
        return prompt_windows(fires, tokens, self._sampling, list(self._options.vocabulary))

    def origin(self) -> SetOrigin:
        """What run_config.json says."""
        file = self.path / "run_config.json"
        if not file.exists():
            return SetOrigin("delphi", str(self.path), "delphi")
        config = read_object(file)
        subject, explainer = config.text("model", ""), config.text("explainer_model", "")
        cache = config.child("cache_cfg")
        corpus = cache.text("dataset_repo", "") if cache else ""
        return SetOrigin("delphi", str(self.path), "delphi", subject, "", corpus, explainer)

    def notes(self) -> list[str]:
        """What was left out."""
        if not self._unread:
            return []
        return [f"scores that were not read: {', '.join(sorted(self._unread))}"]


def _entries(file: Path) -> Iterator[SourceObject]:
    content = read_json(file)
    if not isinstance(content, list):
        raise UsageError(f"{file}: a score is a JSON list")
    for number, entry in enumerate(content):
        yield SourceObject(entry, f"{file}[{number}]")


def _read_judged(entry: SourceObject, scorer: str) -> JudgedWindow:
    """A window of detection or fuzzing, and the judge's probability."""
    tokens, values = entry.texts("str_tokens"), entry.numbers("activations")
    if not tokens or (values and len(values) != len(tokens)):
        raise entry.error(f"{len(tokens)} str_tokens with {len(values)} activations")
    active, distance = entry.truth("activating"), entry.number("distance")
    if active is None:
        raise entry.error("'activating' is missing, where true or false is expected")
    group = f"quantile {distance:g}" if active and distance is not None else "not active"
    answer = entry.truth("prediction")
    text = SeenText(tokens, values, "scored", group, scorer, active, answer)
    return JudgedWindow(text, entry.number("probability"))


def _overall(entry: SourceObject) -> Iterator[RecordedScore]:
    """The overall correlation of a simulation; "nan" is no score."""
    value = entry.values.get("ev_correlation_score")
    if entry.number("distance") == -1 and value is not None and value != "nan":
        number = finite(value, f"{entry.place}: ev_correlation_score")
        yield RecordedScore("simulation", number)


def _simulated(entry: SourceObject) -> Iterator[SeenText]:
    for sequence in entry.children("scored_sequence_simulations"):
        simulation = sequence.child("simulation")
        if simulation is None:
            raise sequence.error("'simulation' is missing")
        tokens, true = simulation.texts("tokens"), sequence.numbers("true_activations")
        predicted = simulation.numbers("expected_activations")
        if not len(tokens) == len(true) == len(predicted):
            raise sequence.error(
                f"{len(tokens)} tokens, {len(true)} true and {len(predicted)} predicted values"
            )
        yield SeenText(tokens, true, "scored", scorer="simulation", predicted=predicted)


def _is_delphi(path: Path) -> bool:
    return (path / "explanations").is_dir() and any((path / "explanations").glob("*_latent*.txt"))


FORMATS = (
    ExchangeFormat(
        "delphi",
        "delphi",
        {"held-out r", "texts"},
        (),
        write_delphi,
        read_delphi,
        _is_delphi,
    ),
)
