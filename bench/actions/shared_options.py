"""Options that several benches share."""

from __future__ import annotations

import argparse

from ...agent.cli import options


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The subject, and the device that it runs on."""
    parser.add_argument(
        "--subject",
        default="smollm2-135m",
        metavar="S",
        help="local folder or hub name of the model (default: smollm2-135m)",
    )
    options.add_device(parser)


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """The text that the subject reads."""
    parser.add_argument(
        "--corpus",
        default="lee-news",
        metavar="C",
        help=f"text to index: {options.CORPORA} (default: lee-news)",
    )


def add_explainer(parser: argparse.ArgumentParser) -> None:
    """Who explains."""
    parser.add_argument(
        "--explainer",
        default="compositional",
        metavar="E",
        help="compositional (default), openai:MODEL, anthropic:MODEL, ...",
    )


def add_name(parser: argparse.ArgumentParser, default: str) -> None:
    """The name under which the run is kept."""
    parser.add_argument("--name", help=f"name of the run (default: {default})")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The seed of all draws."""
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default: 0)")
