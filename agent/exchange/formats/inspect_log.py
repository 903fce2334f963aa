"""Inspect's log of an evaluation (inspect-ai 0.3): JSON or `.eval`; written, not read.

    task = the run, sample = a unit, input = what the explainer was shown, output = its explanation,
    target = the verdict, messages = the conversation, scores = every score with its interval and
    floors in `metadata`

A unit that failed, or was not reached, is a sample with an error and without any score. `.eval` is a
zip with the head of the log, the samples and their summaries; plain DEFLATE, which Inspect reads.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..losses import ALL
from ..records import ExplainedUnit, ExplanationSet, RecordedScore, SeenText
from ..registry import ExchangeFormat
from ..run_texts import RunTexts

VERSION = 2
SHOWN_TEXTS = 16
"""Texts in the input of a sample; further ones are counted as left out."""
_LISTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d.*_.+_.+\.json$")
"""Names of JSON logs that Inspect 0.3 lists in a folder, and takes for its tables."""
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every part of a zip, so that the same run gives the same file."""


def write_inspect(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write the log in the form that the suffix names."""
    head = _head(explanations)
    samples = [_sample(unit, explanations.origin.explainer) for unit in explanations]
    if out.suffix == ".eval":
        _write_zip(out, head, samples)
    else:
        out.write_text(_dumps({**head, "samples": samples}), encoding="utf-8", errors="replace")
    hidden = sum(max(0, len(unit.texts) - SHOWN_TEXTS) for unit in explanations)
    lines = [f"texts: {hidden:,} beyond the first {SHOWN_TEXTS} of a unit"] if hidden else []
    if out.suffix == ".json" and not _LISTED.match(out.name):
        lines.append(
            "a name that Inspect lists: its tables find JSON named TIME_TASK_ID.json only, as "
            "2026-01-31T00-00-00+00-00_task_id.json; .eval may have any name"
        )
    return lines


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)


def _write_zip(out: Path, head: dict[str, Any], samples: list[dict[str, Any]]) -> None:
    start = {name: head[name] for name in ("version", "eval", "plan")}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, value: Any) -> None:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _dumps(value).encode("utf-8", "replace"))

        add("_journal/start.json", start)
        for sample in samples:
            add(f"samples/{sample['id']}_epoch_1.json", sample)
        add("summaries.json", list(map(_summary, samples)))
        add("header.json", head)


def _head(explanations: ExplanationSet) -> dict[str, Any]:
    """The log without its samples."""
    origin, now = explanations.origin, datetime.now(UTC).isoformat(timespec="seconds")
    done = sum(unit.status == "done" for unit in explanations)
    dataset = {
        "name": origin.corpus,
        "samples": len(explanations),
        "sample_ids": [unit.unit for unit in explanations],
    }
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "created": origin.made or now,
            "task": explanations.name,
            "dataset": dataset,
            "model": f"hubel/{origin.explainer or 'unknown'}",
            "config": {},
            "metadata": {
                "subject": origin.subject,
                "revision": origin.revision,
                "tool": origin.tool,
            },
        },
        "plan": {},
        "results": {
            "total_samples": len(explanations),
            "completed_samples": done,
            "scores": list(_means(explanations)),
        },
        "stats": {"started_at": origin.made or now, "completed_at": now},
    }


def _means(explanations: ExplanationSet) -> Iterator[dict[str, Any]]:
    """Each score's mean over the units that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for unit in explanations:
        for name, score in _named(unit).items():
            values[name].append(score.value)
    for name, known in values.items():
        yield {
            "name": name,
            "scorer": name,
            "scored_samples": len(known),
            "unscored_samples": len(explanations) - len(known),
            "metrics": {"mean": {"name": "mean", "value": sum(known) / len(known)}},
        }


def _named(unit: ExplainedUnit) -> dict[str, RecordedScore]:
    """The scores of a unit by name; none of one that failed."""
    if unit.status != "done":
        return {}
    return {"/".join(filter(None, (score.name, score.judge))): score for score in unit.scores}


def _sample(unit: ExplainedUnit, explainer: str) -> dict[str, Any]:
    model = f"hubel/{explainer or 'unknown'}"
    metadata = {
        "predicate": unit.predicate,
        "headline": unit.headline,
        "tier": unit.tier,
        "p": unit.p,
        "sentence": unit.sentence,
        "statistics": dict(unit.statistics),
        "promoted": [list(pair) for pair in unit.promoted],
        "suppressed": [list(pair) for pair in unit.suppressed],
    }
    said = {"role": "assistant", "content": unit.words}
    sample: dict[str, Any] = {
        "id": unit.unit,
        "epoch": 1,
        "input": _input(unit),
        "target": " ".join(filter(None, (unit.verdict, unit.reason))),
        "messages": [{"role": turn.speaker, "content": turn.text} for turn in unit.conversation],
        "output": {"model": model, "choices": [{"message": said, "stop_reason": "stop"}]},
        "scores": {name: _score(unit, score) for name, score in _named(unit).items()},
        "metadata": metadata,
        "error": None,
    }
    if unit.status != "done":
        message = unit.error or f"{unit.status}: there is no explanation yet"
        sample["error"] = {"message": message, "traceback": message, "traceback_ansi": message}
        sample["output"] = {"model": model, "choices": []}
        sample["scores"] = {}
    return sample


def _score(unit: ExplainedUnit, score: RecordedScore) -> dict[str, Any]:
    metadata = {
        "low": score.low,
        "high": score.high,
        "floors": dict(score.floors),
        "split": score.split,
        "text": score.text,
        "judge": score.judge,
    }
    said = {"answer": unit.words, "explanation": unit.reason}
    return {"value": score.value, **said, "metadata": metadata}


def _input(unit: ExplainedUnit) -> str:
    """What the explainer was shown, with the strongest token of each text in marks."""
    texts = unit.texts_of("prompt") or list(unit.texts)
    return "\n".join([unit.unit, *map(_marked, texts[:SHOWN_TEXTS])])


def _marked(text: SeenText) -> str:
    if not text.values:
        return text.text
    before, after = text.tokens[: text.peak], text.tokens[text.peak + 1 :]
    value = text.values[text.peak]
    return f"{value:.3g}: {''.join(before)}<<{text.tokens[text.peak]}>>{''.join(after)}"


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample in the list that Inspect reads without opening it."""
    values = {name: {"value": score["value"]} for name, score in sample["scores"].items()}
    row = {name: sample[name] for name in ("id", "epoch", "input", "target")}
    row |= {"scores": values, "completed": True}
    if sample["error"] is not None:
        row["error"] = sample["error"]["message"]
    return row


FORMATS = (ExchangeFormat("inspect", "Inspect", ALL, (".json", ".eval"), write_inspect),)
