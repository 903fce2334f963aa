"""`hubel dictionary`: train sparse autoencoders and transcoders."""

from __future__ import annotations

import argparse

from .. import parser as parsers
from ..dictionary import train
from ..parser import Action

NAME = "dictionary"
HELP = "sparse autoencoders and transcoders: train"


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
}
