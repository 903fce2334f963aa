"""`hubel circuit`: what can a subject do, which circuit does it, and what is that circuit worth?"""

from __future__ import annotations

import argparse

from .. import parser as parsers
from ..circuit import abstract, components, exchange, latents, tasks
from ..circuit import run as run_command
from ..exit_status import DONE
from ..parser import Action

NAME = "circuit"
HELP = "the circuit of a task: tasks, run, latents, show, export, import; mediate, paths, attention; abstract"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser per action."""
    parsers.add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Run the action. A task that the subject cannot do is a result, not an error."""
    return parsers.run_action(NAME, ACTIONS, args)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of a run")


def _show(args: argparse.Namespace) -> int:
    from ...circuits.result import read_result
    from ...runlog.config import find_run
    from ..circuit.runs import show_circuit

    show_circuit(read_result(find_run(args.run, args.runs)), as_json=args.json)
    return DONE


ACTIONS: dict[str, Action] = {
    "tasks": Action("what can the subject do at all?", tasks.add_arguments, tasks.run),
    "run": Action(
        "find the circuit of a task, explain it, and test the explanation on held-out prompts",
        run_command.add_arguments,
        run_command.run,
    ),
    "latents": Action(
        "which latents of a dictionary carry a task, and how much goes through its error nodes?",
        latents.add_arguments,
        latents.run,
    ),
    "show": Action("the tables of a finished run", _add_show, _show),
    "export": Action(
        "write a circuit as EAP-IG / MIB JSON or as an attribution graph",
        exchange.add_export,
        exchange.export,
    ),
    "import": Action(
        "test a circuit that another program found: faithfulness, completeness, roles",
        exchange.add_import,
        exchange.import_,
        "stopped; `hubel resume` continues the run, if it had begun",
    ),
    "mediate": Action(
        "how much of an effect goes through a head or neuron, and how much bypasses it?",
        components.add_mediation,
        components.mediation,
    ),
    "paths": Action(
        "what does a component do through selected readers only?",
        components.add_paths,
        components.paths,
    ),
    "attention": Action(
        "where do heads attend, what do they copy, and does the attention weight matter?",
        components.add_attention,
        components.attention,
    ),
    "abstract": Action(
        "does the subject compute what a program of yours computes, and where?",
        abstract.add_arguments,
        abstract.run,
    ),
}
