"""`hubel show`: a run's table, one target with its hypotheses and experiments, or where the time went."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...circuits.config import is_circuit
from ...circuits.result import read_result
from ...exchange.config import is_imported
from ...runlog.config import RunConfig, find_run
from ...runlog.layout import run_argument
from ...runlog.reviews import Reviews
from ...runlog.verdict_score import random_text_scores, verdict_score
from ...studies.config import is_study
from .. import output
from ..circuit.runs import show_circuit
from ..exit_status import DONE
from ..imported_set import show_imported
from ..layers_table import show_layers
from ..output import two_decimals
from ..readable_run import readable_run
from ..reviews_table import show_reviews
from ..study.tables import show_study
from ..target_explanation import show_explanation
from ..targets_table import show_targets
from ..timing_table import show_timing

if TYPE_CHECKING:
    import duckdb

    from ...runlog.views import TargetRow

NAME = "show"
HELP = "print a run's table, or one target"
CALLS_ONLY = "mcp"
"""Explainer name in the log of `hubel mcp`, which has calls and no targets."""
SCORE_COLUMNS = (
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
    "list",
    "rotated",
)
FLOORS = ("shuffled", "other", "token_lookup", "trivial", "list", "rotated")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and perhaps one of its targets."""
    parser.add_argument("run", help="name or folder of a run")
    parser.add_argument("unit", nargs="?", help="one target of the run (default: a table of all)")
    parser.add_argument(
        "--reviews",
        action="store_true",
        help="what people said instead, one row for each review that was not taken back",
    )
    parser.add_argument(
        "--by-layer", action="store_true", help="one row for each layer instead of each target"
    )
    parser.add_argument("--csv", action="store_true", help="with --reviews: write CSV")
    parser.add_argument(
        "--timing", action="store_true", help="where the time of the run went, phase by phase"
    )


def run(args: argparse.Namespace) -> int:
    """Print from the log; needs neither subject nor index."""
    folder = find_run(args.run, args.runs)
    with readable_run(folder):
        _show(folder, args)
    return DONE


def _show(folder: Path, args: argparse.Namespace) -> None:
    if is_imported(folder):
        if args.csv or args.timing or args.reviews:
            raise UsageError(f"{folder.name} was imported: it has no reviews and no times")
        show_imported(folder, args.unit, as_json=args.json)
        return
    if args.csv and not args.reviews:
        raise UsageError("--csv is for --reviews; --json writes everything else for programs")
    if args.csv and args.json:
        raise UsageError("give --csv or --json, not both")
    if args.timing:
        if args.unit is not None or args.reviews:
            raise UsageError("--timing is about a whole run; leave out the target and --reviews")
        show_timing(folder, as_json=args.json)
        return
    if args.reviews:
        show_reviews(folder, args.unit, as_json=args.json, as_csv=args.csv)
        return
    if is_circuit(folder):
        show_circuit(read_result(folder), as_json=args.json)
    elif is_study(folder):
        show_study(folder, as_json=args.json)
    elif RunConfig.load(folder).explainer.name == CALLS_ONLY:
        _show_calls(folder, as_json=args.json)
    elif args.by_layer:
        if args.unit is not None:
            raise UsageError("--by-layer is about a whole run; leave out the target")
        show_layers(folder, as_json=args.json)
    elif args.unit is None:
        show_targets(folder, as_json=args.json)
    else:
        _show_target(folder, args.unit, as_json=args.json)


def _show_calls(folder: Path, *, as_json: bool) -> None:
    """The calls in a log of `hubel mcp`, in order, each with its answer."""
    from ...runlog.log import RunLog

    calls = RunLog(folder, writable=False).all("call")
    if not calls and not as_json:
        output.line(f"{folder.name} is a log of `hubel mcp` without any call yet")
    for number, call in calls.items():
        request, answer = call["request"], call["answer"]
        if as_json:
            row = {"call": int(number or 0), "seconds": call["seconds"], **request, **answer}
            output.json_line(row)
            continue
        arguments = json.dumps(request["arguments"], ensure_ascii=False)
        output.line(f"{number}. {request['instrument']} {arguments}")
        for line in answer["text"].splitlines():
            output.line(f"   {line}")


