"""Parsers of commands with actions: order of options, and options of other actions."""

from __future__ import annotations

import argparse
from types import ModuleType

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.cli.parser import (
    FROM_THE_START,
    Action,
    add_actions,
    build_parser,
    closest,
    run_action,
)
from hubel.bench.commands import bench
from hubel.tools.errors import UsageError


def _add_draw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--width", type=int, default=3)
    parser.add_argument("--name")


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--name")


ACTIONS = {
    "draw": Action("draw a thing", _add_draw, lambda args: args.width),
    "erase": Action("erase a thing", _add_erase, lambda args: 0),
}


@pytest.fixture
def command() -> ModuleType:
    module = ModuleType("board")
    module.NAME, module.HELP = "board", "draw and erase"  # pyright: ignore
    module.add_arguments = lambda parser: add_actions(parser, ACTIONS)  # pyright: ignore
    return module


@pytest.mark.parametrize(
    "argv",
    [
        ["draw", "--width", "5", "--json"],
        ["--json", "--width", "5", "draw"],
        ["--json", "draw", "--width=5"],
        ["--name", "erase", "draw", "--json", "--width", "5"],  # "erase" is a value here
    ],
    ids=" ".join,
)
def test_options_may_come_before_the_action(command: ModuleType, argv: list[str]) -> None:
    args = build_parser(command).parse_args(argv)
    assert (args.action, args.json, args.width) == ("draw", True, 5)
    assert run_action("board", ACTIONS, args) == 5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["erase", "--width", "5"],
            "--width belongs to `hubel board draw`, not to `hubel board er",
        ),
        (["draw", "--widht", "5"], "did you mean '--width'?"),
        (["draw", "--all=1"], "--all belongs to `hubel board erase`"),
        (["drw", "--width", "5"], "invalid choice: 'drw'"),
        (["draw", "--width", "wide"], "`hubel board draw --help` lists the options"),
    ],
)
def test_a_wrong_option_says_where_it_belongs(
    command: ModuleType, argv: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        build_parser(command).parse_args(argv)
    assert message in str(error.value)


def test_a_command_without_its_action_lists_the_actions(command: ModuleType) -> None:
    args = build_parser(command).parse_args(["--json"])
    with pytest.raises(UsageError, match=r"`hubel board draw \| erase`"):
        run_action("board", ACTIONS, args)


def test_only_a_similar_word_is_suggested() -> None:
    assert closest("shwo", ["show", "run"]) == " (did you mean 'show'?)"
    assert closest("zzz", ["show", "run"]) == ""


def _interrupt(_: argparse.Namespace) -> int:
    raise KeyboardInterrupt


def test_an_interrupt_says_what_the_action_keeps() -> None:
    args = argparse.Namespace(action="draw")
    for action, message in (
        (Action("", _add_draw, _interrupt), FROM_THE_START),
        (Action("", _add_draw, _interrupt, "stopped; the drawing is kept"), "the drawing is kept"),
    ):
        with pytest.raises(KeyboardInterrupt, match=message):
            run_action("board", {"draw": action}, args)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("planted", "the same command continues"),
        ("null", "the same command continues"),
        ("circuits", "the same command continues there"),
        ("speed", FROM_THE_START),
        ("review", FROM_THE_START),
        ("soak", FROM_THE_START),
    ],
)
def test_an_interrupted_bench_promises_no_more_than_it_keeps(
    action: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bench.ACTIONS, action, bench.ACTIONS[action]._replace(run=_interrupt))
    assert run_command_line(["bench", action]) == 1
    error = capsys.readouterr().err
    assert error.endswith(f"{message}\n")
    assert error.count("\n") == 1
