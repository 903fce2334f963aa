"""The table of a run's targets, and the line below it: what `run`, `resume`, `demo` and `show` print.

A run that records the parts of its explanations has a tier and a headline first. Older runs have the
whole sentence; what they do not record is said once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runlog.config import RunConfig
from ..runlog.reviews import Reviews
from ..runlog.spending import spending_summary
from ..runlog.tiers import TIERS
from ..runlog.verdict_score import random_text_scores, verdict_score
from . import output

if TYPE_CHECKING:
    from ..runlog.views import TargetRow

COLUMNS = (
    "target",
    "tier",
    "headline",
    "held-out r",
    "95 % interval",
    "r@3",
    "meaning",
    "list",
    "verdict",
)
OLD_COLUMNS = (
    "target",
    "side",
    "held-out r",
    "95 % interval",
    "token lookup",
    "p",
    "verdict",
    "explanation",
)
NOT_RECORDED = "not recorded by the version that made this run: tier, headline, scores of the parts, list floor"


def show_targets(folder: Path, *, as_json: bool) -> None:
    """A run's targets: JSON lines, or a table and a line of totals."""
    from ..runlog.views import calls_before_run, target_rows

    targets = target_rows(folder)
    if as_json:
        reviews = Reviews(folder)
        for row in targets:
            output.json_line({**row, "reviews": reviews.rows(row["target"])})
        return
    if targets and (warning := targets[0]["subject_warning"]):
        output.line(f"warning: {warning}")
    if has_parts(targets):
        _show_table(targets)
    else:
        output.table(OLD_COLUMNS, [_old_cells(row) for row in targets], right=OLD_COLUMNS[2:6])
    if targets and (reasons := targets[0]["left_out"]):
        output.line(f"left out of the search: {'; '.join(reasons)}")
    if line := subject_line(RunConfig.load(folder).subject):
        output.line(line)
    output.line(summary(targets, calls_before_run(folder)))
    if not has_parts(targets) and any(row["explanation"] for row in targets):
        output.line(NOT_RECORDED)


def subject_line(subject: Mapping[str, str]) -> str:
    """What a subject is where its name alone does not say it, as of quantised weights; else ""."""
    name, title = subject.get("name", ""), subject.get("title", "")
    return f"subject: {title} ({subject.get('revision', '')})" if title not in ("", name) else ""


def has_parts(rows: Sequence[TargetRow]) -> bool:
    """Whether the run records the parts of its explanations, as older versions did not."""
    return any(row["headline"] is not None for row in rows)


def _show_table(rows: Sequence[TargetRow]) -> None:
    notes = [_note(row) for row in rows]
    columns = (*COLUMNS, "note") if any(notes) else COLUMNS
    cells = [
        (*_cells(row), note or None)[: len(columns)] for row, note in zip(rows, notes, strict=True)
    ]
    output.table(columns, cells, right=COLUMNS[3:8])


def _cells(row: TargetRow) -> tuple[object, ...]:
    scores, score = random_text_scores(row), verdict_score(row)
    return (
        row["target"],
        row["tier"],
        row["headline"] or None,
        score and output.two_decimals(score["value"]),
        _interval(score),
        _value(scores.get("headline")),
        _value(scores.get("meaning")),
        score and output.two_decimals(score["floors"].get("list")),
        row["verdict"] or row["status"],
    )


def _note(row: TargetRow) -> str:
    """What a reader of the row has to know besides: a failure, no explanation, an artefact."""
    if row["error"]:
        return f"failed: {row['error']}"
    if not row["explanation"]:
        return row["reason"] or ""
    return f"artefact: {row['artefact']}" if row["artefact"] else ""


def _old_cells(row: TargetRow) -> tuple[object, ...]:
    failure = row["error"] and f"failed: {row['error']}"
    explanation = row["explanation"] or failure or row["reason"]
    begin = (row["target"], row["side"])
    score = verdict_score(row)
    if score is None:
        return (*begin, None, None, None, None, row["verdict"] or row["status"], explanation)
    r, lookup = output.two_decimals(score["value"]), score["floors"]["token_lookup"]
    p = f"{row['p']:.1g}" if row["p"] is not None else None
    shown = (r, _interval(score), output.two_decimals(lookup), p, row["verdict"], explanation)
    return (*begin, *shown)


def _value(score: Mapping[str, Any] | None) -> str | None:
    return None if score is None else output.two_decimals(score["value"])


def _interval(score: Mapping[str, Any] | None) -> str | None:
    if score is None or score["low"] is None:
        return None
    return f"{score['low']:.2f} to {score['high']:.2f}"


def summary(targets: Sequence[TargetRow], checks: int = 0) -> str:
    """One line: verdicts, failures, tiers, mean held-out scores, and what language models cost.

    Args:
        checks: requests that checked the models before the run.
    """
    verdicts = Counter(row["verdict"] for row in targets)
    status = Counter(row["status"] for row in targets)
    counts = {name: verdicts[name] for name in ("kept", "rejected", "inconclusive")}
    # "pending" of a verdict: the target has ended, but others have not
    counts |= {"explained without a verdict yet": verdicts["pending"]}
    counts |= {name: status[name] for name in ("failed", "pending")}
    parts = [f"{n} {name}" for name, n in counts.items() if n or name == "kept"]
    line = f"{output.count(len(targets), 'target')}: {', '.join(parts)}"
    tiers = Counter(row["tier"] for row in targets)
    if listed := [f"{tiers[name]} {name}" for name in TIERS if any(map(tiers.get, TIERS))]:
        line += f"; {', '.join(listed)}"
    scores = [score for row in targets if (score := verdict_score(row))]
    if scores:
        mean = sum(score["value"] for score in scores) / len(scores)
        line += f"; mean held-out r {mean:.3f} over {len(scores)} of {len(targets)} targets"
        line += _means_of_parts(targets)
    return line + spending_summary(list(targets), checks)


def _means_of_parts(targets: Sequence[TargetRow]) -> str:
    """The mean scores of the parts and of the list floor, "" where they are not recorded."""
    by_scorer = [random_text_scores(row) for row in targets]
    values: dict[str, list[float]] = {"meaning": [], "headline": [], "list": []}
    for scores in by_scorer:
        for name in ("meaning", "headline"):
            if name in scores:
                values[name].append(scores[name]["value"])
        floor = scores["simulation"]["floors"].get("list") if "simulation" in scores else None
        if floor is not None:
            values["list"].append(floor)
    means = [f"{name} {sum(some) / len(some):.3f}" for name, some in values.items() if some]
    return f" ({', '.join(means)})" if means else ""
