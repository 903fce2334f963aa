"""`hubel circuit mediate`, `paths` and `attention`: what components do in a task, as a table."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from ...tools.errors import UsageError
from .. import output
from ..progress import progress

if TYPE_CHECKING:
    from ...tools.circuits.graph import Node, Target
    from ...tools.circuits.tasks.prepared import Batch
    from ...tools.circuits.wiring import CircuitModel

PROMPTS = 16
"""Prompts that a component is measured on: each costs a pass of the layers behind it, or several."""
_RECEIVER = re.compile(r"(?P<node>[\w.]+)<(?P<read>q|k|v|mlp|logits)>")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which components, and which paths."""
    group = parser.add_argument_group("mediate, paths, attention")
    group.add_argument(
        "--components",
        metavar="C,C",
        help="head.23.3 and the like; mediate: neurons (mlp.12.803) too; paths: senders, input and mlp.12 too "
        "(default: the strongest heads, as attribution patching estimates them)",
    )
    group.add_argument("--top", type=int, default=8, metavar="N", help="so many strongest heads (default: 8)")
    group.add_argument(
        "--receivers", default="logits<logits>", metavar="R,R", help="paths: head.23.3<q>, mlp.20<mlp>, logits<logits>"
    )
    group.add_argument(
        "--mlps", choices=("recompute", "freeze"), default="recompute", help="paths: past MLPs, or through them too"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and show."""
    if not args.task:
        raise UsageError(f"`hubel circuit {args.action}` needs --task T; `hubel circuit tasks` lists them")
    if args.top < 1:
        raise UsageError(f"--top {args.top}: give at least 1")
    rows = _measured(args)
    for row in rows:
        row |= {"task": args.task, "subject": args.subject}
        if args.json:
            output.json_line(row)
    if not args.json:
        {"mediate": _show_mediation, "paths": _show_paths, "attention": _show_attention}[args.action](rows)
    return 0


def _measured(args: argparse.Namespace) -> list[dict[str, Any]]:
    from ...tools.circuits.graph import Node
    from ...tools.circuits.tasks import find_task
    from ...tools.circuits.tasks.prepared import lexicon, prepare
    from ...tools.circuits.tasks.task import examples
    from ...tools.circuits.wiring import CircuitModel
    from ...tools.subject import Unit, load_subject
    from ..circuits.effects import strongest_heads

    task = find_task(args.task)  # what was typed is read before anything is loaded
    parse = Unit.parse if args.action == "mediate" else Node.parse
    given = [parse(name) for name in args.components.split(",")] if args.components else []
    receivers = [_receiver(name) for name in args.receivers.split(",")]
    with progress(quiet=args.quiet) as reporter:
        reporter.update(args.action, 0, 1, unit="tables", note=task.name)
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        model, drawn = CircuitModel(subject), examples(task, "discovery", args.seed, lexicon(subject))
        batches = prepare(subject, task, drawn, args.prompts or PROMPTS).batches
        components = given or [parse(str(head)) for head in strongest_heads(model, batches, args.top)]
        rows = _rows(args, model, batches, components, receivers)
        reporter.update(args.action, 1, 1, unit="tables")
    return [{"component": None, "prompts": sum(len(batch.pairs) for batch in batches)} | row for row in rows]


def _rows(
    args: argparse.Namespace, model: CircuitModel, batches: tuple[Batch, ...], components: Any, receivers: list[Target]
) -> list[dict[str, Any]]:
    from ..circuits.effects import attention_rows, mediation_rows, path_rows

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
                f"{str(node)!r} is no head of {model.subject.name}, which has {model.graph.n_layers} layers of "
                f"{model.graph.n_heads}"
            )


def _receiver(text: str) -> Target:
    from ...tools.circuits.graph import Node, Target

    match = _RECEIVER.fullmatch(text)
    if match is None:
        raise UsageError(
            f"receiver {text!r}: write head.23.3<q>, head.23.1<k> (a key-value head), mlp.20<mlp>, logits<logits>"
        )
    read: Any = match["read"]
    return Target(Node.parse(match["node"]), read)


def _show_mediation(rows: list[dict[str, Any]]) -> None:
    columns = ("component", "indirect (only it sees the twin)", "direct (only it does not)", "interaction")
    cells = [(row["component"], *(_said(row[name]) for name in ("indirect", "direct", "interaction"))) for row in rows]
    output.table(columns, cells, right=columns[1:])
    output.line(f"total effect of the twin on the logit difference: {_said(rows[0]['total'])}, {_of(rows)}")


def _show_paths(rows: list[dict[str, Any]]) -> None:
    columns = ("sender", "effect through the receivers alone")
    output.table(columns, [(row["component"], _said(row["effect"])) for row in rows], right=columns[1:])
    through, mlps = ", ".join(rows[0]["receivers"]), {"recompute": "computed anew", "freeze": "held"}[rows[0]["mlps"]]
    output.line(f"receivers: {through}; MLPs on the way {mlps}; change of the logit difference, {_of(rows)}")


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
    output.table(columns, [_attention_cells(row) for row in rows], right=(*columns[1:6], columns[7]))
    output.line(
        "previous, duplicate, induction: on random tokens said twice; copying: of the OV circuit, -1 to 1; direct: "
        f"what it adds to the logit difference by itself; weight ~ effect: rank correlation; {_of(rows)}"
    )


def _attention_cells(row: dict[str, Any]) -> tuple[object, ...]:
    kinds = (row[name] for name in ("previous", "duplicate", "induction", "copying"))
    most = max(row["looks_at"].items(), key=lambda entry: entry[1]["value"], default=None)
    return (
        row["component"],
        *(None if value is None else f"{value:.2f}" for value in kinds),
        _said(row["direct"]),
        None if most is None else f"{most[0]} {_said(most[1])}",
        _said(row["rank_correlation"]),
    )


def _said(value: dict[str, float]) -> str:
    return f"{value['value']:+.2f} ({value['low']:+.2f} to {value['high']:+.2f})"


def _of(rows: list[dict[str, Any]]) -> str:
    return f"means and 95 % intervals over {rows[0]['prompts']} discovery prompts"
