"""A run as an explanation set: what its log says of each target, in the words of `records`.

1. Rows of targets and their scores come from the views, as `hubel show --json` has them.
2. Scores of `hubel eval` are added where they are of the explanation that the run concluded with.
3. What the explainer was shown at the start is text of the role `prompt`; further contexts of explore
   are `shown`. Text of select and holdout stays in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import UsageError
from ...tools.subject.address import Unit
from ..runlog.config import RunConfig
from ..runlog.config_file import read_settings
from ..runlog.log import RunLog
from ..runlog.transcript import TranscriptLine, transcript
from ..runlog.views import target_rows
from .records import (
    ExplainedUnit,
    ExplanationSet,
    RecordedScore,
    SaidTurn,
    SeenText,
    SetOrigin,
    TokenLogit,
)

if TYPE_CHECKING:
    from ..runlog.views import TargetRow
    from .run_texts import RunTexts

_SPEAKERS = {
    "program": "user",
    "model": "assistant",
    "second look": "assistant",
    "instrument": "tool",
}
_EXEMPLARS = ("exemplars+", "exemplars-", "middling+", "middling-")


def set_of_run(folder: Path, texts: RunTexts | None = None) -> ExplanationSet:
    """The explanations of a run.

    Args:
        texts: further text to show; None for none.

    Raises:
        UsageError: the folder is no run of units.
        CorruptError: the run's files cannot be read.
    """
    kind = read_settings(folder).get("kind", "units")
    if kind != "units":
        raise UsageError(f"{folder.name} is a {kind} run, which has no explanations of units")
    config = RunConfig.load(folder)
    log = RunLog(folder, writable=False)
    explainer = config.explainer.name
    units = tuple(_unit(row, log, explainer, texts, config.seed) for row in target_rows(folder))
    origin = SetOrigin(
        "run",
        folder.name,
        f"hubel {config.versions.get('hubel', '')}".strip(),
        config.subject.get("name", ""),
        config.subject.get("revision", ""),
        config.corpus.get("name", ""),
        explainer,
        config.seed,
    )
    return ExplanationSet(folder.name, origin, units)


def _unit(
    row: TargetRow, log: RunLog, explainer: str, texts: RunTexts | None, seed: int
) -> ExplainedUnit:
    target = row["target"]
    observation = log.get("observation", target) or {}
    seen = list(_observed(observation, target))
    if texts is not None:
        seen += texts.of_unit(target)
    lens = observation.get("logit_lens") or {}
    return ExplainedUnit(
        unit=target,
        sentence=row["explanation"] or "",
        predicate=row["predicate"] or "",
        gist=row["gist"] or "",
        headline=row["headline"] or "",
        explainer=explainer,
        status=row["status"],
        error=row["error"] or "",
        verdict=row["verdict"] or "",
        reason=row["reason"] or "",
        tier=row["tier"] or "",
        p=row["p"],
        texts=tuple(seen),
        scores=tuple(_scores(row, log)),
        promoted=_logits(lens.get("promoted")),
        suppressed=_logits(lens.get("suppressed")),
        statistics=_numbers(observation.get("statistics") or {}),
        conversation=tuple(map(_said, transcript(log, target))),
    )


def _scores(row: TargetRow, log: RunLog) -> Iterator[RecordedScore]:
    """The run's own scores, then those of `hubel eval` that it does not have."""
    known: set[tuple[str, str, str, str]] = set()
    evaluations = log.all("evaluation", row["target"]).values()
    rated = [(evaluation, score) for evaluation in evaluations for score in evaluation["scores"]]
    own = [({"judge": ""}, score) for score in row["scores"]]
    for evaluation, score in [*own, *rated]:
        if evaluation.get("corpus") or not _is_of(evaluation, row):
            continue
        judge = evaluation["judge"] if evaluation["judge"] != "predicate" else ""
        name = (score["scorer"], score["split"], score["text"], judge)
        if name not in known:
            known.add(name)
            yield _score(score, judge)


def _is_of(evaluation: Mapping[str, Any], row: TargetRow) -> bool:
    """Whether what was evaluated is the explanation that the run concluded with."""
    words = row["gist"] or row["explanation"]
    return evaluation.get("explanation", words) == words and (
        evaluation.get("predicate", row["predicate"]) == row["predicate"]
    )


def _score(score: Mapping[str, Any], judge: str) -> RecordedScore:
    floors = {name: value for name, value in score["floors"].items() if value is not None}
    numbers = (score["value"], score["split"], score["text"], score["low"], score["high"])
    return RecordedScore(score["scorer"], *numbers, floors, judge)


def _observed(observation: Mapping[str, Any], target: str) -> Iterator[SeenText]:
    """The exemplars that the explainer was shown, those of the explained side first."""
    unit = Unit.parse(target)
    names = sorted(_EXEMPLARS, key=lambda name: name.endswith("-") != (unit.side == "-"))
    for name in names:
        for exemplar in (observation.get(name) or {}).get("exemplars", ()):
            values = tuple(_signal(unit, exemplar["activations"]))
            group = "top" if name.startswith("exemplars") else "middling"
            yield SeenText(tuple(exemplar["tokens"]), values, "prompt", group + name[-1])


def _signal(unit: Unit, activations: Iterable[float]) -> Iterator[float]:
    """What is explained of raw activations: all of it, or the part on the unit's side."""
    for value in activations:
        if unit.side != "both":
            value = max(value if unit.side == "+" else -value, 0.0)
        yield float(value)


def _logits(lens: Mapping[str, Any] | None) -> tuple[TokenLogit, ...]:
    if not lens:
        return ()
    pairs = zip(lens["tokens"], lens["logits"], strict=True)
    return tuple(TokenLogit(token, float(logit)) for token, logit in pairs)


def _numbers(statistics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in statistics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _said(line: TranscriptLine) -> SaidTurn:
    return SaidTurn(_SPEAKERS.get(line.speaker, "user"), line.text)
