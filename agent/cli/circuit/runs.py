"""Circuit runs in the terminal: run one, show one; also what `resume`, `show`, `replay` and `runs` do with one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ....tools.errors import BudgetReached
from ....tools.files.untrusted_text import escape_control
from ...circuits.config import CircuitConfig
from ...runlog.model_config import BudgetConfig
from ...runlog.progress import progress
from .. import options, output

CHANGES = ("change", "random_change")


def finish_circuit(folder: Path, args: argparse.Namespace) -> int:
    """Work on a circuit run to its end and show it; that a subject cannot do a task is an answer
    too.

    Raises:
        BudgetReached: says how to go on; NoRoles as well.
    """
    from ...circuits.roles import NoRoles
    from ...circuits.run import work_on_circuit
    from ...runlog.layout import CIRCUIT_DRAWING, CIRCUIT_REPORT

    try:
        with progress(quiet=args.quiet) as reporter:
            found = work_on_circuit(folder, reporter, limits=BudgetConfig(options.budget(args)))
    except BudgetReached as reached:
        raise BudgetReached(
            f"{reached}: `hubel resume {folder.name}` goes on, with a larger --max-... if you give one"
        ) from None
    except NoRoles as nothing:
        raise NoRoles(
            f"{nothing}; `hubel resume {folder.name}` asks again, and measures nothing twice"
        ) from None
    show_circuit(found, as_json=args.json)
    if not args.quiet:
        drawn = f", {folder / CIRCUIT_DRAWING}" if found["nodes"] else ""
        sys.stderr.write(f"{folder / CIRCUIT_REPORT}{drawn}\n")
    return 0


def show_circuit(found: dict[str, Any], *, as_json: bool) -> None:
    """circuit.json as one line, or its tables."""
    if as_json:
        output.json_line(found)
        return
    output.line(f"{found['task']} on {found['subject']}: {found['verdict']}")
    output.line(f"  {found['reason']}")
    if not found["nodes"]:
        return
    _show_roles(found)
    _show_curve(found)
    _show_doubts(found)


def _show_roles(found: dict[str, Any]) -> None:
    rows = [
        (
            node["id"],
            node["role"],
            f"{node['effect']['value']:+.2f}",
            f"{sum(p['outcome'] == 'for' for p in node['predictions'])} of {len(node['predictions'])}",
            node["role_status"],
            node["description"],
        )
        for node in found["nodes"]
        if node["role"]
    ]
    columns = ("component", "role", "effect", "predictions held", "", "from discovery prompts")
    output.table(
        columns,
        rows,
        title="roles, tested on held-out prompts",
        right=("effect", "predictions held"),
    )
    roles = found["roles"]
    placebo = (
        ""
        if roles["placebo"] is None
        else f"; the predictions hold of {roles['placebo']:.0%} of other components"
    )
    output.line(f"{roles['kept']} roles kept, {roles['dropped']} dropped{placebo}\n")


def _show_curve(found: dict[str, Any]) -> None:
    rows = [
        (
            f"{row['share']:.1%}",
            row["edges"],
            f"{row['f']:.2f}",
            f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['random_f']:.2f}",
        )
        for row in found["curve"]
    ]
    columns = ("edges", "number", "f", "95 % interval", "random circuit")
    output.table(columns, rows, title="faithfulness, held out", right=columns)
    output.line(f"CMD {found['cmd']:.3f} (0 is best), CPR {found['cpr']:.3f}")
    balance = found["balance"]
    output.line(
        f"{balance['opposing_edges']:,} of the circuit's {found['chosen_edges']:,} edges work against the answer; in "
        f"the ranking they count {balance['weight']:.2f} times\n"
    )


def _show_doubts(found: dict[str, Any]) -> None:
    rows = [
        (
            row["level"],
            row["ablation"],
            row["direction"],
            f"{row['value']:.2f}",
            f"{row['low']:.2f} to {row['high']:.2f}",
        )
        for row in found["panel"]
    ]
    columns = ("level", "ablation", "direction", "share", "95 % interval")
    output.table(columns, rows, title="noising and denoising", right=columns[3:])
    swapped = [
        (
            row["role"],
            row["component"],
            row["writes_as"],
            f"{row['change']['value']:+.2f}",
            f"{row['random_change']['value']:+.2f}",
        )
        for row in found["interchange"]
    ]
    if swapped:
        columns = ("role", "component", "writes as", "change", "as a stranger")
        output.table(columns, swapped, title="interchange within a role", right=columns[3:])
    rival = found["rival"]["least_shared_of_the_faithful"]
    said = "none as faithful was found" if rival is None else f"one as faithful shares {rival:.0%}"
    completeness = found["completeness"]["value"]
    output.line(
        f"without the circuit f is {completeness:.2f}; circuits of resampled prompts overlap by "
        f"{found['stability']['jaccard']:.2f}; rivals: {said}"
    )


def _span(row: dict[str, Any]) -> str:
    return f"{row['low']:.2f} to {row['high']:.2f}"


def replay_of_circuit(folder: Path, args: argparse.Namespace) -> int:
    """0 when everything computed anew is what circuit.json says, 1 when something is not."""
    from ...circuits.replay import replay_circuit

    with progress(quiet=args.quiet) as reporter:
        found = replay_circuit(folder, reporter)
    if args.json:
        output.json_line(found.found)
    elif not found.mismatches:
        output.line(
            "the log holds: everything computed anew is the same "
            + ("bit for bit" if found.bitwise else "to 1e-6")
        )
    for line in found.mismatches:
        sys.stderr.write(f"hubel: mismatch: {escape_control(line)}\n")
    return 1 if found.mismatches else 0


def row_of_circuit(folder: Path) -> dict[str, Any]:
    """What `hubel runs` says of a circuit run."""
    from ...circuits.stored import stored
    from ...runlog.layout import CIRCUIT

    config = CircuitConfig.load(folder)
    found = stored(folder) if (folder / CIRCUIT).exists() else None
    counts = (found["roles"] or {}) if found else {}
    return {
        "name": folder.name,
        "subject": config.subject,
        "explainer": config.explainer.name,
        "targets": 1,
        "done": int(found is not None),
        "failed": 0,
        "kept": int(found is not None and found["verdict"] == "kept"),
        "rejected": int(found is not None and found["verdict"] == "rejected"),
        "inconclusive": int(found is not None and found["verdict"] == "inconclusive"),
        "mean_r": None,
        "error": None,
        "circuit": {
            "task": config.task,
            "verdict": found and found["verdict"],
            "roles": counts or None,
        },
    }