def _show_target(folder: Path, target: str, *, as_json: bool) -> None:
    """Everything about one target: scores, hypotheses, experiments and the conversation."""
    from ...runlog.views import connect, target_rows

    matches = target_rows(folder, target)
    if not matches:
        raise UsageError(
            f"{folder.name} has no target {target!r}; `hubel show {run_argument(folder)}` lists them"
        )
    row = matches[0]
    reviews = Reviews(folder).rows(target)
    if as_json:
        output.json_line({**row, "reviews": reviews})
        return
    with connect(folder) as db:
        show_explanation(folder, db, row)
        _show_scores(row)
        _show_hypotheses(db, target)
        _show_experiments(db, target)
    _show_conversation(folder, target)
    if reviews:
        show_reviews(folder, target, as_json=False, as_csv=False)


def _show_scores(row: TargetRow) -> None:
    if verdict_score(row):
        cells = []
        for score in row["scores"]:
            value = (two_decimals(score[key]) for key in ("value", "low", "high"))
            floors = (two_decimals(score["floors"][floor]) for floor in FLOORS)
            cells.append((score["scorer"], score["split"], score["text"], *value, *floors))
        output.table(SCORE_COLUMNS, cells, title="scores", right=SCORE_COLUMNS[3:])
    if comparison := _compare_predicate_and_sentence(row):
        output.line(f"  {comparison}")


def _compare_predicate_and_sentence(row: TargetRow) -> str:
    """Whether the words, as a language model reads them, mean what the predicate computes; "" if unknown."""
    scores = random_text_scores(row)
    predicate, sentence = scores.get("simulation"), scores.get("llm_simulation")
    if not predicate or not sentence or None in (predicate["low"], sentence["low"]):
        return ""
    words = "the gist" if row["gist"] else "the sentence"
    apart = predicate["low"] > sentence["high"] or sentence["low"] > predicate["high"]
    outcome = (
        f"disagree: {words} does not say what the predicate does"
        if apart
        else "agree within their intervals"
    )
    return (
        f"predicate (r {predicate['value']:.2f}) and {words[4:]} as read "
        f"(r {sentence['value']:.2f}) {outcome}"
    )


def _show_hypotheses(db: duckdb.DuckDBPyConnection, target: str) -> None:
    columns = ("id", "origin", "select r", "for", "against", "sentence")
    hypotheses = db.execute(
        """select h.id, h.origin, (f.data->>'score')::double, count(*) filter (e.outcome = 'for'),
                  count(*) filter (e.outcome = 'against'), h.sentence
           from hypotheses h left join events f on f.event = 'feedback' and f.target = h.target and f.id = h.id
                left join experiments e on e.target = h.target and e.hypothesis = h.id
           where h.target = ? group by all order by min(h.seq)""",
        [target],
    ).fetchall()
    cells = [(id, origin, two_decimals(r), *rest) for id, origin, r, *rest in hypotheses]
    output.table(columns, cells, title="hypotheses", right=columns[2:5])


def _show_experiments(db: duckdb.DuckDBPyConnection, target: str) -> None:
    experiments = db.execute(
        """select id, hypothesis, relation, side, passage->>'text', observed, compared, outcome
           from experiments where target = ? order by seq""",
        [target],
    ).fetchall()
    cells = [
        (*call, two_decimals(observed), _compared(compared), outcome)
        for *call, observed, compared, outcome in experiments
    ]
    output.table(
        ("id", "of", "predicts", "side", "text", "observed", "against", "outcome"),
        cells,
        title="experiments (each prediction was logged before the call)",
    )


def _show_conversation(folder: Path, target: str) -> None:
    """What a language model was shown and did, and which of its claims no evidence supports."""
    from ...runlog.log import RunLog
    from ...runlog.transcript import traced_claims, transcript

    log = RunLog(folder, writable=False)
    for entry in transcript(log, target):
        output.line(f"\n-- {entry.speaker}{f' ({entry.cost})' if entry.cost else ''}")
        for line in entry.text.splitlines():
            output.line(f"   {line}")
    if traced := traced_claims(log, target):
        cells = [(claim.text, ", ".join(claim.evidence) or "UNSUPPORTED") for claim in traced]
        title = "numbers and quotations of the conclusion"
        output.table(("claim", "evidence"), cells, title=title)


def _compared(value: str | None) -> str | None:
    """The threshold or interval that an observation was compared with, from its JSON."""
    parsed = None if value is None else json.loads(value)
    if isinstance(parsed, list):
        return " to ".join(f"{bound:.2f}" for bound in parsed)
    return two_decimals(parsed)
