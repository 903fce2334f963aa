"""`hubel bench`: runs with a known right answer, and measures of speed and robustness."""

from __future__ import annotations

import argparse

from ...agent.cli import parser as parsers
from ...agent.cli.parser import Action
from ..actions import (
    circuits,
    explanations,
    null,
    planted,
    reading,
    review_speed,
    scale,
    soak,
    speed,
    studies,
)

NAME = "bench"
HELP = "are results good? planted, null, explanations, reading, circuits, studies; speed, scale, review, soak"
CONTINUES = "stopped; nothing is lost: the same command continues"
CONTINUES_FROM_CACHE = (
    "stopped; what is computed is in the cache, and the same command continues there"
)

ACTIONS = {
    "planted": Action(
        "are explanations right? units of known meaning, planted into a subject",
        planted.add_arguments,
        planted.run,
        CONTINUES,
    ),
    "null": Action(
        "how often is nothing explained? noise, shuffled units and controls",
        null.add_arguments,
        null.run,
        CONTINUES,
    ),
    "explanations": Action(
        "how good are explanations: held-out scores next to a list's and to those of nothing",
        explanations.add_arguments,
        explanations.run,
        CONTINUES_FROM_CACHE,
    ),
    "reading": Action(
        "which of two runs' sentences are better, to a reader who does not know whose they are?",
        reading.add_arguments,
        reading.run,
    ),
    "circuits": Action(
        "are known circuits found? compiled programs, trained models, planted paths",
        circuits.add_arguments,
        circuits.run,
        CONTINUES_FROM_CACHE,
    ),
    "studies": Action(
        "does each study give its known answer, and support nothing where there is nothing?",
        studies.add_arguments,
        studies.run,
    ),
    "speed": Action(
        "what do runs, indexes and instruments cost, and what do other libraries need?",
        speed.add_arguments,
        speed.run,
    ),
    "scale": Action(
        "what will larger subjects cost? a model fitted to several sizes, and checked",
        scale.add_arguments,
        scale.run,
    ),
    "review": Action(
        "how fast is the review page on a run of many targets?",
        review_speed.add_arguments,
        review_speed.run,
    ),
    "soak": Action(
        "does a run survive kills, malformed answers, budgets and slow servers?",
        soak.add_arguments,
        soak.run,
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser per bench."""
    parsers.add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Run the bench and print its table."""
    return parsers.run_action(NAME, ACTIONS, args)
