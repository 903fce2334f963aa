"""`hubel bench circuits`: are known circuits found?

By default circuits compiled from programs; `--trained` takes tiny trained models, `--planted` paths
planted into a real subject. Each result is cached as soon as it exists, so that a stopped bench
continues where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from ...tools.errors import UsageError
from . import shared_options

if TYPE_CHECKING:
    from ..compiled_circuits import CircuitRow
    from ..planted_paths import PathRow
    from ..trained_circuits import TrainedRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which circuits, and which methods are compared on them."""
    parser.add_argument(
        "--method", metavar="M,M", help="methods that score edges (default: all; see --planted)"
    )
    parser.add_argument("--difficulty", metavar="D,D", help="easy, medium, hard (default: all)")
    parser.add_argument("--program", metavar="P,P", help="compiled programs (default: all)")
    parser.add_argument(
        "--trained",
        action="store_true",
        help="tiny models trained in seconds instead of compiled programs",
    )
    parser.add_argument(
        "--planted",
        action="store_true",
        help="paths planted into --subject instead (default methods: those that take seconds)",
    )
    shared_options.add_subject(parser)
    shared_options.add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Score every circuit with every method; one JSON line per circuit as soon as it is done."""
    if args.trained and args.planted:
        raise UsageError("--trained and --planted take different circuits; give one of them")
    kind = "trained" if args.trained else "planted" if args.planted else "compiled"
    if kind != "compiled" and (args.difficulty or args.program):
        raise UsageError(
            f"--difficulty and --program select compiled circuits; leave them out with --{kind}"
        )
    import torch

    torch.set_num_threads(1)  # the matrices are small, and CPU seconds are compared
    {"compiled": _run_compiled, "trained": _run_trained, "planted": _run_planted}[kind](args)
    return DONE


def _run_compiled(args: argparse.Namespace) -> None:
    from ...tools.circuits.methods import METHODS
    from ..compiled_circuits import bench_circuits, summary
    from ..known_circuits.compiled import DIFFICULTIES
    from ..known_circuits.programs import names

    methods = _choose(args.method, list(METHODS), "method")
    difficulties = _choose(args.difficulty, list(DIFFICULTIES), "difficulty")
    programs = _choose(args.program, names(), "program")
    circuits = bench_circuits(programs, difficulties, methods, args.seed)
    rows = _collect(circuits, len(difficulties) * len(programs), "circuits", args)
    _print(rows, summary, partial(_show_compiled, difficulties=difficulties), args)


def _run_trained(args: argparse.Namespace) -> None:
    from ...tools.circuits.methods import METHODS
    from ..known_circuits.training_tasks import TASKS
    from ..trained_circuits import bench_trained, trained_summary

    methods = _choose(args.method, list(METHODS), "method")
    models = bench_trained(list(TASKS), methods, args.seed)
    rows = _collect(models, len(TASKS), "models", args)
    _print(rows, trained_summary, _show_trained, args)


def _run_planted(args: argparse.Namespace) -> None:
    from ...tools.circuits.methods import METHODS
    from ...tools.subject import load_subject
    from ..known_circuits.planted_paths import KINDS
    from ..planted_paths import QUICK_METHODS, STRENGTHS, bench_planted, planted_summary

    methods = _choose(args.method, list(METHODS), "method") if args.method else list(QUICK_METHODS)
    load = partial(load_subject, args.subject, device=args.device, dtype=args.dtype)
    paths = bench_planted(load, args.subject, STRENGTHS, methods, args.seed)
    rows = _collect(paths, len(STRENGTHS) * len(KINDS), "paths", args)
    _print(rows, planted_summary, _show_planted, args)


class _Row(Protocol):
    @property
    def name(self) -> str: ...

    def as_dict(self) -> dict[str, Any]: ...


Row = TypeVar("Row", bound=_Row)


def _collect(rows: Iterator[Row], total: int, unit: str, args: argparse.Namespace) -> list[Row]:
    """All rows; progress is reported and JSON is written as each one is done."""
    from ...agent.runlog.progress import progress

    done: list[Row] = []
    with progress(quiet=args.quiet) as reporter:
        reporter.update(unit, 0, total, unit=unit)
        for row in rows:
            done.append(row)
            reporter.update(unit, len(done), total, unit=unit, note=row.name)
            if args.json:
                output.json_line(row.as_dict())
    return done


def _print(
    rows: list[Row],
    summarise: Callable[[list[Row]], dict[str, Any]],
    show: Callable[[list[Row]], None],
    args: argparse.Namespace,
) -> None:
    if args.json:
        output.json_line({"summary": summarise(rows)})
    else:
        show(rows)


def _choose(text: str | None, choices: Sequence[str], option: str) -> list[str]:
    """The comma-separated names of an option, or all choices."""
    names = list(choices) if text is None else list(dict.fromkeys(text.split(",")))
    if unknown := next((name for name in names if name not in choices), None):
        raise UsageError(f"--{option} {unknown!r} given; choose from {', '.join(choices)}")
    return names


def _show_compiled(rows: Sequence[CircuitRow], difficulties: Sequence[str]) -> None:
    from ..compiled_circuits import summary
    from ..result_cache import means

    aurocs = summary(rows)
    f, precision, seconds = (means(rows, figure) for figure in ("f", "precision", "seconds"))
    cells = [
        (
            method,
            f"{auroc:.3f}",
            *(f"{aurocs['by_difficulty'][difficulty][method]:.3f}" for difficulty in difficulties),
            f"{f[method]:.2f}",
            f"{precision[method]:.2f}",
            f"{seconds[method]:.2f}",
        )
        for method, auroc in sorted(aurocs["by_method"].items(), key=lambda item: -item[1])
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
    best = {row.name: max(result.auroc or 0.0 for result in row.methods.values()) for row in rows}
    hardest = sorted(best.items(), key=lambda item: item[1])[:3]
    true_edges, edges = sum(row.true_edges for row in rows), sum(row.edges for row in rows)
    output.line(f"{len(rows)} circuits, {true_edges} true edges of {edges:,}, seed {rows[0].seed}")
    output.line(
        "hardest for the best method on each: "
        + ", ".join(f"{name} ({auroc:.2f})" for name, auroc in hardest)
    )


def _show_trained(rows: Sequence[TrainedRow]) -> None:
    from ..trained_circuits import HEADS_AT, trained_summary

    mean_cmd = trained_summary(rows)["cmd"]
    cells = [
        (method, f"{mean:.3f}", *(f"{row.methods[method].cmd:.3f}" for row in rows))
        for method, mean in sorted(mean_cmd.items(), key=lambda item: item[1])
    ]
    columns = ("CMD held out", "mean", *(row.trained for row in rows))
    output.table(columns, cells, right=columns[1:])
    for row in rows:
        output.line(
            f"{row.trained}: {row.accuracy:.1%} right, trained in {row.training_seconds:.0f} CPU s, "
            f"{row.edges} edges"
        )
        for kind, heads in row.heads.items():
            scores = ", ".join(f"{head} ({score:.2f})" for head, score in heads.items())
            shares = ", ".join(
                f"{method} {result.heads[kind]:.0%}" for method, result in row.methods.items()
            )
            output.line(
                f"  {kind} heads {scores}; share of them in the circuit of {HEADS_AT:.0%} of edges: "
                f"{shares}"
            )


def _show_planted(rows: Sequence[PathRow]) -> None:
    from ..result_cache import means

    valid = [row for row in rows if not row.failed]
    auroc, precision, seconds = (
        means(valid, figure) for figure in ("auroc", "precision", "seconds")
    )
    cells = [
        (
            method,
            f"{value:.4f}",
            f"{precision[method]:.2f}",
            *(_ranks(row, method) for row in valid),
            f"{seconds[method]:.1f}",
        )
        for method, value in sorted(auroc.items(), key=lambda item: -item[1])
    ]
    columns = (
        "method",
        "edge AUROC",
        "precision",
        *(f"ranks: {row.path}" for row in valid),
        "CPU s a path",
    )
    output.table(columns, cells, right=columns[1:])
    for row in rows:
        shares = zip(row.planted, row.acts["each"], strict=True)
        edges = ", ".join(f"{edge} {share:.2f}" for edge, share in shares)
        failure = f"; not counted: {row.failed}" if row.failed else ""
        output.line(
            f"{row.path}: share of its strength that each edge carries, patched exactly: {edges}; "
            f"alone {row.acts['alone']:.2f}; all other edges move the answer by "
            f"{row.acts['rest']:+.2f} logits{failure}"
        )
    if valid:
        output.line(
            f"{len(rows)} paths, {len(rows) - len(valid)} of them could not be measured, "
            f"among {valid[0].edges:,} edges"
        )


def _ranks(row: PathRow, method: str) -> str:
    return ", ".join(f"{rank:,.0f}" for rank in row.methods[method].ranks)
