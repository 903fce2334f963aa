"""`hubel circuit mediate`, `paths` and `attention`: what components do in a task, as a table."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import output
from .tasks import add_subject, check_prompts

if TYPE_CHECKING:
    from ....tools.circuits.circuit_model import CircuitModel
    from ....tools.circuits.graph import Node, Target
    from ....tools.circuits.tasks.prepared import PairBatch

PROMPTS = 16
"""Prompts for each component; each costs one or more passes through the later layers."""
_RECEIVER = re.compile(r"(?P<node>[\w.]+)<(?P<read>q|k|v|mlp|logits)>")


def add_mediation(parser: argparse.ArgumentParser) -> None:
    """Declare the heads or neurons."""
    _add_components(parser, "heads (head.23.3) and neurons (mlp.12.803)")


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Declare the senders and receivers."""
    _add_components(parser, "senders: heads (head.23.3), MLPs (mlp.12), input")
    parser.add_argument(
        "--receivers",
        default="logits<logits>",
        metavar="R,R",
        help="inputs that read from senders: head.23.3<q>, head.23.1<k> (key-value heads), "
        "mlp.20<mlp>, logits<logits> (default: logits<logits>)",
    )
    parser.add_argument(
        "--mlps",
        choices=("recompute", "freeze"),
        default="recompute",
        help="whether paths may go through the MLPs between sender and receiver (recompute) or "
        "only around them (freeze) (default: recompute)",
    )


def add_attention(parser: argparse.ArgumentParser) -> None:
    """Declare the heads."""
    _add_components(parser, "heads (head.23.3)")


def _add_components(parser: argparse.ArgumentParser, kinds: str) -> None:
    """Declare the task, the components and the subject, which all three commands have.

    Args:
        kinds: the components that the command takes, with an example of each, for `--help`.
    """
    parser.add_argument(
        "--task", metavar="T", help="a task, or a .csv, .tsv, .jsonl or .parquet file of pairs"
    )
    parser.add_argument(
        "--components",
        metavar="C,C",
        help=f"{kinds} (default: the heads with the largest effects by attribution patching)",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=8,
        metavar="N",
        help="number of heads to take if --components is omitted (default: 8)",
    )
    add_subject(parser, PROMPTS)


def mediation(args: argparse.Namespace) -> int:
    """Print total, direct and indirect effects."""
    return _run(args, _show_mediation)


def paths(args: argparse.Namespace) -> int:
    """Print effects through the receivers alone."""
    return _run(args, _show_paths, [_receiver(name) for name in args.receivers.split(",")])


def attention(args: argparse.Namespace) -> int:
    """Print what heads attend to and copy, and how well attention weights predict effects."""
    return _run(args, _show_attention)


def _run(
    args: argparse.Namespace,
    show: Callable[[list[dict[str, Any]]], None],
    receivers: Sequence[Target] = (),
) -> int:
    if not args.task:
        raise UsageError(
            f"`hubel circuit {args.action}` needs --task T; `hubel circuit tasks` lists them"
        )
    check_prompts(args)
    if args.top < 1:
        raise UsageError(f"--top {args.top}: give at least 1")
    rows = _measure(args, receivers)
    for row in rows:
        row |= {"task": args.task, "subject": args.subject}
        if args.json:
            output.json_line(row)
    if not args.json:
        show(rows)
    return 0


def _measure(args: argparse.Namespace, receivers: Sequence[Target]) -> list[dict[str, Any]]:
    """Load the subject and measure one row per component."""
    from ....tools.circuits.graph import Node
    from ....tools.circuits.selftest import open_circuit_model
    from ....tools.circuits.tasks import find_task
    from ....tools.circuits.tasks.prepared import lexicon, prepare
    from ....tools.circuits.tasks.task import draw_examples
    from ....tools.subject import Unit, load_subject
    from ...circuits.tables.effects import strongest_heads

    # Check the arguments before anything is loaded.
    task = find_task(args.task)
    parse = Unit.parse if args.action == "mediate" else Node.parse
    components = [parse(name) for name in args.components.split(",")] if args.components else []
    with progress(quiet=args.quiet) as reporter:
        reporter.update(args.action, 0, 1, unit="tables", note=task.name)
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
        model = open_circuit_model(subject)
        examples = draw_examples(task, "discovery", args.seed, lexicon(subject))
        batches = prepare(subject, task, examples, args.prompts).batches
        if not components:
            heads = strongest_heads(model, batches, args.top)
            components = [parse(str(head)) for head in heads]
        rows = _rows(args, model, batches, components, receivers)
        reporter.update(args.action, 1, 1, unit="tables")
    prompts = sum(len(batch.pairs) for batch in batches)
    # `component` comes first in JSON, and the row sets it
    return [{"component": None, "prompts": prompts} | row for row in rows]


