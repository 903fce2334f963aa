"""`hubel show`: a run's table, or one target with its hypotheses and experiments, in the terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ....tools.files.untrusted_text import escape_control
from ...circuits.config import is_circuit
from ...circuits.stored import stored
from ...runlog.config import RunConfig, find_run
from .. import output
from ..circuit.runs import show_circuit
from ..work import headline, show_rows

NAME = "show"
HELP = "a run's table, or one target, in the terminal"
CALLS_ONLY = "mcp"
"""The explainer that a log of `hubel mcp` names: it has calls and no targets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and perhaps one of its targets."""
    parser.add_argument("run", help="a run's name, or its folder")
    parser.add_argument("unit", nargs="?", help="one target of the run")


def run(args: argparse.Namespace) -> int:
    """Show from the log; no subject and no index are needed."""
    folder = find_run(args.run, args.runs)
    if is_circuit(folder):
        show_circuit(stored(folder), as_json=args.json)
        return 0
    if RunConfig.load(folder).explainer.name == CALLS_ONLY:
        _show_calls(folder, as_json=args.json)
        return 0
    if args.unit is None:
        show_rows(folder, as_json=args.json)
    else:
        _show_target(folder, args.unit, as_json=args.json)
    return 0


def _show_calls(folder: Path, *, as_json: bool) -> None:
    """A log of `hubel mcp`: the calls in their order, and what each was answered."""
    from ...runlog.log import RunLog

    calls = RunLog(folder, writable=False).all("call")
    if not calls and not as_json:
        output.line(f"{folder.name} is a log of `hubel mcp`, and no call was made yet")
    for number, call in calls.items():
        asked, answer = call["request"], call["answer"]
        if as_json:
            output.json_line(
                {"call": int(number or 0), "seconds": call["seconds"], **asked, **answer}
            )
            continue
        output.line(
            f"{number}. {asked['instrument']} {escape_control(json.dumps(asked['arguments'], ensure_ascii=False))}"
        )
        for part in answer["text"].splitlines():
            output.line(f"   {escape_control(part)}")


def _show_target(folder: Path, target: str, *, as_json: bool) -> None:
    from ...runlog.views import connect, rows

    found = rows(folder, target)
    if not found:
        raise UsageError(
            f"{folder.name} has no target {target!r}; `hubel show {folder.name}` lists them"
        )
    if as_json:
        output.json_line(found[0])
        return
    row = found[0]
    output.line(f"{target}: {row['verdict'] or row['status']}")
    output.line(f"  {row['explanation'] or row['error'] or row['reason'] or 'no explanation'}")
    if row["explanation"] and row["reason"]:
        output.line(f"  {row['reason']}")
    output.line(f"  predicate: {row['predicate']}")
    _show_scores(row)
    with connect(folder) as db:
        _show_hypotheses(db, target)
    _show_conversation(folder, target)


def _show_scores(row: dict[str, Any]) -> None:
    columns = (
        "scorer",
        "split",
        "text",
        "value",
        "low",
        "high",
        "shuffled",
        "other",
        "token lookup",
        "trivial",
    )
    floors = ("shuffled", "other", "token_lookup", "trivial")
    numbers = [
        (
            s["scorer"],
            s["split"],
            s["text"],
            *(_short(s[k]) for k in ("value", "low", "high")),
            *(_short(s["floors"][f]) for f in floors),
        )
        for s in row["scores"]
    ]
    if headline(row):
        output.table(columns, numbers, title="scores", right=columns[3:])
    if said := _disagreement(row):
        output.line(f"  {said}")


def _disagreement(row: dict[str, Any]) -> str:
    """Whether the sentence, read by a language model, says something else than the predicate; "" where it is one."""
    found = {
        s["scorer"]: s for s in row["scores"] if (s["split"], s["text"]) == ("holdout", "random")
    }
    predicate, sentence = found.get("simulation"), found.get("llm_simulation")
    if not predicate or not sentence or None in (predicate["low"], sentence["low"]):
        return ""
    apart = predicate["low"] > sentence["high"] or sentence["low"] > predicate["high"]
    how = (
        "disagree: the sentence does not say what the predicate does"
        if apart
        else "agree within their intervals"
    )
    return f"predicate (r {predicate['value']:.2f}) and sentence as read (r {sentence['value']:.2f}) {how}"


def _show_hypotheses(db: Any, target: str) -> None:
    columns = ("id", "origin", "select r", "for", "against", "sentence")
    found = db.execute(
        """select h.id, h.origin, (f.data->>'score')::double, count(*) filter (e.outcome = 'for'),
                  count(*) filter (e.outcome = 'against'), h.sentence
           from hypotheses h left join events f on f.event = 'feedback' and f.target = h.target and f.id = h.id
                left join experiments e on e.target = h.target and e.hypothesis = h.id
           where h.target = ? group by all order by min(h.seq)""",
        [target],
    ).fetchall()
    output.table(
        columns,
        [(i, o, _short(r), n, m, s) for i, o, r, n, m, s in found],
        title="hypotheses",
        right=columns[2:5],
    )
    tried = db.execute(
        """select id, hypothesis, relation, side, passage->>'text', observed, compared, outcome
           from experiments where target = ? order by seq""",
        [target],
    ).fetchall()
    output.table(
        ("id", "of", "predicts", "side", "text", "observed", "against", "outcome"),
        [(i, h, r, s, t, _short(o), _compared(c), v) for i, h, r, s, t, o, c, v in tried],
        title="experiments (the prediction stood in the log before the call)",
    )


def _show_conversation(folder: Path, target: str) -> None:
    """What a language model was shown and did, and which of its claims no evidence supports."""
    from ...runlog.log import RunLog
    from ...runlog.transcript import claims, transcript

    log = RunLog(folder, writable=False)
    for line in transcript(log, target):
        output.line(f"\n-- {line.speaker}{f' ({line.cost})' if line.cost else ''}")
        for part in line.text.splitlines():
            output.line(f"   {escape_control(part)}")
    traced = claims(log, target)
    if traced:
        rows = [(c.text, ", ".join(c.evidence) or "UNSUPPORTED") for c in traced]
        output.table(("claim", "evidence"), rows, title="numbers and quotations of the conclusion")


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _compared(value: str | None) -> str | None:
    parsed = None if value is None else json.loads(value)
    if isinstance(parsed, list):
        return " to ".join(f"{v:.2f}" for v in parsed)
    return None if parsed is None else f"{parsed:.2f}"
