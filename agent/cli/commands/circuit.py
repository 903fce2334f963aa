"""`hubel circuit`: what can a subject do, which circuit does it, and what is that circuit worth?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from ....tools.errors import UsageError
from .. import options
from ..circuit import abstract, components, tasks
from ..circuit import run as run_action

NAME = "circuit"
HELP = "the circuit of a task: tasks, run, show; its parts: mediate, paths, attention; abstract"
INTERRUPTED = "stopped; nothing is lost: the same command goes on"


class Action(NamedTuple):
    """One thing that `hubel circuit` does; each has options of its own, and `--help` of its own."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A parser an action."""
    actions = parser.add_subparsers(
        dest="action",
        metavar="ACTION",
        title="actions (`hubel circuit ACTION --help` lists the options of each)",
    )
    for name, action in ACTIONS.items():
        one = actions.add_parser(
            name,
            help=action.help,
            description=action.help,
            allow_abbrev=False,
            conflict_handler="resolve",
        )
        options.add_common(one, again=True)
        action.add_arguments(one)


def run(args: argparse.Namespace) -> int:
    """Do it; a task that the subject cannot do is an answer, not an error."""
    if args.action is None:
        raise UsageError(
            f"say what to do: `hubel circuit {' | '.join(ACTIONS)}`; `hubel circuit --help` explains them"
        )
    return ACTIONS[args.action].run(args)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's name, or its folder")


def _show(args: argparse.Namespace) -> int:
    from ...circuits.stored import stored
    from ...runlog.config import find_run
    from ..circuit.runs import show_circuit

    show_circuit(stored(find_run(args.run, args.runs)), as_json=args.json)
    return 0


ACTIONS: dict[str, Action] = {
    "tasks": Action("what can the subject do at all?", tasks.add_arguments, tasks.run),
    "run": Action(
        "find the circuit of a task, explain it, and test the explanation on prompts that nobody looked at",
        run_action.add_arguments,
        run_action.run,
    ),
    "show": Action("the tables of a finished run", _add_show, _show),
    "mediate": Action(
        "what goes through a head or neuron, and what goes past it?",
        components.add_mediation,
        components.mediation,
    ),
    "paths": Action(
        "what does a component do through some readers alone?",
        components.add_paths,
        components.paths,
    ),
    "attention": Action(
        "where do heads look, what do they copy, and is attention weight what counts?",
        components.add_attention,
        components.attention,
    ),
    "abstract": Action(
        "does the subject compute what a program of yours computes, and where?",
        abstract.add_arguments,
        abstract.run,
    ),
}
