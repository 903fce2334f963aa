"""`hubel demo`: the whole loop on the built-in subject, in minutes, ending in a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...runlog.config import RunConfig
from ...runlog.layout import CONFIG
from .. import options, output
from ..run_outcome import finish

if TYPE_CHECKING:
    from ....tools.subject import Subject

NAME = "demo"
HELP = "the whole loop on the built-in subject, in minutes, ending in a report"
INTERRUPTED = "stopped; nothing is lost: `hubel demo` continues"

RUN = "demo"
SUBJECT, CORPUS = "smollm2-135m", "lee-news"
LAYERS = (1, 6, 10, 15, 20, 25, 28)
TARGETS = [*(f"mlp.{layer}~4@0" for layer in LAYERS), "mlp.10.1352-", "head.*~3@0"]
"""28 random neurons, the negative side of one that hardly fires positively, and three random heads."""
ROTATED = 3
"""Rotated directions of each layer: as many in all as there are neurons."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the subject runs."""
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Make or continue `runs/demo`, then write its report."""
    folder = args.runs / RUN
    new = not (folder / CONFIG).exists()
    # the cache may have been cleared since the run was made
    index_lost = not new and not Path(RunConfig.load(folder).index).exists()
    subject = _prepare(args, new=new) if new or index_lost else None
    status = finish(folder, args, subject)
    from ...review.report import write_report

    page = write_report(folder)
    if not args.json:
        output.line(f"report: {page}")
        output.line(f"in the browser, with more views: hubel review {RUN}")
        output.line(f"next: hubel show {RUN} UNIT, hubel replay {RUN}, hubel run --help")
    return status


def _prepare(args: argparse.Namespace, *, new: bool) -> Subject:
    """Fetch and index the subject and the text, and make the run if it is new."""
    from ....tools.subject import load_subject
    from ...run.default_index import default_index
    from ...run.execute import make_run, resolve
    from ...runlog.progress import progress

    with progress(quiet=args.quiet) as reporter:
        reporter.say(f"subject {SUBJECT}: fetched and converted on first use")
        subject = load_subject(SUBJECT, device=args.device, dtype=args.dtype)
        index = default_index(subject, CORPUS, reporter)
    if new:
        config = RunConfig(
            index=str(index),
            targets=TARGETS,
            rotated=ROTATED,
            device=args.device,
            dtype=args.dtype,
        )
        make_run(args.runs / RUN, resolve(config))
    return subject
