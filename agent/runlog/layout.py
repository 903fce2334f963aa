"""Names inside a run's folder, runs/NAME/. Nothing else spells them out.

    config.toml           the configuration: all that is needed to run it again
    suite.toml            text of the suite of planted units, if the run has one
    events/               the log, in segments (`runlog.log`), each event with the hash of the one before
    seal.json             where the finished log ends, and the hashes of its segments (`runlog.seal`)
    reviews/              what people said of its explanations, in segments (`runlog.reviews`)
    collected/            activations of the targets, one file per split (`tools.index.collected`)
    transfer/             activations on other corpora, collected for the review page
    lexicon/              the vocabulary that its predicates look up, written when the run ends
    checkpoints.sqlite    LangGraph's checkpoints
    pieces/               what workers of an engine have finished and the log does not have yet
    lock                  held by the process that writes the run

A circuit run has its configuration, its log, its lock, and:

    circuit.json          the result
    circuit.svg           its drawing
    report.html           its report
    arrays/               scores of all edges, too large for the log
    imported.json         another program's file, whose circuit the run tests

A study's run has its configuration, its log, its lock, and:

    study.json            the result
    measured/             what was measured, one file per measurement

An imported set of explanations has its configuration, a log with the hashes, and:

    explanations.jsonl    the explanations, as another tool wrote them (`agent.exchange`)
"""

from __future__ import annotations

import os
import secrets
import shlex
from datetime import datetime
from pathlib import Path

CONFIG = "config.toml"
SUITE = "suite.toml"
EVENTS = "events"
SEAL = "seal.json"
REVIEWS = "reviews"
COLLECTED = "collected"
TRANSFER = "transfer"
LEXICON = "lexicon"
CHECKPOINTS = "checkpoints.sqlite"
PIECES = "pieces"
LOCK = "lock"

CIRCUIT = "circuit.json"
CIRCUIT_DRAWING = "circuit.svg"
CIRCUIT_REPORT = "report.html"
CIRCUIT_ARRAYS = "arrays"
CIRCUIT_IMPORTED = "imported.json"

STUDY = "study.json"
MEASURED = "measured"

EXPLANATIONS = "explanations.jsonl"


def usual_runs() -> Path:
    """The folder of the runs where a command is given no other."""
    return Path(os.environ.get("HUBEL_RUNS") or "runs")


def new_run_name(prefix: str = "") -> str:
    """A name for a new run: the time, and four random digits for runs started in the same second."""
    return f"{prefix}{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_argument(folder: Path) -> str:
    """How a command names a run: its name if it is where runs usually are, else its path."""
    is_usual = folder.absolute().parent == usual_runs().absolute()
    return shlex.quote(folder.name if is_usual else str(folder))
