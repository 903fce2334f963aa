"""The command line's frame: exit statuses, one-line errors, suggestions, light imports."""

from __future__ import annotations

import errno
import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import hubel.agent.cli.commands as agent_commands
import hubel.bench.commands as bench_commands
from hubel.agent.cli import exit_status, main
from hubel.agent.cli.parser import build_parser
from hubel.tools.errors import (
    ArgumentError,
    BudgetReached,
    CorruptError,
    UnavailableError,
    UsageError,
)
from tests.support.processes import checkout_environment, run_python

HEAVY = (
    "torch",
    "transformers",
    "langgraph",
    "numpy",
    "pyarrow",
    "duckdb",
    "sklearn",
    "scipy",
    "pydantic",
    "rich",
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command that does what `act` says, in the place of `runs`."""
    module = ModuleType("fake")
    module.NAME, module.HELP, module.act = "runs", "a command for tests", lambda: 0  # pyright: ignore
    module.add_arguments = lambda parser: parser.add_argument("--targets")  # pyright: ignore
    module.run = lambda args: module.act()  # pyright: ignore
    monkeypatch.setattr(main, "import_module", lambda name: module)
    return module


def acts(module: ModuleType, error: BaseException) -> None:
    def act() -> int:
        raise error

    module.act = act  # pyright: ignore


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("off"), 2),
        (ArgumentError("off"), 2),
        (BudgetReached("spent"), 3),
        (UnavailableError("gone"), 1),
        (CorruptError("cut\nshort"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/there"), 1),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_errors_become_one_line_and_a_status(
    command, capsys, error: BaseException, status: int
) -> None:
    acts(command, error)
    assert main.run_command_line(["runs"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hubel: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("unable to mmap 538090408 bytes: Cannot allocate memory (12)"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_too_little_memory_is_one_line(command, capsys, error: Exception) -> None:
    acts(command, error)
    assert main.run_command_line(["runs"]) == exit_status.FAILED
    printed = capsys.readouterr().err
    assert "not enough memory" in printed
    assert printed.count("\n") == 1


@pytest.mark.slow
def test_a_limit_of_memory_is_one_line() -> None:
    """Under a limit at which torch cannot be loaded."""
    argv = f"{sys.executable} -m hubel tool activations.on_text --subject x 'units=[1]' 'texts=[1]'"
    limited = subprocess.run(
        ["sh", "-c", f"ulimit -v 600000; {argv}"],
        env=checkout_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert limited.returncode in (exit_status.FAILED, exit_status.WRONG_USE)
    assert limited.stderr.count("\n") == 1, limited.stderr


def test_a_full_disk_and_a_closed_door_say_what_to_do(command, capsys) -> None:
    acts(command, OSError(errno.ENOSPC, "No more space", "/data/index.parquet"))
    main.run_command_line(["runs"])
    assert "/data/index.parquet: no space left on the disk; free some" in capsys.readouterr().err
    acts(command, PermissionError(errno.EACCES, "Permission denied", "/there"))
    main.run_command_line(["runs"])
    assert "choose a place" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(command, capsys) -> None:
    acts(command, KeyboardInterrupt())
    command.INTERRUPTED = "stopped; `hubel resume RUN` goes on"
    assert main.run_command_line(["runs"]) == 1
    assert capsys.readouterr().err == "hubel: stopped; `hubel resume RUN` goes on\n"


def test_the_traceback_is_shown_on_request_only(command, capsys, monkeypatch) -> None:
    acts(command, UsageError("off"))
    main.run_command_line(["runs", "--debug"])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("HUBEL_DEBUG", "1")
    main.run_command_line(["runs"])
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_not_dressed_up_as_the_users_mistake(command) -> None:
    acts(command, ZeroDivisionError("defect"))
    with pytest.raises(ZeroDivisionError):
        main.run_command_line(["runs"])


def test_the_commands_own_status_is_kept(command) -> None:
    command.act = lambda: exit_status.SOME_FAILED
    assert main.run_command_line(["runs", "--targets", "mlp.1.2"]) == 4


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["shwo"], "did you mean 'show'?"),
        (
            ["runs", "--target", "mlp.1.2"],
            "unknown argument '--target' (did you mean '--targets'?)",
        ),
        (["runs", "--targets"], "expected one argument"),
        (["runs", "stray"], "unknown argument 'stray'"),
    ],
)
def test_wrong_use_is_status_2_with_a_way_out(command, capsys, argv: list[str], says: str) -> None:
    assert main.run_command_line(argv) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert "--help`" in captured.err


def test_every_command_file_has_its_row_and_every_row_its_file() -> None:
    files = {
        f"hubel.{room}.commands.{module.name}"
        for room, package in (("agent.cli", agent_commands), ("bench", bench_commands))
        for module in pkgutil.iter_modules(package.__path__)
    }
    assert files == {main.module_of(name) for name in main.COMMANDS}
    for name, line in main.COMMANDS.items():
        module = import_module(main.module_of(name))
        assert (name, line) == (module.NAME, module.HELP)
        actions = {action.dest for action in build_parser(module)._actions}
        assert actions >= {"quiet", "debug", "runs"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv", [["--help"], *([name, "--help"] for name in main.COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    """What makes `--help` slow is what it imports, so that is what is held; a time would be the machine's."""
    # The options of `hubel study` are made from the studies' signatures.
    heavy = [name for name in HEAVY if argv[0] != "study" or name not in ("numpy", "pydantic")]
    code = (
        "import sys; from hubel.agent.cli.main import run_command_line\n"
        f"try: status = run_command_line({argv!r})\nexcept SystemExit as stop: status = stop.code\n"
        f"loaded = sorted(set({heavy!r}) & set(sys.modules)); assert not loaded, loaded; sys.exit(status)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "usage: hubel" in done.stdout


def test_import_hubel_loads_nothing_heavy() -> None:
    code = f"import hubel, sys; loaded = sorted(set({HEAVY!r}) & set(sys.modules)); assert not loaded, loaded"
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_no_command_shows_the_overview_and_is_wrong_use(capsys) -> None:
    assert main.run_command_line([]) == 2
    printed = capsys.readouterr().out
    assert all(name in printed for name in main.COMMANDS)


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "hubel", "--help"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            env=checkout_environment(),
            timeout=60,
        )
    assert done.stderr == ""
    assert done.returncode == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "1" * 5000, "{'a': 1}"])
def test_json_of_an_instrument_that_cannot_be_read_is_one_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run_command_line(["tool", "logit_lens", "--json", text]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert len(error) < 1000


def test_arguments_of_an_instrument_may_come_after_the_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["tool", "logit_lens", "--index", "no-such-index", "unit=mlp.1.5", "k=3"]
    assert main.run_command_line(argv) != 0
    assert "unknown argument" not in capsys.readouterr().err
    assert main.run_command_line(["tool", "logit_lens", "--index", "I", "--nonsense"]) == 2
    assert "unknown argument '--nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_waiting_threads_sleep_soon_unless_the_environment_says_otherwise(
    given: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = run_python("import hubel, os; print(os.environ.get('GOMP_SPINCOUNT'))")
    assert done.stdout.strip() == expected
