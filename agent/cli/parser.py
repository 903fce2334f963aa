"""Parsers of commands: argparse whose mistakes are UsageErrors with a suggestion.

A command with several actions (`hubel circuit run`, `hubel bench null`) has one parser per action.
Options may come before the action's name. An option of another action is refused by name.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple, NoReturn

from ...tools.errors import UsageError
from . import options

SHOWN_OWNERS = 2
"""Actions that a message names as those an option belongs to."""
FROM_THE_START = "stopped; the same command starts from the beginning"


class Action(NamedTuple):
    """One action of a command, with its own options and its own `--help`."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    interrupted: str = FROM_THE_START
    """The line after Ctrl-C, unless the action itself says more."""


def build_parser(command: ModuleType) -> Parser:
    """A command's parser: the common options, then its own, which may redefine a common one."""
    parser = Parser(
        prog=f"hubel {command.NAME}",
        description=command.HELP,
        allow_abbrev=False,
        conflict_handler="resolve",
    )
    options.add_common(parser)
    command.add_arguments(parser)
    return parser


def add_actions(parser: argparse.ArgumentParser, actions: Mapping[str, Action]) -> None:
    """Give each action a parser under its name; the chosen name is `args.action`, or None."""
    subparsers = parser.add_subparsers(
        dest="action",
        metavar="ACTION",
        title=f"actions (`{parser.prog} ACTION --help` lists the options of each)",
    )
    for name, action in actions.items():
        action_parser = subparsers.add_parser(
            name,
            help=action.help,
            description=action.help,
            allow_abbrev=False,
            conflict_handler="resolve",
        )
        options.add_common(action_parser)
        action.add_arguments(action_parser)


def run_action(command: str, actions: Mapping[str, Action], args: argparse.Namespace) -> int:
    """Run the chosen action; returns its exit status.

    Raises:
        UsageError: no action was given.
        KeyboardInterrupt: the user stopped it; the message says how to go on.
    """
    if args.action is None:
        raise UsageError(
            f"say what to do: `hubel {command} {' | '.join(actions)}`; "
            f"`hubel {command} --help` explains them"
        )
    action = actions[args.action]
    try:
        return action.run(args)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or action.interrupted) from interrupt


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError, and says where an unknown option belongs."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists the options")

    def parse_args(self, args=None, namespace=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        parsed, unknown = self.parse_known_args(self._action_first(args or ()), namespace)
        # argparse takes no more words for a list that had none before the first option
        if unknown and hasattr(parsed, "values") and not any(w.startswith("-") for w in unknown):
            parsed.values += unknown
        elif unknown:
            self._refuse(unknown[0], getattr(parsed, "action", None))
        return parsed

    def _refuse(self, argument: str, action: str | None) -> NoReturn:
        """Raise what is wrong with an argument: it belongs to another action, or to none."""
        option, actions = argument.split("=")[0], self._action_parsers()
        chosen = actions.get(action or "", self)
        owners = [
            f"`{parser.prog}`"
            for parser in (self, *actions.values())
            if parser is not chosen and option in parser.option_names()
        ]
        if (more := len(owners) - SHOWN_OWNERS) > 0:
            owners[SHOWN_OWNERS:] = [f"{more} other{'s' * (more > 1)}"]
        if owners:
            named = " and ".join(filter(None, (", ".join(owners[:-1]), owners[-1])))
            chosen.error(f"{option} belongs to {named}, not to `{chosen.prog}`")
        suggestion = closest(option, chosen.option_names())
        chosen.error(f"unknown argument {argument!r}{suggestion}")

    def _action_first(self, argv: Sequence[str]) -> list[str]:
        """Move the action's name to the front, so that its parser reads the options before it too."""
        actions = self._action_parsers()
        with_value = {
            name for parser in actions.values() for name in parser.option_names(value=True)
        }
        for place, word in enumerate(argv):
            if word.startswith("-") or (place and argv[place - 1] in with_value):
                continue
            return [word, *argv[:place], *argv[place + 1 :]] if word in actions else list(argv)
        return list(argv)

    def option_names(self, *, value: bool = False) -> list[str]:
        """All option strings, or those that take a value."""
        taken = [action for action in self._actions if not value or action.nargs != 0]
        return [name for action in taken for name in action.option_strings]

    def _action_parsers(self) -> dict[str, Parser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}


def closest(word: str, candidates: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the candidate most like the word, or nothing."""
    matches = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
