"""`hubel study`: ask a question about a subject, and have it answered with a verdict.

hubel study                              the studies, one line each
hubel study probe --help                 what a study does, and its options
hubel study probe --subject S --data D   run it; the run is a folder like any other
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...runlog.layout import new_run_name, run_argument
from ...runlog.progress import progress
from .. import options, output
from .. import parser as parsers
from ..exit_status import DONE
from ..study import study_options
from ..study.tables import print_study

if TYPE_CHECKING:
    from ....studies import Study

NAME = "study"
HELP = "ask a question about a subject: probes, similarity, bias audits and more, with a verdict"
DEFAULT_SUBJECT = "smollm2-135m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser per study."""
    parsers.add_actions(parser, _actions())


def run(args: argparse.Namespace) -> int:
    """Run the chosen study, or list them."""
    if args.action is None:
        return _list(args)
    return parsers.run_action(NAME, _actions(), args)


def _actions() -> dict[str, parsers.Action]:
    from ....studies import studies

    return {
        name: parsers.Action(
            study.question,
            lambda parser, study=study: _add_options(parser, study),
            lambda args, study=study: _run(args, study),
        )
        for name, study in studies().items()
    }


def _list(args: argparse.Namespace) -> int:
    from ....studies import studies

    for study in studies().values():
        if args.json:
            output.json_line(
                {"study": study.name, "family": study.family, "question": study.question}
            )
        else:
            output.line(f"{study.family:15}{study.name:22}{study.question}")
    return DONE


def _add_options(parser: argparse.ArgumentParser, study: Study) -> None:
    parser.description = study.description
    parser.add_argument(
        "--subject",
        nargs="+",
        action="extend",
        metavar="S",
        help=f"the subject, or several where the study compares them (default: {DEFAULT_SUBJECT})",
    )
    parser.add_argument(
        "--name",
        help="name of the run (default: STUDY and the time); an existing run continues",
    )
    options.add_device(parser)
    study_options.add_options(parser, study)


def _run(args: argparse.Namespace, study: Study) -> int:
    from ...studies.run import run_study, study_config

    subjects = args.subject or [DEFAULT_SUBJECT] * (study.subjects == 1)
    config = study_config(
        study.name, study_options.given(args, study), subjects, args.device, args.dtype
    )
    folder = Path(args.runs) / (args.name or new_run_name(f"{study.name}-"))
    try:
        with progress(quiet=args.quiet) as reporter:
            document = run_study(folder, config, reporter)
    except KeyboardInterrupt:
        resume = f"`hubel resume {run_argument(folder)}`"
        raise KeyboardInterrupt(f"stopped; nothing is lost: {resume} continues it") from None
    print_study(folder, document, as_json=args.json)
    return DONE
