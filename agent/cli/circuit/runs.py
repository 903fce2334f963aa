"""Circuit runs in the terminal, for `circuit run`, `resume`, `show`, `replay` and `runs`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.errors import BudgetReached
from ...circuits.config import CircuitConfig
from ...circuits.result import CircuitResult, FoundCircuit, IntervalRow, read_result
from ...runlog.layout import CIRCUIT, CIRCUIT_DRAWING, CIRCUIT_REPORT, PIECES, run_argument
from ...runlog.model_config import BudgetConfig
from ...runlog.progress import progress
from .. import options, output
from ..chosen_engine import chosen_engine
from ..run_outcome import continuable

if TYPE_CHECKING:
    from ....tools.subject import Subject


def finish_circuit(folder: Path, args: argparse.Namespace, subject: Subject | None = None) -> int:
    """Finish a run and show its result. That a subject cannot do a task is a result too.

    Args:
        subject: the run's, if it is loaded already.

    Raises:
        BudgetReached, NoRoles: the message says how to continue.
    """
    from ...circuits.roles import NoRoles
    from ...circuits.run import execute_circuit_run

    limits = BudgetConfig(options.budget(args))
    try:
        with (
            continuable(folder),
            progress(quiet=args.quiet) as reporter,
            chosen_engine(options.engine(args), folder / PIECES, reporter, [folder]) as engine,
        ):
            result = execute_circuit_run(folder, reporter, subject, limits=limits, engine=engine)
    except BudgetReached as error:
        raise BudgetReached(
            f"{error}: `hubel resume {run_argument(folder)}` continues; give a larger --max-... if needed"
        ) from None
    except NoRoles as error:
        raise NoRoles(
            f"{error}; `hubel resume {run_argument(folder)}` asks again and repeats no measurement"
        ) from None
    show_circuit(result, as_json=args.json)
    if not args.quiet:
        has_drawing = result["verdict"] != "cannot do"
        drawing = f", {folder / CIRCUIT_DRAWING}" if has_drawing else ""
        output.note(f"{folder / CIRCUIT_REPORT}{drawing}")
    return 0


def show_circuit(result: CircuitResult, *, as_json: bool) -> None:
    """Print circuit.json as one line, or as tables."""
    if as_json:
        output.json_line(result)
        return
    output.line(f"{result['task']} on {result['subject']}: {result['verdict']}")
    output.line(f"  {result['reason']}")
    if result["verdict"] != "cannot do":
        _show_imported(result)
        _show_roles(result)
        _show_curve(result)
        _show_panel(result)
        _show_interchange(result)
        _show_doubts(result)


def _show_imported(circuit: FoundCircuit) -> None:
    """Where an imported circuit comes from, what is not kept of the file, and what is missing."""
    if row := circuit.get("imported"):
        output.line(
            f"  imported ({row['format']}): {row['listed_edges']:,} edges listed, "
            f"{row['scored_edges']:,} scored; circuit chosen by {row['chosen_by']}"
        )
        for note in row["notes"]:
            output.line(f"  {note}")
        for missing in row["missing"]:
            output.line(f"  not in the file: {missing}")


def _show_roles(circuit: FoundCircuit) -> None:
    """Every component with a role, and how many of its predictions held."""
    rows: list[tuple[object, ...]] = []
    for node in circuit["nodes"]:
        if node["role"]:
            outcomes = [prediction["outcome"] for prediction in node["predictions"]]
            effect = f"{node['effect']['value']:+.2f}" if node["effect"] else ""
            held = f"{outcomes.count('for')} of {len(outcomes)}"
            status, description = node["role_status"], node["description"]
            rows.append((node["id"], node["role"], effect, held, status, description))
    columns = ("component", "role", "effect", "predictions held", "", "from discovery prompts")
    title = "roles, tested on held-out prompts"
    output.table(columns, rows, title=title, right=("effect", "predictions held"))
    roles = circuit["roles"]
    placebo = ""
    if roles["placebo"] is not None:
        placebo = f"; the predictions hold of {roles['placebo']:.0%} of other components"
    output.line(f"{roles['kept']} roles kept, {roles['dropped']} dropped{placebo}\n")


def _show_curve(circuit: FoundCircuit) -> None:
    """f at every size of the circuit, the summaries of that curve, and the weight of opposing edges."""
    rows = [
        (
            f"{row['share']:.1%}",
            row["edges"],
            f"{row['f']:.2f}",
            f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['random_f']:.2f}",
        )
        for row in circuit["curve"]
    ]
    columns = ("edges", "number", "f", "95 % interval", "random circuit")
    output.table(columns, rows, title="faithfulness, held out", right=columns)
    output.line(f"CMD {circuit['cmd']:.3f} (0 is best), CPR {circuit['cpr']:.3f}")
    balance = circuit["balance"]
    output.line(
        f"{balance['opposing_edges']:,} of the circuit's {circuit['chosen_edges']:,} edges work "
        f"against the answer; their weight in the ranking is {balance['weight']:.2f}\n"
    )


def _show_panel(circuit: FoundCircuit) -> None:
    rows = [
        (row["level"], row["ablation"], row["direction"], f"{row['value']:.2f}", _span(row))
        for row in circuit["panel"]
    ]
    columns = ("level", "ablation", "direction", "share", "95 % interval")
    output.table(columns, rows, title="noising and denoising", right=columns[3:])


def _show_interchange(circuit: FoundCircuit) -> None:
    rows = [
        (
            row["role"],
            row["component"],
            row["writes_as"],
            f"{row['change']['value']:+.2f}",
            f"{row['random_change']['value']:+.2f}",
        )
        for row in circuit["interchange"]
    ]
    if rows:
        columns = ("role", "component", "writes as", "change", "as a stranger")
        output.table(columns, rows, title="interchange within a role", right=columns[3:])


def _show_doubts(circuit: FoundCircuit) -> None:
    shared = circuit["rival"]["least_shared_of_the_faithful"]
    rivals = "none as faithful was found"
    if shared is not None:
        rivals = f"one as faithful shares {shared:.0%} of the edges"
    stability = circuit["stability"]
    overlap = "how circuits of resampled prompts overlap is not known"
    if stability is not None:
        overlap = f"circuits of resampled prompts overlap by {stability['jaccard']:.2f}"
    output.line(
        f"without the circuit f is {circuit['completeness']['value']:.2f}; {overlap}; rivals: {rivals}"
    )


def _span(row: IntervalRow) -> str:
    return f"{row['low']:.2f} to {row['high']:.2f}"


def replay_of_circuit(folder: Path, args: argparse.Namespace) -> int:
    """Replay a run; returns 0 if every recomputed value equals that in circuit.json, else 1."""
    from ...circuits.replay import replay_circuit

    with progress(quiet=args.quiet) as reporter:
        replay = replay_circuit(folder, reporter)
    if args.json:
        output.json_line(replay.result)
    elif not replay.mismatches:
        output.line(
            "the log holds: everything computed again is the same "
            + ("bit for bit" if replay.bitwise else "to 1e-6")
        )
    for mismatch in replay.mismatches:
        output.note(f"hubel: mismatch: {mismatch}")
    return 1 if replay.mismatches else 0


def row_of_circuit(folder: Path) -> dict[str, Any]:
    """The row of a circuit run in `hubel runs`."""
    config = CircuitConfig.load(folder)
    result = read_result(folder) if (folder / CIRCUIT).exists() else None
    verdict = result and result["verdict"]
    return {
        "name": folder.name,
        "subject": config.subject,
        "explainer": config.explainer.name,
        "targets": 1,
        "done": int(result is not None),
        "failed": 0,
        **{name: int(verdict == name) for name in ("kept", "rejected", "inconclusive")},
        "mean_r": None,
        "error": None,
        "circuit": {
            "task": config.task,
            "verdict": verdict,
            "roles": (result and result["roles"]) or None,
        },
    }