def _rows(
    args: argparse.Namespace,
    model: CircuitModel,
    batches: tuple[PairBatch, ...],
    components: Any,
    receivers: Sequence[Target],
) -> list[dict[str, Any]]:
    from ...circuits.tables.effects import attention_rows, mediation_rows, path_rows

    if args.action == "mediate":
        return mediation_rows(model, batches, components)
    if args.action == "paths":
        return path_rows(model, batches, components, receivers, args.mlps)
    _check_heads(model, components)
    return list(attention_rows(model, batches, components, args.seed))


def _check_heads(model: CircuitModel, nodes: list[Node]) -> None:
    for node in nodes:
        if node.kind != "head" or node not in model.graph.sources:
            raise UsageError(
                f"{str(node)!r} is not a head of {model.subject.name}, "
                f"which has {model.graph.n_layers} layers of {model.graph.n_heads} heads"
            )


def _receiver(text: str) -> Target:
    from ....tools.circuits.graph import Node, Target

    match = _RECEIVER.fullmatch(text)
    if match is None:
        raise UsageError(
            f"receiver {text!r}: write head.23.3<q>, head.23.1<k> (a key-value head), "
            "mlp.20<mlp> or logits<logits>"
        )
    read: Any = match["read"]
    return Target(Node.parse(match["node"]), read)


def _show_mediation(rows: list[dict[str, Any]]) -> None:
    columns = (
        "component",
        "indirect (only it sees the twin)",
        "direct (only it does not)",
        "interaction",
    )
    cells = [
        (
            row["component"],
            _with_interval(row["indirect"]),
            _with_interval(row["direct"]),
            _with_interval(row["interaction"]),
        )
        for row in rows
    ]
    output.table(columns, cells, right=columns[1:])
    output.line(
        "total effect of the twin on the logit difference: "
        f"{_with_interval(rows[0]['total'])}, {_averaging(rows)}"
    )


def _show_paths(rows: list[dict[str, Any]]) -> None:
    columns = ("sender", "effect through the receivers alone")
    output.table(
        columns,
        [(row["component"], _with_interval(row["effect"])) for row in rows],
        right=columns[1:],
    )
    receivers = ", ".join(rows[0]["receivers"])
    mlps = {"recompute": "recomputed", "freeze": "frozen"}[rows[0]["mlps"]]
    output.line(
        f"receivers: {receivers}; MLPs in between are {mlps}; change of the logit difference, "
        f"{_averaging(rows)}"
    )


def _show_attention(rows: list[dict[str, Any]]) -> None:
    columns = (
        "head",
        "previous",
        "duplicate",
        "induction",
        "copying",
        "direct",
        "END looks most at",
        "weight ~ effect",
    )
    output.table(
        columns, [_attention_cells(row) for row in rows], right=(*columns[1:6], columns[7])
    )
    output.line(
        "previous, duplicate, induction: on a repeated random sequence; copying: of the OV circuit, "
        "-1 to 1; direct: what the head itself adds to the logit difference; "
        f"weight ~ effect: rank correlation; {_averaging(rows)}"
    )
    output.line(_caveat(rows))


def _caveat(rows: list[dict[str, Any]]) -> str:
    """How far to trust attention weight on this task."""
    by_head = [(row["rank_correlation"]["value"], row["component"]) for row in rows]
    mean = sum(value for value, _ in by_head) / len(by_head)
    worst, head = min(by_head)
    return (
        "attention weight is not effect: on this task, weights from END and the effects of removing "
        f"that attention have a rank correlation of {mean:+.2f} in the mean over these heads, "
        f"and {worst:+.2f} for {head}"
    )


def _attention_cells(row: dict[str, Any]) -> tuple[object, ...]:
    kinds = (row[name] for name in ("previous", "duplicate", "induction", "copying"))
    shares = row["looks_at"].items()
    largest = max(shares, key=lambda entry: entry[1]["value"], default=None)
    return (
        row["component"],
        *(None if value is None else f"{value:.2f}" for value in kinds),
        _with_interval(row["direct"]),
        None if largest is None else f"{largest[0]} {_with_interval(largest[1])}",
        _with_interval(row["rank_correlation"]),
    )


def _with_interval(value: dict[str, float]) -> str:
    return f"{value['value']:+.2f} ({value['low']:+.2f} to {value['high']:+.2f})"


def _averaging(rows: list[dict[str, Any]]) -> str:
    return f"means and 95 % intervals over {rows[0]['prompts']} discovery prompts"
