"""`hubel bench circuits`: its options, its tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...tools.errors import UsageError

if TYPE_CHECKING:
    from ..compiled_circuits import CircuitRow
    from ..planted_paths import PathRow
    from ..trained_circuits import TrainedRow


def run_circuits(args: argparse.Namespace) -> int:
    """The compiled circuits, the trained models, or paths planted in a real subject."""
    others = [name for name in ("trained", "planted") if getattr(args, name)]
    if len(others) == 2:
        raise UsageError("--trained and --planted ask for different circuits; give one of them")
    if others and (args.difficulty or args.program):
        raise UsageError(
            f"--difficulty and --program are of compiled circuits; leave them out with --{others[0]}"
        )
    return (
        {"trained": _run_trained, "planted": _run_planted}[others[0]](args)
        if others
        else _run_compiled(args)
    )


def _run_compiled(args: argparse.Namespace) -> int:
    """Compile, score and show; one JSON line a circuit as it is done, and what was done before is not done again."""
    import torch

    from ...agent.runlog.progress import progress
    from ...tools.circuits.methods import METHODS
    from ..compiled_circuits import bench_circuits, summary
    from ..known_circuits.compiled import DIFFICULTIES
    from ..known_circuits.programs import names

    torch.set_num_threads(1)  # the matrices are small, and CPU seconds are compared
    methods, difficulties, programs = (
        _chosen(given, list(known), option)
        for given, known, option in (
            (args.method, METHODS, "method"),
            (args.difficulty, DIFFICULTIES, "difficulty"),
            (args.program, names(), "program"),
        )
    )
    rows: list[CircuitRow] = []
    with progress(quiet=args.quiet) as reporter:
        total = len(difficulties) * len(programs)
        reporter.update("circuits", 0, total, unit="circuits")
        for row in bench_circuits(programs, difficulties, methods, args.seed):
            rows.append(row)
            reporter.update("circuits", len(rows), total, unit="circuits", note=row.circuit)
            if args.json:
                output.json_line(row.as_dict())
    if args.json:
        output.json_line({"summary": summary(rows)})
    else:
        _show(rows, difficulties)
    return 0


def _run_trained(args: argparse.Namespace) -> int:
    """Train what is not in the cache, score and show; one JSON line a model as it is done."""
    import torch

    from ...agent.runlog.progress import progress
    from ...tools.circuits.methods import METHODS
    from ..known_circuits.training_tasks import LESSONS
    from ..trained_circuits import bench_trained, trained_summary

    torch.set_num_threads(1)
    methods = _chosen(args.method, list(METHODS), "method")
    rows: list[TrainedRow] = []
    with progress(quiet=args.quiet) as reporter:
        reporter.update("models", 0, len(LESSONS), unit="models")
        for row in bench_trained(list(LESSONS), methods, args.seed):
            rows.append(row)
            reporter.update("models", len(rows), len(LESSONS), unit="models", note=row.trained)
            if args.json:
                output.json_line(row.as_dict())
    if args.json:
        output.json_line({"summary": trained_summary(rows)})
    else:
        _show_trained(rows)
    return 0


def _run_planted(args: argparse.Namespace) -> int:
    """Plant, score and show; one JSON line a path as it is done."""
    import torch

    from ...agent.runlog.progress import progress
    from ...tools.circuits.methods import METHODS
    from ...tools.subject import load_subject
    from ..known_circuits.planted_paths import KINDS
    from ..planted_paths import METHODS as QUICK
    from ..planted_paths import STRENGTHS, bench_planted, planted_summary

    torch.set_num_threads(1)
    methods = _chosen(args.method, list(METHODS), "method") if args.method else list(QUICK)
    rows: list[PathRow] = []
    with progress(quiet=args.quiet) as reporter:
        total = len(STRENGTHS) * len(KINDS)
        reporter.update("paths", 0, total, unit="paths")
        load = partial(load_subject, args.subject, device=args.device, dtype=args.dtype)
        for row in bench_planted(load, args.subject, STRENGTHS, methods, args.seed):
            rows.append(row)
            reporter.update("paths", len(rows), total, unit="paths", note=row.path)
            if args.json:
                output.json_line(row.as_dict())
    if args.json:
        output.json_line({"summary": planted_summary(rows)})
    else:
        _show_planted(rows)
    return 0


def _chosen(given: str | None, known: Sequence[str], option: str) -> list[str]:
    chosen = list(known) if given is None else list(dict.fromkeys(given.split(",")))
    if wrong := next((name for name in chosen if name not in known), None):
        raise UsageError(f"--{option} {wrong!r} given; choose from {', '.join(known)}")
    return chosen


def _show(rows: Sequence[CircuitRow], difficulties: Sequence[str]) -> None:
    from ..compiled_circuits import means, summary

    found = summary(rows)
    faithful, precision, seconds = (means(rows, figure) for figure in ("f", "precision", "seconds"))
    cells = [
        (
            method,
            f"{value:.3f}",
            *(f"{found['by_difficulty'][difficulty][method]:.3f}" for difficulty in difficulties),
            f"{faithful[method]:.2f}",
            f"{precision[method]:.2f}",
            f"{seconds[method]:.2f}",
        )
        for method, value in sorted(found["by_method"].items(), key=lambda item: -item[1])
    ]
    columns = (
        "method",
        "edge AUROC",
        *difficulties,
        "f held out",
        "true of its edges",
        "CPU s a circuit",
    )
    output.table(columns, cells, right=columns[1:])
    worst = sorted(
        rows, key=lambda row: max(result.auroc or 0.0 for result in row.methods.values())
    )[:3]
    hardest = ", ".join(
        f"{row.circuit} ({max(result.auroc or 0.0 for result in row.methods.values()):.2f})"
        for row in worst
    )
    true, every = sum(row.true_edges for row in rows), sum(row.edges for row in rows)
    output.line(f"{len(rows)} circuits, {true} true edges of {every:,}, seed {rows[0].seed}")
    output.line(f"hardest for the best method on each: {hardest}")


def _show_trained(rows: Sequence[TrainedRow]) -> None:
    from ..trained_circuits import LOOKED_AT, trained_summary

    found = trained_summary(rows)["cmd"]
    cells = [
        (method, f"{mean:.3f}", *(f"{row.methods[method].cmd:.3f}" for row in rows))
        for method, mean in sorted(found.items(), key=lambda item: item[1])
    ]
    columns = ("CMD held out", "mean", *(row.trained for row in rows))
    output.table(columns, cells, right=columns[1:])
    for row in rows:
        output.line(
            f"{row.trained}: {row.accuracy:.1%} right, trained in {row.training_seconds:.0f} CPU s, {row.edges} edges"
        )
        for kind, heads in row.heads.items():
            named = ", ".join(f"{head} ({score:.2f})" for head, score in heads.items())
            held = ", ".join(
                f"{method} {curves.heads[kind]:.0%}" for method, curves in row.methods.items()
            )
            output.line(
                f"  {kind} heads {named}; held by the circuit of {LOOKED_AT:.0%} of edges: {held}"
            )


def _show_planted(rows: Sequence[PathRow]) -> None:
    from ..planted_paths import mean_by_method

    good = [row for row in rows if not row.failed]
    aurocs, precisions, seconds = (
        mean_by_method(good, figure) for figure in ("auroc", "precision", "seconds")
    )
    cells = [
        (
            method,
            f"{value:.4f}",
            f"{precisions[method]:.2f}",
            *(", ".join(f"{rank:,.0f}" for rank in row.methods[method].ranks) for row in good),
            f"{seconds[method]:.1f}",
        )
        for method, value in sorted(aurocs.items(), key=lambda item: -item[1])
    ]
    columns = (
        "method",
        "edge AUROC",
        "precision",
        *(f"ranks: {row.path}" for row in good),
        "CPU s a path",
    )
    output.table(columns, cells, right=columns[1:])
    for row in rows:
        each = ", ".join(
            f"{edge} {share:.2f}" for edge, share in zip(row.planted, row.acts["each"], strict=True)
        )
        said = f"; no datum: {row.failed}" if row.failed else ""
        output.line(
            f"{row.path}: share of its strength that each edge carries, patched exactly: {each}; alone "
            f"{row.acts['alone']:.2f}; all else moves the answer by {row.acts['rest']:+.2f} logits{said}"
        )
    if good:
        output.line(
            f"{len(rows)} paths, {len(rows) - len(good)} of them no datum, among {good[0].edges:,} edges"
        )
