"""High-level causal models: a few variables, each a function of others, that can be run and
intervened on.

    CausalModel({"a": range(4), "b": range(4), "c": range(4)}, "total",
                [CausalVariable("sum", ("a", "b"), lambda a, b: (a + b) % 4),
                 CausalVariable("total", ("sum", "c"), ...)])

or the same as JSON, with the functions of `OPERATIONS`:

    {"inputs": {"a": [0, 1, 2, 3], ...}, "output": "total",
     "variables": [{"name": "sum", "op": "add", "of": ["a", "b"], "modulo": 4}, ...]}
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import UsageError

Value = Hashable
Setting = Mapping[str, Any]
"""Values of some variables, by name."""

MAX_SETTINGS = 100_000
"""Most settings of the inputs to enumerate, which takes seconds."""


@dataclass(frozen=True)
class CausalVariable:
    """One variable, as a function of its parents' values in their order."""

    name: str
    parents: tuple[str, ...]
    function: Callable[..., Value]


class CausalModel:
    """A causal model; parents come before their children in the list of variables.

    Args:
        inputs: the values that each input can take.

    Raises:
        UsageError: a variable defined twice or before its parents, or an output that is not a variable.
    """

    def __init__(
        self,
        inputs: Mapping[str, Sequence[Value]],
        output: str,
        variables: Sequence[CausalVariable],
    ) -> None:
        self.inputs = {name: tuple(values) for name, values in inputs.items()}
        self.output, self.variables = output, tuple(variables)
        defined = set(self.inputs)
        for name, values in self.inputs.items():
            if len(values) < 2:
                raise UsageError(f"input {name!r} can be {values}; give at least two values")
        for variable in self.variables:
            if missing := [parent for parent in variable.parents if parent not in defined]:
                raise UsageError(
                    f"variable {variable.name!r} needs {', '.join(missing)}, but no earlier variable defines it"
                )
            if variable.name in defined:
                raise UsageError(f"variable {variable.name!r} is defined twice")
            defined.add(variable.name)
        if output not in {variable.name for variable in self.variables}:
            raise UsageError(
                f"output {output!r} is not a variable of the program, which has {', '.join(sorted(defined))}"
            )

    def run(self, inputs: Setting, fixed: Setting | None = None) -> dict[str, Value]:
        """Every variable's value; those in `fixed` are set instead of computed."""
        fixed = fixed or {}
        values: dict[str, Value] = {**inputs, **fixed}
        for variable in self.variables:
            if variable.name not in fixed:
                values[variable.name] = variable.function(
                    *(values[parent] for parent in variable.parents)
                )
        return values

    def interchange_output(self, base: Setting, source: Setting, name: str) -> Value:
        """The output on `base` when one variable has the value that it has on `source`."""
        self.variable(name)
        return self.run(base, {name: self.run(source)[name]})[self.output]

    def variable(self, name: str) -> CausalVariable:
        """A variable by name; raises UsageError that lists them."""
        by_name = {variable.name: variable for variable in self.variables}
        if name not in by_name:
            raise UsageError(f"no variable {name!r}; the program has {', '.join(by_name)}")
        return by_name[name]

    def values(self, name: str) -> tuple[Value, ...]:
        """All values that a variable takes, in order of appearance."""
        return tuple(dict.fromkeys(self.run(inputs)[name] for inputs in self._settings()))

    def with_arbitrary(self, name: str, seed: int = 0) -> CausalModel:
        """The same program with one variable's values shuffled among the settings of its parents.

        The variable takes each value as often and depends on the same inputs, but a subject has no
        reason to hold it: what a search finds for it is due to the search (a control task, Hewitt &
        Liang 2019).
        """
        variable = self.variable(name)
        table: dict[tuple[Value, ...], Value] = {}
        for inputs in self._settings():
            run = self.run(inputs)
            table[tuple(run[parent] for parent in variable.parents)] = run[name]
        values = random.Random(seed).sample(list(table.values()), len(table))
        shuffled = dict(zip(table, values, strict=True))
        changed = replace(variable, function=lambda *parents: shuffled[parents])
        return CausalModel(
            self.inputs,
            self.output,
            [changed if each.name == name else each for each in self.variables],
        )

    def _settings(self) -> Iterator[Setting]:
        """All settings of the inputs; raises UsageError if there are too many."""
        if (n := math.prod(map(len, self.inputs.values()))) > MAX_SETTINGS:
            raise UsageError(
                f"the inputs have {n} settings, and at most {MAX_SETTINGS} are enumerated; give fewer values"
            )
        return (
            dict(zip(self.inputs, values, strict=True))
            for values in itertools.product(*self.inputs.values())
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CausalModel:
        """Read a program from plain data; raises UsageError that says what is wrong."""
        try:
            variables = [_variable(entry) for entry in data["variables"]]
            return cls(data["inputs"], data["output"], variables)
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"not a program: {error!r}; expected inputs (name to values), variables (name, op, of) and output"
            ) from error


def _add(*values: Any, modulo: int | None = None) -> Value:
    return sum(values) % modulo if modulo else sum(values)


def _table(*values: Any, table: Mapping[str, Value]) -> Value:
    return table[",".join(map(str, values))]


def _pick(at: Any, *values: Any) -> Value:
    return values[int(at)]


OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": _add,
    "all": lambda *values: all(values),
    "any": lambda *values: any(values),
    "equal": lambda left, right: left == right,
    "greater": lambda left, right: left > right,
    "in": lambda value, members: value in members,
    "max": max,
    "min": min,
    "not": lambda value: not value,
    "pick": _pick,
    "same": lambda value: value,
    "table": _table,
    "xor": lambda left, right: bool(left) != bool(right),
}
"""Functions by name. `add` takes `modulo`, `in` takes `members`, `table` a `table` from the parents'
values, joined by commas. `pick` uses its first parent as an index from 0 into the others (false is
0, true 1)."""

_OPTIONS = ("modulo", "members", "table")


def _variable(entry: Mapping[str, Any]) -> CausalVariable:
    if entry["op"] not in OPERATIONS:
        raise UsageError(
            f"op {entry['op']!r} of variable {entry['name']!r} given; there are {', '.join(OPERATIONS)}"
        )
    options = {key: value for key, value in entry.items() if key in _OPTIONS}
    return CausalVariable(
        entry["name"], tuple(entry["of"]), partial(OPERATIONS[entry["op"]], **options)
    )
