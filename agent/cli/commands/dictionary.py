"""`hubel dictionary`: train an autoencoder or transcoder, check whether one fits a subject, list them."""

from __future__ import annotations

import argparse

from .. import parser as parsers
from ..dictionary import check, listing, train
from ..parser import Action

NAME = "dictionary"
HELP = "sparse autoencoders and transcoders: train one, check one against a subject, list them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser per action."""
    parsers.add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    return parsers.run_action(NAME, ACTIONS, args)


ACTIONS: dict[str, Action] = {
    "train": Action(
        "train a TopK autoencoder or transcoder on a subject's vectors",
        train.add_arguments,
        train.run,
        train.INTERRUPTED,
    ),
    "check": Action(
        "does a dictionary fit its place in a subject?", check.add_arguments, check.run
    ),
    "list": Action("the dictionaries in a folder", listing.add_arguments, listing.run),
}
