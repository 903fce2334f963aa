"""What a reader can rely on everywhere: one class to a name, short functions, comprehensions that can be read once."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hubel

ROOT = Path(hubel.__file__).parent
ROOMS = ("agent", "bench", "evals", "prompts", "studies", "tools")
LONGEST_FUNCTION, LONGEST_FILE = 60, 400
"""Lines. Half of all functions have fewer than ten; the longest are mostly options and schemas."""
MOST_CLAUSES = 2
"""`for` clauses of a comprehension, with those of the comprehensions inside it."""
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
}


def test_no_class_name_is_defined_twice() -> None:
    homes = defaultdict(list)
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(f"{file}:{node.lineno}")
    assert not {name: places for name, places in homes.items() if len(places) > 1}


def test_functions_and_files_are_short() -> None:
    long_functions = [
        f"{file}:{node.lineno} {node.name}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and lines_of(node) > LONGEST_FUNCTION
    ]
    long_files = [
        file
        for file in TREES
        if (ROOT / file).read_text(encoding="utf-8").count("\n") > LONGEST_FILE
    ]
    assert not long_functions + long_files


def test_a_comprehension_has_at_most_two_clauses() -> None:
    dense = [
        f"{file}:{comprehension.lineno} has {clauses_in(comprehension)} clauses"
        for file, tree in TREES.items()
        for comprehension in outermost_comprehensions(tree)
        if clauses_in(comprehension) > MOST_CLAUSES
    ]
    assert not dense


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, without its decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def outermost_comprehensions(tree: ast.AST) -> Iterator[ast.expr]:
    """Comprehensions and generators that are not part of another one."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, COMPREHENSIONS):
            yield child
        else:
            yield from outermost_comprehensions(child)


def clauses_in(expression: ast.expr) -> int:
    """`for` clauses of a comprehension, nested ones included."""
    return sum(isinstance(node, ast.comprehension) for node in ast.walk(expression))


def test_clauses_are_counted_where_they_nest() -> None:
    tree = ast.parse("x = {a: [b for b in c if any(d)] for a in e}\ny = f([g for g in h], 1)")
    assert [clauses_in(each) for each in outermost_comprehensions(tree)] == [2, 1]
