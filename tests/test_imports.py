"""Imports go one way: prompts, tools <- evals <- studies <- agent <- bench. Held by reading the source,
so that lazy imports count too."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

import hubel

ROOT = Path(hubel.__file__).parent
ROOMS = {
    "prompts": set(),
    "tools": set(),
    "evals": {"prompts", "tools"},
    "studies": {"prompts", "tools", "evals"},
    "agent": {"prompts", "tools", "evals", "studies"},
    "bench": {"prompts", "tools", "evals", "studies", "agent"},
}
"""Room to the rooms that it may import."""
AGENT_ROOMS = (
    "runlog",
    "engine",
    "llm",
    "explainers",
    "investigation",
    "controls",
    "circuits",
    "studies",
    "exchange",
    "run",
    "rescoring",
    "review",
    "mcp",
    "cli",
)
"""The rooms of `agent`, lowest first."""
ERRORS = "tools/errors"
"""The error tree imports nothing, and every room may raise from it."""
HOLDOUT_READERS = {
    "agent/controls/rotated.py",
    "agent/investigation/verify.py",
    "agent/rescoring/open_data.py",
    "agent/review/holdout.py",
    "bench/explanations/measure.py",
    "bench/planted.py",
    "bench/scorers.py",
}
"""Who may open held-out text: what verifies, what scores rotated directions, what scores again, the
page on which a person looks afterwards, and the benches that hold a finished run against what was
planted."""
HEAVY = {"torch", "transformers"}
LOOKING = (
    "agent/cli/commands/",
    "agent/runlog/views",
    "agent/review/",
    "tools/files",
    "agent/runlog/log",
    "tools/index",
    "tools/index/shards/merge",
    "evals/",
)
"""Where looking at results begins, and the merge of shards (folders and modules): none of these, nor what
they run on import, loads torch."""


class Import(NamedTuple):
    """One import statement: `source` and `target` are paths in the package (``tools/index/collect``)."""

    source: str
    target: str
    top: bool
    """Whether it runs when the module is imported, and not in a function or for the type checker."""


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def statements(path: Path) -> tuple[tuple[ast.Import | ast.ImportFrom, bool], ...]:
    """Import statements and whether each runs on import."""

    def walk(node: ast.AST, top: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                yield child, top
            lazy = isinstance(
                child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            ) or _for_types(child)
            yield from walk(child, top and not lazy)

    return tuple(walk(ast.parse(path.read_text(encoding="utf-8")), True))


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def inner_imports(path: Path) -> Iterator[Import]:
    """What a module imports from this package, as paths; `from ..tools import errors` is `tools/errors`."""
    package = path.relative_to(ROOT).parent.parts
    for node, top in statements(path):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        base = [part for part in base if part]
        for alias in node.names:
            target = "/".join([*base, alias.name])
            exists = (ROOT / f"{target}.py").exists() or (ROOT / target / "__init__.py").exists()
            yield Import(name_of(path), target if exists else "/".join(base), top)


def outer_imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Top-level names of what a module imports from elsewhere."""
    for node, top in statements(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], top) for alias in node.names)
        elif not node.level and node.module:
            yield node.module.split(".")[0], top


ALL = [entry for path in modules() for entry in inner_imports(path)]


def test_the_reader_sees_imports_wherever_they_stand() -> None:
    imports = {
        (entry.target, entry.top) for entry in inner_imports(ROOT / "agent" / "cli" / "main.py")
    }
    assert ("tools/errors", True) in imports
    assert ("agent/cli/parser", True) in imports
    assert ("torch", False) in set(outer_imports(ROOT / "agent" / "cli" / "doctor_checks.py"))


def test_rooms_import_one_way() -> None:
    wrong = [
        f"{entry.source} imports {entry.target}"
        for entry in ALL
        if (here := entry.source.split("/")[0]) != (there := entry.target.split("/")[0])
        and there in ROOMS
        and there not in ROOMS[here]
        and entry.target != ERRORS
    ]
    assert not wrong


def test_inside_agent_imports_go_from_upper_rooms_to_lower_ones() -> None:
    """Lazy and type-only imports count: a reader of a room needs to know only the rooms below it."""
    wrong = [
        f"{entry.source} imports {entry.target}"
        for entry in ALL
        if entry.source.startswith("agent/")
        and entry.target.startswith("agent/")
        and AGENT_ROOMS.index(room_of(entry.target)) > AGENT_ROOMS.index(room_of(entry.source))
    ]
    assert not wrong


