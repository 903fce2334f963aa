"""`hubel bench soak`: what a run promises, tried by kills, malformed answers, budgets and slow servers."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from ...agent.cli import output
from ...agent.runlog.progress import progress
from ...tools.errors import UsageError
from ..soak import Size, SoakResult, soak


def run_soak(args: argparse.Namespace) -> int:
    """Soak and print what was promised and what was found; 1 if a promise is broken."""
    if min(args.kills, args.malformed) < 0 or args.jobs < 1:
        raise UsageError("--kills and --malformed must be at least 0, --jobs at least 1")
    size = Size(kills=args.kills, malformed=args.malformed, jobs=args.jobs, seed=args.seed)
    folder = Path(tempfile.mkdtemp(prefix="hubel-soak-"))
    try:
        with progress(quiet=args.quiet) as reporter:
            found = soak(
                folder, size, lambda step, n, of, unit: reporter.update(step, n, of, unit=unit)
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _show(found, as_json=args.json)
    return 0 if found.kept else 1


def _show(found: SoakResult, *, as_json: bool) -> None:
    if as_json:
        for promise in found.promises:
            output.json_line(vars(promise))
        output.json_line(
            {"summary": found.figures | {"kept": found.kept, "notes": found.notes[:50]}}
        )
        return
    cells = [
        (
            p.what,
            f"{p.found:.3g}" if isinstance(p.found, float) else p.found,
            p.promised,
            "yes" if p.kept else "NO",
        )
        for p in found.promises
    ]
    output.table(("promise", "found", "promised", "kept"), cells, right=("found", "promised"))
    kills, bad = found.figures["kills"], found.figures["malformed"]
    output.line(
        f"{kills['killed_runs']} runs killed {kills['kills']} times; {kills['in_flight']} of {kills['calls']} requests "
        f"were in flight at a kill and sent again; {bad['answers']} malformed answers of {bad['kinds']} kinds "
        f"({bad['harmless']} of them harmless) in {bad['runs']} runs, {bad['failed']} targets failed by them"
    )
    for note in found.notes[:20]:
        output.line(note)