def test_there_is_no_import_circle_of_any_kind() -> None:
    """Between modules and between rooms, with lazy and type-only imports counted."""
    modules_graph: dict[str, set[str]] = defaultdict(set)
    rooms_graph: dict[str, set[str]] = defaultdict(set)
    for entry in ALL:
        if entry.source != entry.target:
            modules_graph[entry.source].add(entry.target)
        here, there = (place_of(name) for name in (entry.source, entry.target))
        if here != there:
            rooms_graph[here].add(there)
    assert circle_in(modules_graph) is None
    assert circle_in(rooms_graph) is None


def test_circles_are_seen() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"d"}}) is None
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def room_of(module: str) -> str:
    """``run`` of ``agent/run/execute``."""
    return module.split("/")[1]


def place_of(module: str) -> str:
    """The folder that a module is in, at most two levels deep."""
    path = ROOT / module
    folder = path if path.is_dir() else path.parent
    return "/".join(folder.relative_to(ROOT).parts[:2])


def circle_in(graph: Mapping[str, Collection[str]]) -> list[str] | None:
    """One circle of a directed graph, or None."""
    sorter = TopologicalSorter({node: sorted(targets) for node, targets in graph.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return None


def test_only_verification_and_review_open_the_holdout() -> None:
    readers = {f"{e.source}.py" for e in ALL if e.target.startswith("tools/index/holdout")}
    assert readers <= HOLDOUT_READERS, readers - HOLDOUT_READERS


def test_only_verification_draws_held_out_prompts() -> None:
    readers = {e.source for e in ALL if e.target == "tools/circuits/tasks/heldout"}
    assert readers == {"agent/circuits/verify", "studies/representation/latent_runs"}


@pytest.mark.parametrize(
    ("function", "users"),
    [
        ("reader_of", {"holdout", "collect_pass", "derived_index", "activation_store/source"}),
        ("store_of", {"activation_store/source"}),
        ("stored_source", {"holdout"}),
        ("stored_units", {"holdout"}),
        ("choose_sources", {"collect_pass", "derived_index"}),
    ],
)
def test_what_opens_any_split_stays_inside_the_index(function: str, users: set[str]) -> None:
    """Collecting and indexing write each split to its own file; all else gets explore and select."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in modules()
        for node, _ in statements(path)
        if isinstance(node, ast.ImportFrom) and any(alias.name == function for alias in node.names)
    }
    assert importers == {f"tools/index/{name}.py" for name in users}


def test_inside_the_package_imports_are_relative() -> None:
    wrong = [
        name_of(path) for path in modules() for name, _ in outer_imports(path) if name == "hubel"
    ]
    assert not wrong


def test_looking_at_results_never_imports_torch() -> None:
    """Follows what runs on import, packages on the way included, from every place where results are looked at."""
    heavy = {
        name_of(path)
        for path in modules()
        for name, top in outer_imports(path)
        if top and name in HEAVY
    }
    rooms = tuple(place for place in LOOKING if place.endswith("/"))
    starts = [name for name in map(name_of, modules()) if name in LOOKING or name.startswith(rooms)]
    assert len(starts) > len(LOOKING)
    loaded = {start: reached(start) & heavy for start in starts}
    assert not {start: found for start, found in loaded.items() if found}


def reached(start: str) -> set[str]:
    """All modules of this package that importing `start` runs."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            parts = name.split("/")
            ahead += ["/".join(parts[:n]) for n in range(1, len(parts))]
            ahead += [entry.target for entry in ALL if entry.source == name and entry.top]
    return found


def test_tools_and_evals_know_no_llm_client() -> None:
    clients = {"openai", "anthropic", "httpx", "httpx2", "langgraph"}
    wrong = [
        f"{name_of(path)}: {name}"
        for path in modules()
        if name_of(path).split("/")[0] in ("tools", "evals")
        for name, _ in outer_imports(path)
        if name in clients
    ]
    assert not wrong


@pytest.mark.parametrize("forbidden", ["pickle", "dill", "joblib", "torchvision"])
def test_nothing_that_runs_foreign_code_is_imported(forbidden: str) -> None:
    assert not [
        name_of(path) for path in modules() for name, _ in outer_imports(path) if name == forbidden
    ]


def test_what_is_imported_is_declared() -> None:
    """Everything from outside the standard library is listed in pyproject.toml (or is an extra that is asked for)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in ("hub", "mcp", "ray") for r in project["optional-dependencies"][extra]),
    ]
    declared = {_canonical(requirement.split(">")[0].split("[")[0]) for requirement in requirements}
    owners = packages_distributions()
    foreign = (
        {n for path in modules() for n, _ in outer_imports(path)}
        - set(sys.stdlib_module_names)
        - {"hubel"}
    )
    undeclared = {
        n for n in foreign if not {_canonical(owner) for owner in owners.get(n, [n])} & declared
    }
    assert not undeclared


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
